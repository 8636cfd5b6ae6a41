"""A journal that all simulated workers share, as they share SQLite's file: late, failing, in doubt.

What reaches it is done, even if the worker that sent it is killed before it hears of it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from zchat.rooms.stores.base import (
    Append,
    Fenced,
    History,
    JournalFull,
    Outcome,
    Refused,
    RingRow,
    Stored,
)
from zchat.rooms.stream import Publication, StreamPosition

T = TypeVar("T")


class DiskError(Exception):
    """What a disk says when it fails."""


class DiskFull(DiskError, JournalFull):
    """The same, as an error that senders may see."""


@dataclass(slots=True)
class Log:
    """One channel: all that was ever written, of which the first `gone` are kept no more."""

    epoch: str
    publications: list[Publication] = field(default_factory=list)
    gone: int = 0

    @property
    def tail(self) -> StreamPosition:
        """Where it ends."""
        return StreamPosition(self.epoch, len(self.publications))


@dataclass(slots=True)
class Trouble:
    """How the journal behaves now."""

    slow: float = 1.0
    """Times the usual delay."""

    fails_before: float = 0.0
    """How many calls of one fail with nothing done."""

    fails_after: float = 0.0
    """How many fail though it was done."""


class SharedJournal:
    """The file.

    Args:
        random: decides delays and failures.
        limit: publications kept per channel.
        said: hears what happens, for the timeline.
    """

    def __init__(
        self, random: Random, limit: int, said: Callable[[str], None] = lambda text: None
    ) -> None:
        self.random = random
        self.trouble = Trouble()
        self.logs: dict[str, Log] = {}
        self.row = RingRow(0, frozenset())
        self.calls = 0
        self.fenced = 0
        """Appends refused because they came by an old ring."""
        self.refused = 0
        """Appends refused because they did not go on from the tail."""
        self.said = said
        self._limit = limit

    def log(self, channel: str) -> Log:
        """A channel's; it begins with the first look at it."""
        log = self.logs.get(channel)
        if log is None:
            log = self.logs[channel] = Log(f"e{len(self.logs) + 1}")
        return log

    def append(self, writer: str, generation: int, append: Append) -> Outcome:
        """One run, all or nothing."""
        if self.row.generation > generation:
            self.fenced += 1
            return Fenced(self.row.generation)
        log = self.log(append.channel)
        if append.start != log.tail:
            self.refused += 1
            return Refused(log.tail)
        log.publications.extend(append.publications)
        log.gone = max(log.gone, len(log.publications) - self._limit)
        names = ", ".join(f"{p.offset}={p.cid}" for p in append.publications)
        self.said(f"{append.channel}: {writer} appends {names}")
        return Stored()

    def read(self, channel: str, after: int, limit: int) -> History:
        """See Store."""
        log = self.log(channel)
        start = max(after, log.gone, 0)
        return History(tuple(log.publications[start : start + limit]), log.tail)

    def read_back(self, channel: str, before: int, limit: int) -> History:
        """See Store."""
        log = self.log(channel)
        stop = max(min(before - 1, len(log.publications)), log.gone)
        start = max(stop - limit, log.gone)
        return History(tuple(log.publications[start:stop]), log.tail)

    def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
        """See Store."""
        if generation == self.row.generation and workers != self.row.workers:
            self.row = RingRow(generation + 1, workers)
            self.said(f"the ring: {self.row.generation} {sorted(workers)}")
        return self.row


class SimStore:
    """One worker's way to it: writes are made one after the other, and so are reads.

    Args:
        journal: shared by all.
        writer: whose way this is.
    """

    def __init__(self, journal: SharedJournal, writer: str = "") -> None:
        self.journal = journal
        self._writer = writer
        self._next = [0.0, 0.0]
        self._outside = contextvars.Context()

    async def open(self, channel: str) -> StreamPosition:
        return await self._do(0, lambda: self.journal.log(channel).tail)

    async def append(self, generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        journal, writer = self.journal, self._writer
        return await self._do(
            0, lambda: [journal.append(writer, generation, append) for append in appends]
        )

    async def read(self, channel: str, after: int, limit: int) -> History:
        return await self._do(1, lambda: self.journal.read(channel, after, limit))

    async def read_back(self, channel: str, before: int, limit: int) -> History:
        return await self._do(1, lambda: self.journal.read_back(channel, before, limit))

    async def ring(self) -> RingRow:
        return await self._do(1, lambda: self.journal.row)

    async def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
        return await self._do(0, lambda: self.journal.change_ring(generation, workers))

    def let_go(self, channel: str, *, moved: bool) -> None:
        """Nothing is kept here."""

    async def close(self) -> None:
        """Nothing is held."""

    async def _do(self, thread: int, work: Callable[[], T]) -> T:
        """Have the journal do it a moment later, and hear of it another moment later."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        when = max(loop.time() + self._delay(), self._next[thread])
        self._next[thread] = when
        # In no process's context: it is done even if the caller dies meanwhile.
        here = contextvars.copy_context()
        loop.call_at(when, self._work, loop, work, answer, here, context=self._outside.copy())
        return await answer

    def _work(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[], T],
        answer: asyncio.Future[T],
        caller: contextvars.Context,
    ) -> None:
        journal = self.journal
        journal.calls += 1
        chance, trouble = journal.random.random(), journal.trouble
        result: Any = None
        if chance >= trouble.fails_before:
            result = work()
        if chance < trouble.fails_before + trouble.fails_after:
            journal.said(f"the journal fails {self._writer}, {'un' if result is None else ''}done")
            full = chance < trouble.fails_before / 2
            result = DiskFull("the disk is full") if full else DiskError("the disk")
        loop.call_later(self._delay() / 2, _answer, answer, result, context=caller)

    def _delay(self) -> float:
        chance = self.journal.random.random()
        late = 0.05 * chance if chance > 0.98 else 0.0
        return self.journal.trouble.slow * (0.0002 + 0.002 * chance + late)


def _answer(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
