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
        self._awaited: set[str] = set()
        self._until = 0.0

    def begin(self, frontends: Iterable[str], now: float) -> None:
        """Wait for these frontends from now on."""
        self._awaited = set(frontends)
        self._until = now + self.window

    def announced(self, frontend: str) -> None:
        """That frontend has told of all of its members."""
        self._awaited.discard(frontend)

    def gone(self, frontend: str) -> None:
        """That frontend is not there to announce anything."""
        self._awaited.discard(frontend)

    def done(self, now: float) -> bool:
        """Whether nothing is waited for any more."""
        if self._awaited and now >= self._until:
            self._awaited.clear()
        return not self._awaited
