"""All servers have started."""

from __future__ import annotations

import asyncio

from zchat.config.topology import Server, Topology
from zchat.errors import Unavailable
from zchat.framework.peers.gathering import Gathering


def topology(*ids: str) -> Topology:
    servers = (Server(name, name.partition("-")[0], "127.0.0.1", 1, 2) for name in ids)
    return Topology("test", tuple(servers))


class Cluster:
    """Answers who has started."""

    def __init__(self) -> None:
        self.started: dict[str, bool] = {}
        self.asked: list[str] = []

    async def ask(self, server_id: str) -> bool:
        self.asked.append(server_id)
        await asyncio.sleep(0)
        if server_id not in self.started:
            raise Unavailable("nobody there")
        return self.started[server_id]


async def test_it_is_complete_when_each_has_said_so() -> None:
    cluster = Cluster()
    gathering, listed = Gathering(cluster.ask), topology("gate-1", "chat-1", "web-1")
    assert not await gathering.complete(listed)
    cluster.started = {"gate-1": True, "chat-1": False}
    assert not await gathering.complete(listed)
    cluster.started = {"chat-1": True}
    cluster.asked.clear()
    assert await gathering.complete(listed)
    assert cluster.asked == ["chat-1"], "who has started is not asked again, web servers never"


async def test_who_is_added_meanwhile_is_waited_for_and_who_is_taken_out_is_not() -> None:
    cluster = Cluster()
    cluster.started = {"gate-1": True}
    gathering = Gathering(cluster.ask)
    assert not await gathering.complete(topology("gate-1", "chat-1"))
    assert await gathering.complete(topology("gate-1"))
    assert not await gathering.complete(topology("gate-1", "chat-2"))


async def test_it_does_not_ask_twice_at_a_time() -> None:
    cluster = Cluster()
    gathering, listed = Gathering(cluster.ask), topology("gate-1")
    twice = await asyncio.gather(gathering.complete(listed), gathering.complete(listed))
    assert not any(twice)
    assert cluster.asked == ["gate-1"]
