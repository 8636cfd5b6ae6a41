"""A ring's source, told of what happens."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.support.logs import ExpectedLogs
from zchat.config.topology import Topology
from zchat.framework.channels.heard_ring import HeardRing
from zchat.framework.channels.journal_ring import JournalRing
from zchat.framework.channels.membership import Membership
from zchat.framework.channels.ring_keeper import RingKeeper, others_rings, owners_rings
from zchat.rooms.ring import Ring
from zchat.rooms.stores.memory import MemoryStore


class Source:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.ring = Ring(3, frozenset({"chat-1"}))
        self.heard_of: list[object] = []
        self.error: Exception | None = None

    def follow(self, topology: Topology) -> None: ...
    def heard(self, server_id: str) -> None: ...

    async def told(self, server_id: str, generation: int) -> None:
        self._note((server_id, generation))

    async def keep(self, now: float) -> None:
        self._note("keep")

    def _note(self, what: object) -> None:
        self.heard_of.append(what)
        if self.error is not None:
            raise self.error


class Tasks:
    """Runs what is spawned when it is told to."""

    def __init__(self) -> None:
        self.work: list[Coroutine[Any, Any, None]] = []

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.work.append(work)

    async def run(self) -> None:
        work, self.work = self.work, []
        await asyncio.gather(*work)


async def test_only_newer_rings_are_told_of() -> None:
    source, tasks = Source(), Tasks()
    keeper = RingKeeper(source, tasks.spawn)
    keeper.keep()
    for generation in (2, 3, 4):
        keeper.told("chat-2", generation)
    await tasks.run()
    assert source.heard_of == ["keep", ("chat-2", 4)]


async def test_what_goes_wrong_is_logged(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.admin", "the ring cannot be kept")
    expected_logs("zchat.admin", "the ring of generation 4 cannot be learned")
    source, tasks = Source(), Tasks()
    source.error = OSError("disk")
    keeper = RingKeeper(source, tasks.spawn)
    keeper.keep()
    keeper.told("chat-2", 4)
    await tasks.run()
    assert len(expected_logs.records) == 2


def nothing(old: Ring, new: Ring) -> None:
    """Nobody wants to know."""


async def nobody(server_id: str) -> None:
    raise AssertionError("nobody is asked")


async def test_with_a_shared_journal_the_ring_is_its_row() -> None:
    store = MemoryStore(lambda: "e1", 10)
    source, learn = owners_rings("chat-1", None, store, nothing, shared=True)
    assert isinstance(source, JournalRing)
    await learn()
    assert isinstance(others_rings("gate-1", None, nobody, nothing, shared=True), HeardRing)


async def test_without_one_each_server_has_its_own() -> None:
    store = MemoryStore(lambda: "e1", 10)
    source, learn = owners_rings("chat-1", None, store, nothing, shared=False)
    assert isinstance(source, Membership)
    await learn()
    assert isinstance(others_rings("gate-1", None, nobody, nothing, shared=False), Membership)
