"""The journal in SQLite: the default, one file for all workers of a machine.

One thread writes, so that an append never blocks the event loop, and one reads. Each append is one
transaction for all of its channels: the fsync is shared by everything that gathered meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from zchat.rooms.stores.base import Append, History, Outcome, RingRow
from zchat.rooms.stores.journal_file import JournalFile, Retention
from zchat.rooms.stream import StreamPosition

logger = logging.getLogger("zchat.cluster")

P = ParamSpec("P")
R = TypeVar("R")

_QUIET = 0.25
"""Seconds without an append until it is tidied up."""

_RESTLESS = 5.0
"""Seconds after which it is tidied up though appends go on coming: else the log grows and grows."""


class SqliteStore:
    """Keeps publications in a file; see the contract in `base`.

    Args:
        path: the database; made when it is missing.
        sync: `full`, `normal` or `off`.
        boot: names this life of the machine.
        retention: what is kept of each channel.
        new_epoch: makes the name of a numbering's life; never the same twice.
        clock: milliseconds since 1970.
        busy: seconds to wait for another worker's transaction; the most that a worker which was
            stopped inside one can hold up the others' appends before they fail with 503.

    Raises:
        ConfigError: the file cannot be used; the text says what to do.
    """

    def __init__(
        self,
        path: Path,
        *,
        sync: str,
        boot: str,
        retention: Retention,
        new_epoch: Callable[[], str],
        clock: Callable[[], int],
        busy: float = 2.0,
    ) -> None:
        def connect() -> JournalFile:
            return JournalFile(
                path,
                sync=sync,
                boot=boot,
                retention=retention,
                new_epoch=new_epoch,
                clock=clock,
                busy=busy,
            )

        self._writing = connect()
        try:
            self._reading = connect()
        except BaseException:
            self._writing.close()
            raise
        self._writer = _Thread("journal-writer")
        self._reader = _Thread("journal-reader")
        self._quiet: asyncio.TimerHandle | None = None
        self._untidy_since: float | None = None
        self._closed = False

    async def open(self, channel: str) -> StreamPosition:
        return await self._writer.run(self._writing.open, channel)

    async def append(self, generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        outcomes = await self._writer.run(self._writing.append, generation, appends)
        self._when_quiet()
        return outcomes

    async def read(self, channel: str, after: int, limit: int) -> History:
        return await self._reader.run(self._reading.read, channel, after, limit)

    async def read_back(self, channel: str, before: int, limit: int) -> History:
        return await self._reader.run(self._reading.read_back, channel, before, limit)

    async def ring(self) -> RingRow:
        return await self._reader.run(self._reading.ring)

    async def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
        return await self._writer.run(self._writing.change_ring, generation, workers)

    def let_go(self, channel: str, *, moved: bool) -> None:
        """Nothing is kept in memory."""

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._quiet is not None:
            self._quiet.cancel()
        await self._reader.run(self._reading.close)
        await self._writer.run(self._writing.close)
        self._reader.close()
        self._writer.close()

    def _when_quiet(self) -> None:
        """Tidy up once no append came for a moment, and now and then all the same."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._quiet is not None:
            self._quiet.cancel()
        if self._untidy_since is None:
            self._untidy_since = now
        at = min(now + _QUIET, self._untidy_since + _RESTLESS)
        self._quiet = loop.call_at(at, self._tidy)

    def _tidy(self) -> None:
        self._quiet = self._untidy_since = None
        tidying = asyncio.ensure_future(self._writer.run(self._trim))
        tidying.add_done_callback(_report)

    def _trim(self) -> None:
        while self._writing.trim() and not self._writer.waiting:
            continue  # an append is more urgent: the next quiet moment goes on
        self._writing.checkpoint()


class _Thread:
    """A thread that does one thing after the other.

    Its queue is bounded by its callers: a broker has one append under way.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.waiting = 0
        """Calls that have not begun."""

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it there; whoever waits may be cancelled, the call is made all the same."""

        def call() -> R:
            self.waiting -= 1
            return function(*args, **kwargs)

        self.waiting += 1
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Wait for what is under way."""
        self._executor.shutdown()


def _report(tidying: asyncio.Future[None]) -> None:
    if not tidying.cancelled() and (error := tidying.exception()) is not None:
        logger.warning("journal: tidying up failed: %s", error)
