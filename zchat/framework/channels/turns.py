"""First come, first served, per channel: who waits for a channel goes on in the order it came.

Calls run as tasks. Without turns, one that finds a channel open would overtake those that waited
for it and were woken but have not run yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from zchat.errors import RequestError, Unavailable


class _Line:
    """Those who wait for one channel."""

    __slots__ = ("error", "length", "turn")

    def __init__(self) -> None:
        self.turn = asyncio.Lock()  # it is fair
        self.length = 0
        self.error: RequestError | None = None


class Turns:
    """The lines before channels. There is none where nobody waits.

    Args:
        limit: how many may wait per channel. When full, further ones are refused with Unavailable
            and counted in `refused`.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._lines: dict[str, _Line] = {}
        self.refused = 0

    def __contains__(self, name: str) -> bool:
        """Whether anybody waits, so that who comes now has to wait as well."""
        return name in self._lines

    @asynccontextmanager
    async def take(self, name: str) -> AsyncIterator[None]:
        """Wait for one's turn, which lasts as long as the context.

        What goes on without an await behind the context goes on before the next one's turn.
        Whoever fails in its turn fails for all behind it: they would meet the same, one by one.

        Raises:
            RequestError: somebody before failed by this; or the line is full.
        """
        line = self._lines.get(name) or self._lines.setdefault(name, _Line())
        with self._standing(name, line):
            async with line.turn:
                if line.error is not None:
                    raise line.error
                try:
                    yield
                except RequestError as error:
                    line.error = error
                    del self._lines[name]  # who comes from now on tries anew
                    raise

    @contextmanager
    def _standing(self, name: str, line: _Line) -> Iterator[None]:
        if line.length >= self._limit:
            self.refused += 1
            raise Unavailable(f"too many wait for {name}")
        line.length += 1
        try:
            yield
        finally:
            line.length -= 1
            if not line.length and self._lines.get(name) is line:
                del self._lines[name]
