"""How far a load is: a line that is written over itself, where somebody looks at it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from zchat.ops.load.crowd import Progress
from zchat.ops.load.plan import Plan

WIDTH = 24
"""Characters of the bar."""

_CLEAR = "\r\x1b[K"


class ProgressBar:
    """The line.

    Args:
        plan: of the load.
        out: where it is written, if that is a terminal.
        clock: seconds.
    """

    def __init__(
        self, plan: Plan, out: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = plan
        self._out = out
        self._clock = clock
        self._is_shown = out.isatty()
        self._before = Progress()
        self._at = clock()

    def show(self, progress: Progress) -> None:
        """Write the line anew."""
        now = self._clock()
        passed = now - self._at
        rate = (progress.received - self._before.received) / passed if passed > 0 else 0.0
        self._before, self._at = progress, now
        if self._is_shown:
            self._out.write(_CLEAR + line(self._plan, progress, rate))
            self._out.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._out.write(_CLEAR)
            self._out.flush()


def line(plan: Plan, progress: Progress, rate: float) -> str:
    """What it says.

    Args:
        rate: deliveries a second since the last time.
    """
    if progress.entered < plan.people and not progress.sent:
        return f"{_bar(progress.entered / plan.people)} {progress.entered} of {plan.people} are in"
    left = progress.owed - progress.received
    gone = f", {progress.gone} thrown out" if progress.gone else ""
    return (
        f"{_bar(progress.sent / plan.messages)} {progress.sent:,} of {plan.messages:,} messages, "
        f"{rate:,.0f} deliveries/s, {max(0, left):,} on their way{gone}"
    )


def _bar(share: float) -> str:
    full = round(WIDTH * min(share, 1))
    return f"[{'█' * full}{'·' * (WIDTH - full)}] {min(share, 1):4.0%}"
