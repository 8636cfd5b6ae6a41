"""What happened in a run, in order: the evidence when it was wrong."""

from __future__ import annotations

import hashlib

from tests.sim.loop import START, VirtualLoop


class Timeline:
    """Lines of text with their moments.

    When full (`limit` lines) the oldest go: a run is judged by the checker's events, not by these.

    Args:
        loop: whose clock it goes by.
        limit: lines kept.
    """

    def __init__(self, loop: VirtualLoop, limit: int = 200_000) -> None:
        self._loop = loop
        self._limit = limit
        self._lines: list[tuple[float, str, str]] = []

    def add(self, who: object, what: str) -> None:
        """It happens now."""
        self._lines.append((self._loop.now - START, str(who), what))
        if len(self._lines) > self._limit:
            del self._lines[: self._limit // 2]

    def text(self, words: tuple[str, ...] = (), last: int = 0) -> str:
        """The lines with any of these words, or all; the last so many of them, or all."""
        lines = [
            f"{at:9.4f}  {who:20}  {what}"
            for at, who, what in self._lines
            if not words or any(word in what or word == who for word in words)
        ]
        return "\n".join(lines[-last:])

    @property
    def digest(self) -> str:
        """The same for runs that were the same."""
        return hashlib.blake2b(self.text().encode(), digest_size=16).hexdigest()
