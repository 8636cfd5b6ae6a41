"""The order of calls to a channel, whatever its owners answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from zchat.errors import Unavailable
from zchat.framework.channels.convoy import Convoy
from zchat.rooms.ring import Ring

HERE, THERE = "chat-1", "chat-2"


class World:
    """A convoy, a ring that the test changes, and the calls that are under way."""

    def __init__(self) -> None:
        self.ring = Ring(1, [HERE])
        self.convoy = Convoy("room", lambda: self.ring, HERE)
        self.under_way: dict[int, asyncio.Future[bool]] = {}
        self.taken: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def move(self, owner: str) -> None:
        self.ring = Ring(self.ring.generation + 1, [owner])

    def call(self) -> int:
        """Somebody calls."""
        number, loop = self.convoy.number(), asyncio.get_running_loop()
        gone = self.convoy.go()
        if gone:
            self.under_way[number] = loop.create_future()
        self.tasks[number] = loop.create_task(self._follow(number, gone))
        return number

    async def _follow(self, number: int, gone: bool) -> None:
        taken = False
        while not taken:
            if not gone:
                await self.convoy.turn(number)
                self.under_way[number] = asyncio.get_running_loop().create_future()
            try:
                taken, gone = await self.under_way[number], False
                self.convoy.taken = taken
            finally:
                self.under_way.pop(number, None)
                self.convoy.end()
        self.taken.append(number)

    async def calls(self, count: int) -> None:
        for _ in range(count):
            self.call()
        await self.settle()

    async def answer(self, *numbers: int, taken: bool = True) -> None:
        """These are taken, or sent back."""
        for number in numbers:
            self.under_way.pop(number).set_result(taken)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(300):
            await asyncio.sleep(0)

    @property
    def away(self) -> list[int]:
        return list(self.under_way)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    for task in world.tasks.values():
        task.cancel()
    await asyncio.gather(*world.tasks.values(), return_exceptions=True)


async def test_at_an_owner_here_calls_go_side_by_side(world: World) -> None:
    await world.calls(3)
    assert world.away == [1, 2, 3]
    await world.answer(1, 2, 3)
    assert world.convoy.empty


async def test_elsewhere_one_goes_ahead_until_it_was_taken(world: World) -> None:
    world.move(THERE)
    await world.calls(4)
    assert world.away == [1]
    await world.answer(1)
    assert world.away == [2, 3, 4]
    await world.calls(1)
    assert world.away == [2, 3, 4, 5]
    await world.answer(2, 3, 4, 5)
    assert world.convoy.empty


async def test_after_a_change_of_the_ring_calls_wait_for_those_before(world: World) -> None:
    await world.calls(2)
    world.move(THERE)
    await world.calls(2)
    await world.answer(2)
    assert world.away == [1]
    await world.answer(1)
    assert world.away == [3], "that the former owner took them says nothing of this one"


async def test_what_is_sent_back_goes_before_what_was_called_later(world: World) -> None:
    await world.calls(3)
    world.move(THERE)
    await world.calls(1)
    await world.answer(2, taken=False)
    await world.calls(1)
    assert world.away == [1, 3]
    await world.answer(1, 3, taken=False)
    assert world.away == [1]
    await world.answer(1, taken=False)
    assert world.away == [1]
    await world.answer(1)
    assert world.away == [2, 3, 4, 5]


@pytest.mark.parametrize("quitter", [1, 2, 3])
@pytest.mark.parametrize("turns", range(5))
async def test_who_gives_up_holds_nobody_up(world: World, quitter: int, turns: int) -> None:
    """Whether it waits, was just woken, or is under way."""
    world.move(THERE)
    await world.calls(4)
    world.under_way.pop(1).set_result(False)
    for _ in range(turns):
        await asyncio.sleep(0)
    world.tasks[quitter].cancel()
    await world.settle()
    while world.away:
        await world.answer(world.away[0])
    assert world.taken == [number for number in (1, 2, 3, 4) if number != quitter]
    assert world.convoy.empty


async def test_when_full_further_calls_are_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zchat.framework.channels.convoy.LIMIT", 2)
    world.move(THERE)
    await world.calls(3)
    with pytest.raises(Unavailable, match="too many calls wait for room"):
        world.call()
    await world.answer(1)
    await world.answer(2, 3)
    assert world.convoy.empty


class Owner:
    """What the owner by one ring does with calls, in the order in which they reach it.

    One elsewhere may not know yet that it is the owner; each may lose the room.
    """

    def __init__(self, dice: random.Random, here: bool) -> None:
        self.unaware = 0 if here else dice.choice([0, 0, 1, 2, 5])
        self.takes = dice.choice([0, 3, 10, 1000])

    def takes_it(self) -> bool:
        if self.unaware:
            self.unaware -= 1
            return False
        self.takes -= 1
        return self.takes >= 0


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_moves_calls_are_taken_in_order(world: World, seed: int) -> None:
    dice = random.Random(seed)
    owners: dict[int, Owner] = {}
    verdicts: dict[int, bool] = {}
    made = 0
    while made < 100 or not world.convoy.empty:
        await asyncio.sleep(0)
        for number in world.away:  # what goes reaches its owner at once; answers take time
            if number not in verdicts:
                here = world.ring.owner("room") == HERE
                owner = owners.setdefault(world.ring.generation, Owner(dice, here))
                verdicts[number] = owner.takes_it()
        action = dice.random()
        if action < 0.4 and made < 100:
            made = world.call()
        elif action < 0.5 or (made == 100 and action < 0.6):
            world.move(dice.choice([HERE, THERE]))
        elif world.under_way:
            number = next(iter(world.under_way))
            world.under_way.pop(number).set_result(verdicts.pop(number))
    assert world.taken == list(range(1, 101))
