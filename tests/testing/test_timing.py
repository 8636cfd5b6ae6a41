"""Waiting for what has to become true."""

from __future__ import annotations

import asyncio

import pytest

from zchat.testing.timing import MS, PATIENCE, SCALE, eventually


async def test_what_is_true_is_returned_at_once() -> None:
    assert await eventually(lambda: "yes", 0) == "yes"


async def test_what_becomes_true_is_waited_for() -> None:
    found: list[int] = []
    asyncio.get_running_loop().call_later(20 * MS, found.append, 7)
    assert await eventually(lambda: found) == [7]


async def test_what_stays_false_fails_and_is_shown() -> None:
    with pytest.raises(AssertionError, match=r"still \[\] after 0\.0\d s"):
        await eventually(list, 20 * MS)


async def test_an_exception_is_not_caught() -> None:
    with pytest.raises(ZeroDivisionError):
        await eventually(lambda: 1 / 0)


def test_limits_are_multiples_of_one_unit() -> None:
    assert pytest.approx(0.001 * SCALE) == MS
    assert pytest.approx(5 * SCALE) == PATIENCE
