"""A deadline's end, told apart from ends that look like it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.timing import MS
from zchat.errors import TimedOut
from zchat.framework.deadline import in_time


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_is_done_in_time() -> None:
    assert await in_time(asyncio.sleep(0, "done"), 1) == "done"


@pytest.mark.parametrize("seconds", [0, -1, 5 * MS])
async def test_what_is_not(seconds: float) -> None:
    with pytest.raises(TimedOut, match="not done in time"):
        await in_time(forever(), seconds)


async def test_the_works_own_timeout_is_its_own() -> None:
    async def work() -> None:
        async with asyncio.timeout(0):
            await forever()

    with pytest.raises(TimeoutError) as raised:
        await in_time(work(), 5)
    assert not isinstance(raised.value, TimedOut)


async def test_a_cancellation_from_inside_is_an_error() -> None:
    async def work() -> None:
        task = asyncio.ensure_future(forever())
        task.cancel()
        await task

    with pytest.raises(RuntimeError, match="cancelled from inside"):
        await in_time(work(), 5)


async def test_a_cancellation_from_outside_is_one() -> None:
    task = asyncio.ensure_future(in_time(forever(), 5))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
