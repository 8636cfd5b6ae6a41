"""Work with a deadline, whose end is never taken for anything else.

Every request has one, and hardly any is reached. So they stand in a wheel: a context manager and a
timer of the event loop for each cost ten times as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from zchat.errors import TimedOut
from zchat.wheel import Wheel

T = TypeVar("T")

_GRANULARITY = 0.05

_LONG = 1.0
"""Seconds from which on a deadline may be late by the wheel's granularity, twice at most."""


async def in_time(work: Awaitable[T], seconds: float) -> T:
    """The result of `work`, which is cancelled at the deadline: one of a second and more 0.1 s late
    at the most, a shorter one on time.

    Raises:
        TimedOut: it was not done in time.
        RuntimeError: it ended by a cancellation that nobody outside of it asked for.
        Exception: what the work itself raises; its own TimeoutErrors too.
    """
    task: asyncio.Task[Any] | None = asyncio.current_task()
    if task is None:
        raise RuntimeError("a deadline without a task")
    deadlines = _deadlines(task.get_loop())
    deadline = _Deadline(task)
    deadlines.begin(deadline, seconds)
    try:
        return await work
    except asyncio.CancelledError as error:
        if deadline.passed and task.cancelling() - 1 <= deadline.before:
            raise TimedOut("not done in time") from None
        if task.cancelling():
            raise
        raise RuntimeError("cancelled from inside") from error
    finally:
        deadlines.end(deadline)


class _Deadline:
    """Of one piece of work, which is done by this task."""

    __slots__ = ("before", "passed", "task", "timer")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.before = task.cancelling()
        """How many others want the task to end."""
        self.passed = False
        self.timer: asyncio.Handle | None = None

    def pass_by(self) -> None:
        self.passed = True
        self.task.cancel()


class _Deadlines:
    """Those of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._wheel: Wheel[_Deadline] = Wheel(_GRANULARITY)
        self._ticking = False

    def begin(self, deadline: _Deadline, seconds: float) -> None:
        """Let it pass in so many seconds."""
        if seconds < _LONG:
            deadline.timer = self.loop.call_later(seconds, deadline.pass_by)
            return
        self._wheel.schedule(deadline, self.loop.time() + seconds)
        if not self._ticking:
            self._ticking = True
            self.loop.call_later(_GRANULARITY, self._tick)

    def end(self, deadline: _Deadline) -> None:
        """The work is over. A task that was cancelled by its deadline alone goes on."""
        if deadline.timer is not None:
            deadline.timer.cancel()
        elif not deadline.passed:
            self._wheel.cancel(deadline)
        if deadline.passed:
            deadline.task.uncancel()

    def _tick(self) -> None:
        for deadline in self._wheel.expire(self.loop.time()):
            deadline.pass_by()
        # No work, no ticks: a server where nothing happens sleeps.
        self._ticking = bool(self._wheel)
        if self._ticking:
            self.loop.call_later(_GRANULARITY, self._tick)


_latest: _Deadlines | None = None


def _deadlines(loop: asyncio.AbstractEventLoop) -> _Deadlines:
    """Of this loop. A process has one loop; another one's deadlines go on by themselves."""
    global _latest
    if _latest is None or _latest.loop is not loop:
        _latest = _Deadlines(loop)
    return _latest
