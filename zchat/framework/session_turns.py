"""The requests of one session that run one at a time, in the order they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zchat.rooms.presence import SessionRef


class _Line:
    """One session's."""

    __slots__ = ("length", "lock")

    def __init__(self) -> None:
        self.length = 0
        self.lock = asyncio.Lock()  # it is fair


class SessionTurns:
    """Who runs and who waits. Nothing is kept of sessions of which nothing runs.

    A line is as long as its session has requests under way, which the frontend bounds
    (`limits.requests_in_flight`). When full, the frontend refuses further ones, and counts them.
    """

    def __init__(self) -> None:
        self._lines: dict[SessionRef, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    @asynccontextmanager
    async def turn(self, session: SessionRef) -> AsyncIterator[None]:
        """Wait for one's turn, and have it until the block ends."""
        line = self._lines.get(session)
        if line is None:
            line = self._lines[session] = _Line()
        line.length += 1
        try:
            async with line.lock:
                yield
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[session]
