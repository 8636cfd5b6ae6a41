"""One session's messages keep their order while their room changes owners under them.

Five people talk without waiting for answers, up to a window; who listens sees each one's messages
in the order in which they were sent, every acknowledged one among them, none twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import UNLIMITED, Cluster
from tests.support.person import Person
from tests.support.timing import MS, eventually
from zchat.framework.server.running import Running

SETTINGS = replace(UNLIMITED, cluster=replace(UNLIMITED.cluster, drain=500 * MS))

WINDOW = 30
"""Messages of one person without an answer; fewer than the server allows."""


class Talker:
    """Somebody who says 0, 1, 2, ... in a room, and somebody who listens there."""

    def __init__(self, speaker: Person, listener: Person) -> None:
        self.speaker = speaker
        self.listener = listener
        self.said = 0
        self.acknowledged: set[int] = set()
        self.refused: list[dict[str, object]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def talk(self, stop: asyncio.Event) -> None:
        """Say a few every now and then until told to stop, then wait for the answers."""
        while not stop.is_set():
            if len(self._under_way) < WINDOW:
                for _ in range(3):
                    self._say()
            await asyncio.sleep(2 * MS)
        await asyncio.gather(*self._under_way)

    def _say(self) -> None:
        number, self.said = self.said, self.said + 1
        task = asyncio.create_task(self._send(number))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send(self, number: int) -> None:
        answer = await self.speaker.say(str(number))
        if "offset" in answer:
            self.acknowledged.add(number)
        else:
            self.refused.append(answer)

    @property
    def heard(self) -> list[int]:
        """What the listener saw of this speaker."""
        pushes = self.listener.pushes["onChat"]
        return [int(push["msg"]) for push in pushes if push["from"] == self.speaker.name]


def slow_down(running: Running) -> None:
    """Its requests take a while before they begin: a later one elsewhere could overtake them."""
    answer = running.dispatcher.answer

    async def answer_slowly(*args: Any) -> bytes:
        await asyncio.sleep(30 * MS)
        return await answer(*args)

    running.dispatcher.answer = answer_slowly  # type: ignore[assignment, method-assign]


@asynccontextmanager
async def talk(cluster: Cluster) -> AsyncIterator[list[Talker]]:
    """Five talks in rooms of both workers; at the end each has been heard in order."""
    for worker in ("chat-server-1", "chat-server-2"):
        slow_down(cluster.running[worker])
    rooms = cluster.rooms_of("chat-server-1", 3) + cluster.rooms_of("chat-server-2", 2)
    talkers = [
        Talker(await cluster.enter("speaker", room, 0), await cluster.enter("listener", room, 1))
        for room in rooms
    ]
    stop = asyncio.Event()
    talks = [asyncio.create_task(talker.talk(stop)) for talker in talkers]
    await has_gone_on(talkers)
    yield talkers
    await has_gone_on(talkers)
    stop.set()
    await asyncio.gather(*talks)
    for talker in talkers:
        await eventually(lambda t=talker: t.acknowledged <= set(t.heard))  # type: ignore[misc]
        assert talker.heard == sorted(set(talker.heard))
        assert talker.refused == []


async def has_gone_on(talkers: list[Talker]) -> None:
    """Wait until each has had some more acknowledged."""
    before = [len(talker.acknowledged) for talker in talkers]
    for talker, count in zip(talkers, before, strict=True):
        enough = count + 2 * WINDOW
        await eventually(lambda t=talker, n=enough: len(t.acknowledged) >= n, 15_000 * MS)  # type: ignore[misc]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, settings=SETTINGS) as cluster:
        yield cluster


async def test_a_worker_is_added(cluster: Cluster) -> None:
    async with talk(cluster):
        before = [cluster.owner_of(room) for room in room_names(cluster)]
        await cluster.start(cluster.list_server("chat"))
        await cluster.settled()
        assert [cluster.owner_of(room) for room in room_names(cluster)] != before


def room_names(cluster: Cluster) -> list[str]:
    return [f"room{number}" for number in range(40)]


async def test_a_worker_is_taken_out(cluster: Cluster) -> None:
    async with talk(cluster):
        cluster.unlist("chat-server-2")
        await cluster.stop("chat-server-2")


async def test_a_worker_is_killed_and_taken_out(cluster: Cluster) -> None:
    async with talk(cluster):
        await cluster.kill("chat-server-2")
        cluster.unlist("chat-server-2")


async def test_a_worker_is_killed_and_comes_back(cluster: Cluster) -> None:
    async with talk(cluster):
        await cluster.kill("chat-server-1")
        await cluster.start("chat-server-1")
