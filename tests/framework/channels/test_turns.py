"""Lines before channels."""

from __future__ import annotations

import asyncio

import pytest

from zchat.errors import RequestError, Unavailable
from zchat.framework.channels.turns import Turns


class Visitors:
    """Each takes a turn, in which it waits for the door."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.door = asyncio.Event()
        self.went: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.error: Exception | None = None

    async def go(self, number: int) -> None:
        async with self.turns.take("room"):
            await self.door.wait()
            if self.error is not None:
                raise self.error
        self.went.append(number)

    async def come(self, *numbers: int) -> None:
        loop = asyncio.get_running_loop()
        self.tasks += [loop.create_task(self.go(number)) for number in numbers]
        await asyncio.sleep(0)


@pytest.fixture
async def visitors() -> Visitors:
    return Visitors(Turns())


async def test_first_come_first_served_whoever_comes_while_the_door_opens(
    visitors: Visitors,
) -> None:
    await visitors.come(1, 2, 3)
    assert "room" in visitors.turns
    assert "other" not in visitors.turns
    visitors.door.set()
    for number in range(4, 10):
        await visitors.come(number)
    await asyncio.gather(*visitors.tasks)
    assert visitors.went == list(range(1, 10))
    assert "room" not in visitors.turns


async def test_who_gives_up_holds_nobody_up(visitors: Visitors) -> None:
    await visitors.come(1, 2, 3)
    for task in visitors.tasks[:2]:
        task.cancel()
    visitors.door.set()
    await asyncio.gather(*visitors.tasks, return_exceptions=True)
    assert visitors.went == [3]
    assert "room" not in visitors.turns


async def test_who_fails_fails_for_all_behind_it(visitors: Visitors) -> None:
    await visitors.come(1, 2, 3)
    visitors.error = Unavailable("no")
    visitors.door.set()
    await asyncio.wait(visitors.tasks[:1])
    visitors.error = None
    await visitors.come(4)
    results = await asyncio.gather(*visitors.tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3 + [type(None)]
    assert visitors.went == [4]
    assert "room" not in visitors.turns


async def test_a_fault_of_ours_is_no_failure_of_the_channel(visitors: Visitors) -> None:
    await visitors.come(1, 2)
    visitors.error = KeyError("ours")
    visitors.door.set()
    results = await asyncio.gather(*visitors.tasks, return_exceptions=True)
    assert [type(result) for result in results] == [KeyError, KeyError]
    assert "room" not in visitors.turns


async def test_when_full_further_ones_are_refused_and_counted() -> None:
    visitors = Visitors(Turns(limit=2))
    await visitors.come(1, 2, 3)
    visitors.door.set()
    results = await asyncio.gather(*visitors.tasks, return_exceptions=True)
    assert isinstance(results[2], RequestError)
    assert str(results[2]) == "too many wait for room"
    assert (visitors.went, visitors.turns.refused) == ([1, 2], 1)
