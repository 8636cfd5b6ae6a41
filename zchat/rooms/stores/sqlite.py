"""The journal in SQLite: the default, one file for all workers of a machine.

One thread writes, so that an append never blocks the event loop, and one reads. Each append is one
transaction for all of its channels: the fsync is shared by everything that gathered meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from zchat.rooms.stores.base import Append, History, Outcome, RingRow
from zchat.rooms.stores.journal_file import JournalFile
from zchat.rooms.stores.journal_options import JournalOptions
from zchat.rooms.stores.journal_thread import JournalStalled, JournalThread
from zchat.rooms.stream import StreamPosition

logger = logging.getLogger("zchat.cluster")

_QUIET = 0.25
"""Seconds without an append until it is tidied up."""

_RESTLESS = 5.0
"""Seconds after which it is tidied up though appends go on coming: else the log grows and grows."""

_TIDYING = 0.25
"""Seconds that are spent on it at once."""


class SqliteStore:
    """Keeps publications in a file; see the contract in `base`.

    Every call ends after `options.patience` seconds. While one hangs beyond that, all others fail
    at once, and reading does too: what is read could be older than what the call is about to write.

    Args:
        path: the database; made when it is missing.
        options: the same for all who share it.

    Raises:
        ConfigError: the file cannot be used; the text says what to do.
    """

    def __init__(self, path: Path, options: JournalOptions) -> None:
        self._writing = JournalFile(path, options)
        try:
            self._reading = JournalFile(path, options)
        except BaseException:
            self._writing.close()
            raise
        self._writer = JournalThread("journal-writer", options.patience)
        self._reader = JournalThread("journal-reader", options.patience)
        self._quiet: asyncio.TimerHandle | None = None
        self._tidy_at = 0.0
        self._untidy_since = 0.0
        self._closed = False

    async def open(self, channel: str) -> StreamPosition:
        return await self._writer.run(self._writing.open, channel)

    async def append(self, generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        outcomes = await self._writer.run(self._writing.append, generation, appends)
        self._when_quiet()
        return outcomes

    async def read(self, channel: str, after: int, limit: int) -> History:
        self._look_at_writer()
        return await self._reader.run(self._reading.read, channel, after, limit)

    async def read_back(self, channel: str, before: int, limit: int) -> History:
        self._look_at_writer()
        return await self._reader.run(self._reading.read_back, channel, before, limit)

    async def ring(self) -> RingRow:
        return await self._reader.run(self._reading.ring)

    async def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
        return await self._writer.run(self._writing.change_ring, generation, workers)

    def let_go(self, channel: str, *, moved: bool) -> None:
        """Nothing is kept in memory."""

    async def close(self) -> None:
        """See the contract; it takes twice `options.patience` at the most.

        A thread that hangs is left behind: it does not keep the process from ending.
        """
        if self._closed:
            return
        self._closed = True
        if self._quiet is not None:
            self._quiet.cancel()
        try:
            await self._reader.close(self._reading.close)
        finally:
            await self._writer.close(self._writing.close)

    def _look_at_writer(self) -> None:
        if self._writer.stalled:
            raise JournalStalled("the journal hangs")

    def _when_quiet(self) -> None:
        """Tidy up once no append came for a moment, and now and then all the same."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._quiet is None:
            self._untidy_since = now
        self._tidy_at = min(now + _QUIET, self._untidy_since + _RESTLESS)
        if self._quiet is None:  # else it goes on from then: a timer for each append costs more
            self._quiet = loop.call_at(self._tidy_at, self._tidy, loop)

    def _tidy(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop.time() < self._tidy_at:
            self._quiet = loop.call_at(self._tidy_at, self._tidy, loop)
            return
        self._quiet = None
        tidying = asyncio.ensure_future(self._writer.run(self._trim))
        tidying.add_done_callback(self._tidied)

    def _trim(self) -> bool:
        """Forget what is past the retention; True when the next quiet moment has to go on."""
        more, end = True, time.monotonic() + _TIDYING
        # An append is more urgent, and nobody may think that we hang.
        while more and not self._writer.waiting and time.monotonic() < end:
            more = self._writing.trim()
        self._writing.checkpoint()
        return more

    def _tidied(self, tidying: asyncio.Future[bool]) -> None:
        if tidying.cancelled():
            return
        error = tidying.exception()
        if error is not None:
            logger.warning("journal: tidying up failed: %s", error)
        elif tidying.result():
            self._when_quiet()
