"""Many simulated people in many rooms, for a checker to judge what they were shown.

swarm = Swarm("ws://127.0.0.1:3014", talk, Plan(seed=7))
await swarm.enter()
await swarm.live(60)
await swarm.settle(grace=5.0)
await swarm.leave()
verdict = check(swarm.events, journal, grace=5.0)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from zchat.client import Client, raise_for_code
from zchat.errors import ZchatError
from zchat.testing.checker import GRACES
from zchat.testing.events import Counted, Event
from zchat.testing.talker import Talk, Talker

AT_ONCE = 20
"""People who come in at the same time."""

SETTLE = 60.0
"""Seconds after which who has not come back never will."""

_GLANCE = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """What a swarm does."""

    seed: int
    people: int = 200
    rooms: int = 20
    rate: float = 0.5
    """Messages per second and person, on average."""
    private: float = 0.2
    """How much of what is said is for one person alone, of 1."""
    cuts: float = 1.0
    """Connections that are cut off per second, on average."""
    away: float = 3.0
    """Seconds that who was cut off may stay away, now and then."""
    prefix: str = "p"
    """Begins all names of people and rooms; nobody else's may begin so."""


class Swarm:
    """The people of a plan.

    Args:
        url: of the gate.
        talk: how the application's clients talk.
        plan: what they do.
        clock: seconds.
    """

    def __init__(
        self, url: str, talk: Talk, plan: Plan, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.plan = plan
        self.events: list[Event] = []
        """All that happened; a harness adds its faults."""
        self.clock = clock
        self._url = url
        self._talk = talk
        self._rng = Random(plan.seed)
        self.talkers = [self._talker(number) for number in range(plan.people)]

    @property
    def rooms(self) -> list[str]:
        """Where they are."""
        return sorted({talker.room for talker in self.talkers})

    async def enter(self) -> None:
        """Everybody comes in.

        Raises:
            ZchatError: somebody could not.
        """
        door = asyncio.Semaphore(AT_ONCE)

        async def come(talker: Talker) -> None:
            async with door:
                await talker.start()

        async with asyncio.TaskGroup() as group:
            for talker in self.talkers:
                group.create_task(come(talker))

    async def live(self, seconds: float) -> None:
        """Everybody talks, and now and then somebody is cut off."""
        until = self.clock() + seconds
        cutting = asyncio.create_task(self._cut())
        try:
            async with asyncio.TaskGroup() as group:
                for talker in self.talkers:
                    group.create_task(talker.live(until, self.plan.rate, self.plan.private))
        finally:
            cutting.cancel()
            await asyncio.wait({cutting})

    async def settle(self, grace: float) -> None:
        """Wait until everybody is back and nothing happens any more; then all look around.

        Who does not come back is written down as ended.
        """
        quiet = GRACES * grace + 2.0
        limit = self.clock() + SETTLE + quiet
        while self.clock() < limit:
            away = any(not talker.online for talker in self.talkers)
            if not away and self.clock() - self._last() >= quiet:
                break
            await asyncio.sleep(_GLANCE)
        for talker in self.talkers:
            if not talker.online:
                talker.end("it did not come back")
            talker.look()

    async def leave(self) -> None:
        """Everybody goes."""
        await asyncio.gather(*(talker.close() for talker in self.talkers))

    async def come_again(self, limit: float) -> None:
        """See that every name is free after everybody has left; whose is not, is ended.

        Args:
            limit: seconds after which a name must be free.
        """
        door = asyncio.Semaphore(AT_ONCE)
        deadline = self.clock() + limit

        async def come(talker: Talker) -> None:
            async with door:
                if not await self._can_come(talker, deadline):
                    talker.end("its name is not free again")

        await asyncio.gather(*(come(talker) for talker in self.talkers))

    async def _can_come(self, talker: Talker, deadline: float) -> bool:
        """Whether somebody new can have this name by then; one attempt is always made."""
        while True:
            try:
                async with Client(self._url, uid=talker.name, reconnect=False) as client:
                    body = self._talk.entering(talker.name, talker.room)
                    raise_for_code(await client.request(self._talk.enter, body))
            except (ZchatError, ConnectionError):
                if self.clock() >= deadline:
                    return False
                await asyncio.sleep(_GLANCE)
            else:
                return True

    async def _cut(self) -> None:
        if not self.plan.cuts:
            return
        while True:
            await asyncio.sleep(self._rng.expovariate(self.plan.cuts))
            self._rng.choice(self.talkers).client.drop("cut off on purpose")

    def _last(self) -> float:
        """When something happened last."""
        for event in reversed(self.events):
            if not isinstance(event, Counted):
                return event.at
        return self.clock()

    def _talker(self, number: int) -> Talker:
        plan = self.plan
        name = f"{plan.prefix}p{number}"
        return Talker(
            self._url,
            self._talk,
            name,
            f"{plan.prefix}r{number % plan.rooms}",
            rng=Random(f"{plan.seed}-{number}"),
            events=self.events,
            clock=self.clock,
            away=plan.away,
        )
