"""The ring by hearsay: whom it asks, what it believes, and when it asks again."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.timing import PATIENCE, eventually
from zchat.config.topology import Server, Topology
from zchat.errors import TimedOut, Unavailable
from zchat.framework.channels.heard_ring import HeardRing
from zchat.rooms.ring import Ring


class Cluster:
    """Servers that answer with a row, or an error, each; and what was asked and told."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.asked: list[str] = []
        self.changes: list[tuple[Ring, Ring]] = []
        self.rings = HeardRing(None, self.ask, lambda old, new: self.changes.append((old, new)))

    async def ask(self, server_id: str) -> object:
        self.asked.append(server_id)
        answer = self.answers.get(server_id, Unavailable(f"{server_id} is not there"))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, asyncio.Future):
            return await answer
        return answer

    @property
    def workers(self) -> set[str]:
        return set(self.rings.ring.workers)


def row(generation: int, *workers: str) -> dict[str, object]:
    """A row as it comes out of an answer."""
    return {"generation": generation, "workers": list(workers)}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_it_begins_with_an_empty_ring(cluster: Cluster) -> None:
    await cluster.rings.keep(0.0)
    cluster.rings.follow(Topology("test", ()))
    cluster.rings.heard("chat-1")
    assert (cluster.rings.ring.generation, cluster.workers) == (0, set())
    assert (cluster.asked, cluster.changes) == ([], [])


async def test_it_asks_who_speaks_of_a_newer_one(cluster: Cluster) -> None:
    cluster.answers["chat-1"] = row(3, "chat-1", "chat-2")
    await cluster.rings.told("chat-1", 3)
    ring = cluster.rings.ring
    assert (ring.generation, ring.workers, ring.tag) == (3, frozenset({"chat-1", "chat-2"}), "3")
    ((old, new),) = cluster.changes
    assert (old.generation, new) == (0, ring)


@pytest.mark.parametrize("generation", [0, 1, 2, 3])
async def test_it_asks_nobody_who_speaks_of_an_older_one(cluster: Cluster, generation: int) -> None:
    cluster.answers["chat-1"] = row(3, "chat-1")
    await cluster.rings.told("chat-1", 3)
    cluster.asked.clear()
    await cluster.rings.told("chat-2", generation)
    await cluster.rings.keep(1.0)
    assert cluster.asked == []
    assert len(cluster.changes) == 1


async def test_an_answer_may_be_newer_than_what_was_told(cluster: Cluster) -> None:
    cluster.answers["chat-1"] = row(7, "chat-1")
    await cluster.rings.told("chat-1", 3)
    assert cluster.rings.ring.generation == 7
    await cluster.rings.told("chat-2", 7)
    assert cluster.asked == ["chat-1"]


@pytest.mark.parametrize("generation", [0, 2, 3])
async def test_an_answer_that_is_no_newer_is_not_taken(cluster: Cluster, generation: int) -> None:
    cluster.answers["chat-1"] = row(3, "chat-1")
    await cluster.rings.told("chat-1", 3)
    cluster.answers["chat-2"] = row(generation, "chat-2")
    await cluster.rings.told("chat-2", 9)
    assert (cluster.rings.ring.generation, cluster.workers) == (3, {"chat-1"})
    assert len(cluster.changes) == 1


@pytest.mark.parametrize("error", [Unavailable("gone"), TimedOut("slow")])
async def test_who_does_not_answer_is_asked_again(cluster: Cluster, error: Exception) -> None:
    cluster.answers["chat-1"] = error
    await cluster.rings.told("chat-1", 2)
    assert (cluster.rings.ring.generation, cluster.changes) == (0, [])
    await cluster.rings.keep(0.5)
    assert cluster.asked == ["chat-1"] * 2
    cluster.answers["chat-1"] = row(2, "chat-1")
    await cluster.rings.keep(1.0)
    assert cluster.workers == {"chat-1"}
    await cluster.rings.keep(1.5)
    assert cluster.asked == ["chat-1"] * 3


async def test_another_that_knows_it_is_enough(cluster: Cluster) -> None:
    cluster.answers["chat-2"] = row(2, "chat-2")
    await cluster.rings.told("chat-1", 2)  # does not answer
    await cluster.rings.told("chat-2", 2)
    cluster.asked.clear()
    await cluster.rings.keep(0.5)
    assert cluster.asked == []
    assert cluster.workers == {"chat-2"}


async def test_servers_that_own_no_channels_are_not_asked(cluster: Cluster) -> None:
    cluster.answers["chat-1"] = row(2, "chat-1")
    connector = Server("connector-1", "connector", "127.0.0.1", 1, 2, frontend=True)
    worker = Server("chat-1", "chat", "127.0.0.1", 3, 4)
    cluster.rings.follow(Topology("test", (connector, worker)))
    await cluster.rings.told("connector-1", 2)
    await cluster.rings.keep(0.5)
    assert cluster.asked == []
    await cluster.rings.told("chat-1", 2)
    await cluster.rings.told("chat-2", 3)  # not in the list yet: it may own some
    assert cluster.asked == ["chat-1", "chat-2"]


@pytest.mark.parametrize(
    "answer", [None, 7, [], {}, {"generation": "x", "workers": []}, {"generation": 2}, "row", b""]
)
async def test_nonsense_is_no_answer(cluster: Cluster, answer: object) -> None:
    cluster.answers["chat-1"] = answer
    await cluster.rings.told("chat-1", 2)
    assert (cluster.rings.ring.generation, cluster.changes) == (0, [])
    cluster.answers["chat-1"] = row(2, "chat-1")
    await cluster.rings.keep(0.5)
    assert cluster.rings.ring.generation == 2


async def test_of_answers_that_cross_the_highest_stays(cluster: Cluster) -> None:
    loop = asyncio.get_running_loop()
    slow: asyncio.Future[object] = loop.create_future()
    cluster.answers = {"chat-1": slow, "chat-2": row(5, "chat-2")}
    asking = asyncio.create_task(cluster.rings.told("chat-1", 4))
    await asyncio.sleep(0)
    await cluster.rings.told("chat-2", 5)
    slow.set_result(row(4, "chat-1"))
    await asking
    assert (cluster.rings.ring.generation, cluster.workers) == (5, {"chat-2"})
    assert len(cluster.changes) == 1


async def test_while_it_waits_for_an_answer_it_does_not_ask_again(cluster: Cluster) -> None:
    """Everyone says its generation all the time."""
    slow: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    cluster.answers["chat-1"] = slow
    asking = asyncio.create_task(cluster.rings.told("chat-1", 2))
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        for _ in range(3):
            await cluster.rings.told("chat-1", 2)
        await cluster.rings.keep(0.5)
    assert cluster.asked == ["chat-1"]
    slow.set_result(row(2, "chat-1"))
    await asking
    assert cluster.workers == {"chat-1"}


async def test_a_silent_server_holds_up_no_other(cluster: Cluster) -> None:
    silent: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    cluster.answers = {"chat-1": silent, "chat-2": Unavailable("busy")}
    asking = asyncio.create_task(cluster.rings.told("chat-1", 2))
    await asyncio.sleep(0)
    await cluster.rings.told("chat-2", 2)
    cluster.answers["chat-2"] = row(2, "chat-2")
    await cluster.rings.keep(0.5)
    assert cluster.workers == {"chat-2"}
    silent.set_exception(TimedOut("never answered"))
    await asking


async def test_asking_again_waits_for_nobody(cluster: Cluster) -> None:
    for name in ("chat-1", "chat-2"):
        await cluster.rings.told(name, 2)
    silent: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    cluster.answers = {"chat-1": silent, "chat-2": row(2, "chat-2")}
    keeping = asyncio.create_task(cluster.rings.keep(0.5))
    await eventually(lambda: cluster.workers == {"chat-2"})
    silent.set_result(row(1, "chat-1"))
    await keeping
    assert cluster.workers == {"chat-2"}
