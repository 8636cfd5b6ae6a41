"""How late the event loop is."""

from __future__ import annotations

_SHARE = 1 / 3
"""Of each new figure in the smoothed one."""


class Lag:
    """Smoothed lateness of what should happen at given times."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def beat(self, late: float) -> None:
        """It happens so many seconds late."""
        self.seconds += (late - self.seconds) * _SHARE
