"""The requests of one session that run one at a time, in the order they came."""

from __future__ import annotations

import asyncio

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

    def turn(self, session: SessionRef) -> _Turn:
        """Wait for one's turn, and have it until the block ends."""
        return _Turn(self._lines, session)


class _Turn:
    """One request's; a generator made a context manager costs 2 us more."""

    __slots__ = ("_line", "_lines", "_session")

    _line: _Line

    def __init__(self, lines: dict[SessionRef, _Line], session: SessionRef) -> None:
        self._lines = lines
        self._session = session

    async def __aenter__(self) -> None:
        self._line = self._lines.get(self._session) or self._lines.setdefault(
            self._session, _Line()
        )
        self._line.length += 1
        try:
            await self._line.lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._line.lock.release()
        self._leave()

    def _leave(self) -> None:
        self._line.length -= 1
        if not self._line.length:
            del self._lines[self._session]
