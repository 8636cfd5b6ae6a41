"""Work with a deadline, whose end is never taken for anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from zchat.errors import TimedOut

T = TypeVar("T")


async def in_time(work: Awaitable[T], seconds: float) -> T:
    """The result of `work`, which is cancelled at the deadline.

    Raises:
        TimedOut: it was not done in time.
        RuntimeError: it ended by a cancellation that nobody outside of it asked for.
        Exception: what the work itself raises; its own TimeoutErrors too.
    """
    try:
        async with asyncio.timeout(seconds) as deadline:
            return await work
    except TimeoutError:
        if deadline.expired():
            raise TimedOut("not done in time") from None
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("cancelled from inside") from error
