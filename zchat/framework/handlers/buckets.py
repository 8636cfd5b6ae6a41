"""Token buckets by session, for one route."""

from __future__ import annotations

from zchat.frontend.sockets.rate import Rate
from zchat.rooms.presence import SessionRef

_SMALL = 1024


class Buckets:
    """Who has taken how much. Time is an argument.

    It holds the sessions whose buckets are not full, and at most as many others again (or 1,024).
    When full, those whose buckets are full by now are forgotten, which changes nothing for them.
    What is refused is counted by the dispatcher (`answered_429`).

    Args:
        rate: of each bucket.
    """

    __slots__ = ("_full_at", "_limit", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._full_at: dict[SessionRef, float] = {}
        self._limit = _SMALL

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, session: SessionRef, now: float) -> float:
        """Take one token out; returns 0.0, or in how many seconds there is one."""
        full_at = self._rate.spend(self._full_at.get(session, 0.0), now, 1)
        wait = self._rate.wait(full_at, now)
        if wait:
            return wait
        if len(self._full_at) >= self._limit:
            self._forget(now)
        self._full_at[session] = full_at
        return 0.0

    def _forget(self, now: float) -> None:
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        self._limit = max(_SMALL, 2 * len(self._full_at))
