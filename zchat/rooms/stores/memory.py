"""The journal in memory: the readable reference of the contract; dies with its process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zchat.rooms.stores.base import Append, History, Outcome, Refused, Stored
from zchat.rooms.stream import Publication, StreamPosition


@dataclass(slots=True)
class _Log:
    epoch: str
    offset: int = 0
    publications: deque[Publication] = field(default_factory=deque)


class MemoryStore:
    """Keeps the last publications of each channel.

    Args:
        new_epoch: makes the name of a numbering's life; never the same twice.
        limit: publications kept per channel. When full, the oldest goes.
    """

    def __init__(self, new_epoch: Callable[[], str], limit: int = 1000) -> None:
        self._new_epoch = new_epoch
        self._limit = limit
        self._logs: dict[str, _Log] = {}

    async def open(self, channel: str) -> StreamPosition:
        log = self._log(channel)
        return StreamPosition(log.epoch, log.offset)

    async def append(self, appends: Sequence[Append]) -> Sequence[Outcome]:
        return [self._append(append) for append in appends]

    async def read(self, channel: str, after: int, limit: int) -> History:
        log = self._log(channel)
        first = log.publications[0].offset if log.publications else log.offset + 1
        skip = max(after + 1 - first, 0)
        kept = list(log.publications)[skip : skip + limit]
        return History(kept, StreamPosition(log.epoch, log.offset))

    def let_go(self, channel: str) -> None:
        self._logs.pop(channel, None)

    async def close(self) -> None:
        self._logs.clear()

    def _log(self, channel: str) -> _Log:
        log = self._logs.get(channel)
        if log is None:
            log = self._logs[channel] = _Log(self._new_epoch())
        return log

    def _append(self, append: Append) -> Outcome:
        log = self._log(append.channel)
        if append.epoch != log.epoch or append.publications[0].offset != log.offset + 1:
            return Refused(StreamPosition(log.epoch, log.offset))
        log.publications.extend(append.publications)
        log.offset += len(append.publications)
        while len(log.publications) > self._limit:
            log.publications.popleft()
        return Stored()
