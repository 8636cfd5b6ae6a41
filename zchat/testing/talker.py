"""A simulated person: talks in a room at a random pace, comes back, and writes everything down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from zchat.client import Backoff, Client, Hole, Room, State, StateChange
from zchat.errors import RequestError, TimedOut
from zchat.testing.events import (
    Acked,
    Ended,
    Entered,
    Event,
    HistoryLost,
    Lost,
    PeopleSeen,
    Received,
    Refused,
    Sent,
)

Body = dict[str, Any]

PATIENCE = 60.0
"""Seconds that something said may take until it is acknowledged, through whatever happens."""

OFTEN_AWAY = 0.2
"""How many of all losses keep somebody away for a while, instead of for a blink."""


@dataclass(frozen=True, slots=True)
class Talk:
    """How an application's clients enter a room and talk there: its routes and its bodies."""

    enter: str
    """Route of the request that enters a room."""

    entering: Callable[[str, str], Body]
    """(uid, room) -> its body."""

    people: str
    """The member of its answer that lists the uids in the room."""

    send: str
    """Route of the request that says something there."""

    sending: Callable[[str, str | None], Body]
    """(text, uid or None for all) -> its body."""

    history: str
    """Route of the request that pages through what was said."""

    said: str
    """Route of the push of what was said; zchat's own members are in its body."""

    sender: Callable[[Body], str]
    """Its body -> the uid of who said it."""

    came: str
    """Route of the push of somebody's coming."""

    went: str
    """Route of the push of somebody's going."""

    who: Callable[[Body], str]
    """The body of either -> the uid of whom it is about."""


class Talker:
    """One client in one room, with all the recovery that zchat's client has.

    Args:
        url: of the gate.
        talk: how the application's clients talk.
        name: its uid.
        room: where it goes.
        rng: its own randomness.
        events: where it writes what happens.
        clock: seconds.
        away: seconds that it may stay away after a loss, now and then.
    """

    def __init__(
        self,
        url: str,
        talk: Talk,
        name: str,
        room: str,
        *,
        rng: Random,
        events: list[Event],
        clock: Callable[[], float],
        away: float,
    ) -> None:
        self.name = name
        self.room = room
        self._talk = talk
        self._rng = rng
        self._events = events
        self._clock = clock
        self._away = away
        self._count = 0
        self._people: list[str] = []
        self._here = False
        self._meant = True  # whether it is to be offline
        self.client = Client(
            url,
            uid=name,
            backoff=Backoff(base=0.1, cap=2.0, random=rng.random),
            sleep=self._stay_away,
        )
        self._place = Room(
            self.client,
            enter=talk.enter,
            body=talk.entering(name, room),
            history=talk.history,
            prefix=name,
        )
        self._place.on_entered(self._entered)
        self._place.on_lost(self._history_lost)
        self._place.on(talk.said, self._received)
        self._place.on(talk.came, lambda body: self._people.append(talk.who(body)))
        self._place.on(talk.went, self._went)
        self.client.on_state(self._changed)

    @property
    def online(self) -> bool:
        """Whether it is in its room now."""
        return self.client.state is State.ONLINE

    async def start(self) -> None:
        """Come in. Raises what `Client.start` raises."""
        await self.client.start()
        self._meant = False

    async def close(self) -> None:
        """Go, for good; nothing more is written."""
        self._meant, self._here = True, False
        await self.client.close()

    async def live(self, until: float, rate: float, private: float) -> None:
        """Talk: `rate` times a second on average, and so much of it to one person alone."""
        while True:
            await asyncio.sleep(self._rng.expovariate(rate))
            if self._clock() >= until:
                return
            others = [user for user in self._people if user != self.name]
            alone = bool(others) and self._rng.random() < private
            await self.say(self._rng.choice(others) if alone else None)

    async def say(self, to: str | None = None) -> None:
        """Say something, and wait until it is known what became of it."""
        self._count += 1
        text = f"{self.name}-{self._count}"
        self._note(Sent, text, None if to is None else (to,))
        talk = self._talk
        try:
            answer = await self._place.send(
                talk.send, talk.sending(text, to), cid=text, timeout=PATIENCE
            )
        except RequestError as error:
            if error.code != TimedOut.code and error.fields.get("outcome") != "unknown":
                self._note(Refused, text, str(error))
        except ConnectionError:
            return  # it is over with this client, which was written down
        else:
            self._note(Acked, text, answer["epoch"], answer["offset"])

    def look(self) -> None:
        """Write down who is here."""
        if self._here:
            self._note(PeopleSeen, tuple(self._people))

    def end(self, why: str) -> None:
        """Write down that something is wrong with it that nobody meant."""
        self._here = False
        self._note(Ended, why)

    def _entered(self, answer: Body) -> None:
        self._people = list(answer[self._talk.people])
        self._here = True
        place = answer["position"]
        recovered = answer.get("recovered")
        self._note(Entered, place["epoch"], place["offset"], recovered, tuple(self._people))

    def _received(self, body: Body) -> None:
        sender = self._talk.sender(body)
        self._note(Received, body["epoch"], body["offset"], body["id"], sender)

    def _history_lost(self, hole: Hole) -> None:
        self._note(HistoryLost, hole.epoch, hole.after, hole.before)

    def _went(self, body: Body) -> None:
        uid = self._talk.who(body)
        if uid in self._people:
            self._people.remove(uid)

    def _changed(self, change: StateChange) -> None:
        if change.state is State.OFFLINE and not self._meant:
            self.end("offline" if change.ending is None else change.ending.reason)
        elif change.state is State.RECONNECTING and self._here:
            self._here = False
            self._note(Lost)

    async def _stay_away(self, delay: float) -> None:
        if self._rng.random() < OFTEN_AWAY:
            delay += self._rng.uniform(0, self._away)
        await asyncio.sleep(delay)

    def _note(self, kind: Callable[..., Event], *fields: Any) -> None:
        self._events.append(kind(self._clock(), self.name, self.room, *fields))
