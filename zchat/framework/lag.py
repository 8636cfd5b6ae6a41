"""How late the event loop is."""

from __future__ import annotations

_SHARE = 1 / 3
"""Of each new figure in the smoothed one."""


class Lag:
    """Smoothed lateness of something that should happen regularly. Time is an argument.

    Args:
        interval: seconds between two beats.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._due: float | None = None
        self.seconds = 0.0

    def beat(self, now: float) -> None:
        """It happens now."""
        if self._due is not None:
            late = max(0.0, now - self._due)
            self.seconds += (late - self.seconds) * _SHARE
        self._due = now + self._interval
