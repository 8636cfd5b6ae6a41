"""When an owner may speak for channels that it has just taken.

After a start, or a change of the ring, the members of a channel are known to the frontends and not
yet to the owner. It waits for the announce of each frontend that is meant to be there, but not
longer than the window; late announces are merged.
"""

from __future__ import annotations

from collections.abc import Iterable


class Taking:
    """Pure: callers pass `now`, in seconds of any monotonic clock.

    Args:
        window: seconds to wait for announces at the most.
    """

    def __init__(self, window: float = 1.0) -> None:
        self.window = window
        self._ring = ""
        self._awaited: frozenset[str] = frozenset()
        self._announced: dict[str, str] = {}
        self._until = 0.0

    def begin(self, ring: str, frontends: Iterable[str], now: float) -> None:
        """Wait for these frontends' announces by this ring from now on."""
        self._ring = ring
        self._awaited = frozenset(frontends)
        self._until = now + self.window

    def announced(self, frontend: str, ring: str) -> None:
        """That frontend has told of all the members that are ours by the ring it knows.

        It may know of the ring before we do.
        """
        self._announced[frontend] = ring

    def gone(self, frontend: str) -> None:
        """That frontend is not there to announce anything."""
        self._announced.pop(frontend, None)
        self._awaited -= {frontend}

    def done(self, now: float) -> bool:
        """Whether nothing is waited for any more."""
        if now >= self._until:
            return True
        return all(self._announced.get(name) == self._ring for name in self._awaited)
