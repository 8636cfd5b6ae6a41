"""Rooms over real servers: whatever breaks, everybody is told what the journal has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.cluster import UNLIMITED, Cluster
from tests.support.timing import MS, eventually
from zchat.client import Backoff, Client, Hole, Room, State
from zchat.errors import RequestError

NAMES = ("ann", "bob", "cas")
SEND = "chat.chatHandler.send"
DROPS = 10

# Somebody who comes back late is a member no more: what is for them alone is refused, and rightly.
PATIENT = replace(UNLIMITED, rooms=replace(UNLIMITED.rooms, grace=10_000 * MS))


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, settings=PATIENT) as cluster:
        yield cluster


class Talker:
    """Somebody in a room of the chat, and all that they were told."""

    def __init__(self, cluster: Cluster, name: str, rid: str = "pier") -> None:
        backoff = Backoff(base=10 * MS, cap=100 * MS)
        self.name = name
        self.client = Client(cluster.url(), uid=name, timeout=2000 * MS, backoff=backoff)
        self.room = Room(
            self.client,
            enter="connector.entryHandler.enter",
            body={"username": name, "rid": rid},
            history="chat.chatHandler.history",
            backoff=Backoff(base=5 * MS, cap=50 * MS),
        )
        self.heard: list[dict[str, Any]] = []
        self.holes: list[Hole] = []
        self.people: set[str] = set()
        self.room.on("onChat", self.heard.append)
        if name == NAMES[0]:  # some are told the differences
            self.room.on_presence(self._changed)
        self.room.on("onAdd", lambda body: self.people.add(body["user"]))
        self.room.on("onLeave", lambda body: self.people.discard(body["user"]))
        self.room.on_lost(self.holes.append)
        self.room.on_entered(self._entered)
        self.acknowledged: dict[str, tuple[str, int]] = {}

    def _entered(self, answer: dict[str, Any]) -> None:
        self.people = set(answer["users"])

    def _changed(self, joined: list[str], left: list[str]) -> None:
        self.people = (self.people | set(joined)) - set(left)

    async def say(self, text: str, target: str = "*") -> None:
        answer = await self.room.send(SEND, {"content": text, "target": target}, cid=text)
        self.acknowledged[text] = (answer["epoch"], answer["offset"])

    @property
    def texts(self) -> list[str]:
        """What was heard, but for our own to one: these come to us in recovery only."""
        return [
            push["msg"] for push in self.heard if push["from"] != self.name or push["target"] == "*"
        ]


async def journal(talker: Talker) -> list[dict[str, Any]]:
    """Everything in the room's history that this one may see."""
    found: list[dict[str, Any]] = []
    before = None
    while True:
        page = await talker.room.history(before, 200)
        found = page["publications"] + found
        if not page["more"]:
            return found
        before = page["next"]


async def agree(talkers: list[Talker], said: list[str]) -> None:
    """Wait until all of them were told all that is for them; then it is once and in order."""
    for talker in talkers:
        await eventually(lambda talker=talker: talker.client.state is State.ONLINE)  # type: ignore[misc]
        rows = await journal(talker)
        own = [row["msg"] for row in rows if row["from"] == talker.name]
        assert own == [text for text in said if text.startswith(talker.name)]
        wanted = [r["msg"] for r in rows if r["from"] != talker.name or r["target"] == "*"]
        await eventually(lambda t=talker, w=wanted: len(t.texts) >= len(w))  # type: ignore[misc]
        assert talker.texts == wanted
        assert talker.holes == []
        places = {row["msg"]: (row["epoch"], row["offset"]) for row in rows}
        assert {text: places[text] for text in talker.acknowledged} == talker.acknowledged
        await eventually(lambda t=talker: t.people == set(NAMES))  # type: ignore[misc]


async def test_connections_that_break_all_the_time(cluster: Cluster) -> None:
    talkers = [Talker(cluster, name) for name in NAMES]
    dice = Random(7)
    # Whose connection is dropped before which message of whom.
    drops = [(talker, dice.choice(NAMES), dice.randrange(40)) for talker in talkers * DROPS]

    async def talk(talker: Talker) -> None:
        for number in range(40):
            for other, name, when in drops:
                if (name, when) == (talker.name, number):
                    await eventually(lambda other=other: other.client.state is State.ONLINE)  # type: ignore[misc]
                    other.client.drop()
            target = NAMES[number % 3] if number % 5 == 0 else "*"
            await talker.say(f"{talker.name} {number}", target)

    async with AsyncExitStack() as online:
        for talker in talkers:
            await online.enter_async_context(talker.client)
        await asyncio.gather(*map(talk, talkers))
        await agree(talkers, [f"{name} {number}" for name in NAMES for number in range(40)])


@pytest.mark.parametrize("kind", ["chat", "connector"])
async def test_servers_that_die(
    cluster: Cluster, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    talkers = [Talker(cluster, name) for name in NAMES]
    owner = cluster.owner_of("pier")

    async def talk(talker: Talker) -> None:
        for number in range(60):
            await talker.say(f"{talker.name} {number}")

    async def kill() -> None:
        for round_ in (1, 2):
            server = owner if kind == "chat" else f"connector-server-{round_}"
            await eventually(lambda enough=round_ * 15: len(talkers[0].acknowledged) >= enough)  # type: ignore[misc]
            await cluster.kill(server)
            await cluster.start(server)

    async with AsyncExitStack() as online:
        for talker in talkers:
            await online.enter_async_context(talker.client)
        await asyncio.gather(kill(), *map(talk, talkers))
        await agree(talkers, [f"{name} {number}" for name in NAMES for number in range(60)])
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_much_was_missed(cluster: Cluster) -> None:
    ann, bob = Talker(cluster, "ann"), Talker(cluster, "bob")
    async with ann.client:
        async with bob.client:
            await ann.say("first")
            await eventually(lambda: bob.texts == ["first"])
        texts = [f"missed {number}" for number in range(450)]
        for text in texts:
            await ann.client.request(SEND, {"content": text, "target": "*"})
        async with bob.client:
            await eventually(lambda: len(bob.texts) == 451)
            assert bob.texts == ["first", *texts]
            assert bob.holes == []


async def test_rooms_are_changed_and_come_back_to(cluster: Cluster) -> None:
    ann, bob = Talker(cluster, "ann"), Talker(cluster, "bob")
    async with ann.client, bob.client:
        await ann.say("1")
        await eventually(lambda: bob.texts == ["1"])
        await bob.room.move("connector.entryHandler.switchRoom", {"rid": "quay"})
        await ann.say("2")
        await bob.say("elsewhere")
        bob.client.drop()
        await eventually(lambda: bob.client.state is not State.ONLINE)
        await eventually(lambda: bob.client.state is State.ONLINE)
        await bob.room.move("connector.entryHandler.switchRoom", {"rid": "pier"})
        await eventually(lambda: bob.texts == ["1", "elsewhere", "2"])
        await ann.say("3")
        await eventually(lambda: bob.texts == ["1", "elsewhere", "2", "3"])
        await eventually(lambda: ann.texts == ["1", "2", "3"])
        with pytest.raises(RequestError, match="nobody is not here"):
            await ann.say("psst", "nobody")


async def test_a_name_is_taken_back_from_a_connection_that_looks_alive(cluster: Cluster) -> None:
    ann, bob, again = (Talker(cluster, name) for name in ("ann", "bob", "bob"))
    async with ann.client, bob.client:
        await ann.say("1")
        await eventually(lambda: bob.texts == ["1"])
        with pytest.raises(RequestError):
            await again.client.start()
        again.room.recovery.position = bob.room.recovery.position
        again.room.recovery.token = bob.room.recovery.token
        async with again.client:
            await eventually(lambda: bob.client.state is State.OFFLINE)
            await ann.say("2")
            await again.say("3")
            await eventually(lambda: again.texts == ["2", "3"])
            assert (bob.texts, again.people) == (["1"], {"ann", "bob"})
            assert ann.people == {"ann", "bob"}
