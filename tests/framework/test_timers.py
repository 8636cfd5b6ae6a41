"""What is done regularly."""

from __future__ import annotations

import asyncio

from tests.support.timing import MS, eventually
from zchat.framework.timers import Timers


async def test_they_run_until_they_are_cancelled() -> None:
    timers = Timers()
    counts = {"often": 0, "seldom": 0}

    def count(name: str) -> None:
        counts[name] += 1

    timers.every(MS, lambda: count("often"))
    timers.every(3600, lambda: count("seldom"))
    await eventually(lambda: counts["often"] >= 3)
    timers.cancel()
    timers.cancel()
    before = counts["often"]
    await asyncio.sleep(5 * MS)
    assert counts == {"often": before, "seldom": 0}


async def test_one_that_fails_goes_on() -> None:
    timers = Timers()
    errors: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: errors.append(context["exception"]))
    timers.every(MS, lambda: [][1])
    await eventually(lambda: len(errors) >= 2)
    timers.cancel()
