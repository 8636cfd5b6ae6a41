"""A deadline's end, told apart from ends that look like it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.support.timing import MS
from zchat.errors import TimedOut
from zchat.framework.peers.deadline import in_time


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_is_done_in_time() -> None:
    assert await in_time(asyncio.sleep(0, "done"), 1) == "done"


@pytest.fixture(params=["on a timer", "in the wheel"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the loop is told of short deadlines, and of long ones."""
    if request.param == "in the wheel":
        monkeypatch.setattr("zchat.framework.peers.deadline._LONG", -2)
        monkeypatch.setattr("zchat.framework.peers.deadline._GRANULARITY", 2 * MS)
    return str(request.param)


@pytest.mark.usefixtures("kind")
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


@pytest.mark.usefixtures("kind")
async def test_a_task_goes_on_after_a_deadline() -> None:
    """Even when the work does not let itself be ended, or ends in another way."""

    async def stubborn(then: str) -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        if then == "fails":
            raise ValueError
        return then

    assert await in_time(stubborn("returns"), 5 * MS) == "returns"
    with pytest.raises(ValueError):  # noqa: PT011 (the one above)
        await in_time(stubborn("fails"), 5 * MS)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("outer", [5 * MS, 5])
async def test_one_inside_of_another(outer: float) -> None:
    """Each passes for itself."""
    inner: list[str] = []

    async def work() -> str:
        try:
            await in_time(forever(), 5 - outer + 5 * MS)
        except TimedOut:
            inner.append("passed")
        return "done"

    if outer == 5:
        assert await in_time(work(), outer) == "done"
        assert inner == ["passed"]
    else:
        with pytest.raises(TimedOut):
            await in_time(work(), outer)
        assert inner == []


@pytest.mark.usefixtures("kind")
async def test_a_cancellation_that_comes_with_the_deadline_is_not_lost() -> None:
    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await forever()
        finally:
            task.cancel()

    task = asyncio.ensure_future(in_time(work(), 5 * MS))
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_is_one() -> None:
    task = asyncio.ensure_future(in_time(forever(), 5))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
