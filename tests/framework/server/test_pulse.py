"""How often something is looked at."""

from __future__ import annotations

import asyncio

from tests.support.timing import MS, eventually
from zchat.framework.server.pulse import Pulse

LONG = 3600.0


class Looks:
    """When they came, and how late."""

    def __init__(self, quick: float, slow: float, lively: float) -> None:
        self.times: list[float] = []
        self.late: list[float] = []
        self.pulse = Pulse(self.beat, quick, slow, lively)

    def beat(self, late: float) -> None:
        self.times.append(asyncio.get_running_loop().time())
        self.late.append(late)

    @property
    def count(self) -> int:
        return len(self.times)


async def test_it_is_quick_at_first_and_then_slow() -> None:
    looks = Looks(MS, LONG, 0.0)
    looks.pulse.start()
    await eventually(lambda: looks.count == 1)
    await asyncio.sleep(5 * MS)
    looks.pulse.cancel()
    assert looks.count == 1


async def test_it_stays_quick_for_a_while() -> None:
    looks = Looks(MS, LONG, LONG)
    looks.pulse.start()
    await eventually(lambda: looks.count >= 5)
    looks.pulse.cancel()


async def test_slow_beats_come_at_common_moments() -> None:
    looks = Looks(MS, 0.015625, 0.0)
    looks.pulse.start()
    await eventually(lambda: looks.count == 5)
    looks.pulse.cancel()
    due = [time - late for time, late in zip(looks.times, looks.late, strict=True)]
    assert all(abs(time / 0.015625 - round(time / 0.015625)) < 0.2 for time in due[1:])


async def test_who_stirs_it_does_not_wait_for_a_slow_beat() -> None:
    looks = Looks(MS, LONG, 0.0)
    looks.pulse.start()
    await eventually(lambda: looks.count == 1)
    looks.pulse.stir()
    looks.pulse.stir()
    await eventually(lambda: looks.count == 2)
    looks.pulse.cancel()


async def test_a_beat_may_stir_it() -> None:
    stirs = 0

    def beat(late: float) -> None:
        nonlocal stirs
        stirs += 1
        pulse.stir()

    pulse = Pulse(beat, MS, LONG, 0.0)
    pulse.start()
    await eventually(lambda: stirs >= 5)
    pulse.cancel()


async def test_nothing_comes_after_it_is_cancelled() -> None:
    looks = Looks(MS, MS, LONG)
    looks.pulse.stir()
    looks.pulse.cancel()
    looks.pulse.start()
    await eventually(lambda: looks.count >= 3)
    looks.pulse.cancel()
    looks.pulse.cancel()
    looks.pulse.stir()
    before = looks.count
    await asyncio.sleep(5 * MS)
    assert looks.count == before


async def test_one_that_fails_goes_on() -> None:
    errors: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: errors.append(context["exception"]))

    def beat(late: float) -> None:
        raise ValueError("it cannot be looked at")

    pulse = Pulse(beat, MS, LONG, LONG)
    pulse.start()
    await eventually(lambda: len(errors) >= 2)
    pulse.cancel()
