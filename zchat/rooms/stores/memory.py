"""The journal in memory: the readable reference of the contract; dies with its process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from zchat.rooms.stores.base import (
    Append,
    Fenced,
    History,
    Outcome,
    Refused,
    RingRow,
    Stored,
)
from zchat.rooms.stream import Publication, StreamPosition


@dataclass(slots=True)
class _Log:
    tail: StreamPosition
    publications: deque[Publication]


class MemoryStore:
    """Keeps the last publications of each channel.

    Args:
        new_epoch: makes the name of a numbering's life; never the same twice.
        limit: publications kept per channel. When full, the oldest goes.
        idle_limit: channels kept that nobody uses. When full, the one unused for longest is
            forgotten and counted in `forgotten`: its next life is a new epoch. Channels in use are
            bounded by their members' connections.
    """

    def __init__(
        self, new_epoch: Callable[[], str], limit: int = 1000, *, idle_limit: int = 10_000
    ) -> None:
        self._new_epoch = new_epoch
        self._limit = limit
        self._idle_limit = idle_limit
        self._logs: dict[str, _Log] = {}
        self._idle: dict[str, None] = {}  # channels not in use, longest unused first
        self._ring = RingRow(0, frozenset())
        self.forgotten = 0

    async def open(self, channel: str) -> StreamPosition:
        log = self._log(channel)
        self._idle.pop(channel, None)
        return log.tail

    async def append(self, generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        if self._ring.generation > generation:
            return [Fenced(self._ring.generation)] * len(appends)
        return [self._append(append) for append in appends]

    async def read(self, channel: str, after: int, limit: int) -> History:
        log = self._log(channel)
        first = log.tail.offset + 1 - len(log.publications)
        skip = max(min(after, log.tail.offset) + 1 - first, 0)
        return History(tuple(islice(log.publications, skip, skip + limit)), log.tail)

    async def read_back(self, channel: str, before: int, limit: int) -> History:
        log = self._log(channel)
        end = log.tail.offset + 1
        first = end - len(log.publications)
        stop = max(min(before, end) - first, 0)
        start = max(stop - limit, 0)
        return History(tuple(islice(log.publications, start, stop)), log.tail)

    async def ring(self) -> RingRow:
        return self._ring

    async def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
        if generation == self._ring.generation and workers != self._ring.workers:
            self._ring = RingRow(generation + 1, workers)
        return self._ring

    def let_go(self, channel: str, *, moved: bool) -> None:
        self._idle.pop(channel, None)
        if moved:
            self._logs.pop(channel, None)
        elif channel in self._logs:
            self._rest(channel)

    async def close(self) -> None:
        self._logs.clear()
        self._idle.clear()

    def _log(self, channel: str) -> _Log:
        log = self._logs.get(channel)
        if log is None:
            tail = StreamPosition(self._new_epoch(), 0)
            log = self._logs[channel] = _Log(tail, deque(maxlen=self._limit))
            self._rest(channel)
        return log

    def _rest(self, channel: str) -> None:
        self._idle[channel] = None
        if len(self._idle) > self._idle_limit:
            oldest = next(iter(self._idle))
            del self._idle[oldest], self._logs[oldest]
            self.forgotten += 1

    def _append(self, append: Append) -> Outcome:
        log = self._log(append.channel)
        if append.start != log.tail:
            return Refused(log.tail)
        log.publications.extend(append.publications)
        log.tail = append.end
        return Stored()
