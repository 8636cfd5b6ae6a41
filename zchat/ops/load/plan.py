"""What a load consists of: who is in which room, and which message is due when.

Everything follows from numbers. Person `i` is in room `i % rooms` and is played by process
`i % processes`. The first talkers of each room talk in turn: message `g` is said by person
`g % talking`, and is due `g / (rate * talking)` seconds after the start. So every process knows the
intended time of every message that it is shown, whoever sent it, and however late.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import msgspec

SLOTS = 240
"""Stretches of time, at most, that latency is shown for."""


class Plan(msgspec.Struct, frozen=True):
    """A load."""

    prefix: str
    """Begins all names of people, rooms and messages; nobody else's may begin so."""
    people: int = 200
    """In all, evenly in the rooms."""
    rooms: int = 20
    talkers: int | None = None
    """How many of each room talk; None: all of them."""
    rate: float = 2.0
    """Messages a second and talker."""
    seconds: float = 30.0
    """That are measured."""
    warmup: float = 2.0
    """Seconds of the same before them, which are checked and not measured."""
    payload: int = 64
    """Characters of what is said."""
    processes: int = 1
    """That generate it."""

    @property
    def talking(self) -> int:
        """How many talk, in all rooms together: people 0, 1, 2 and so on."""
        if self.talkers is None:
            return self.people
        return min(self.people, self.talkers * self.rooms)

    @property
    def interval(self) -> float:
        """Seconds between two messages of the whole load."""
        return 1 / (self.rate * self.talking)

    @property
    def messages(self) -> int:
        """How many are sent, those of the warm-up included."""
        return ceil((self.warmup + self.seconds) * self.rate * self.talking)

    @property
    def unmeasured(self) -> int:
        """How many of them belong to the warm-up."""
        return ceil(self.warmup * self.rate * self.talking)

    @property
    def offered(self) -> float:
        """Deliveries a second that the cluster has to make."""
        each = (self.size(person % self.rooms) for person in range(self.talking))
        return self.rate * sum(each)

    @property
    def slot(self) -> float:
        """Seconds of one stretch of time that latency is shown for."""
        return max(min(1.0, self.seconds), self.seconds / SLOTS)

    @property
    def slots(self) -> int:
        """How many whole ones there are."""
        return int(self.seconds / self.slot + 1e-9)

    def size(self, room: int) -> int:
        """How many people are in a room."""
        return len(range(room, self.people, self.rooms))

    def person(self, number: int) -> str:
        """A person's name."""
        return f"{self.prefix}p{number}"

    def room(self, number: int) -> str:
        """The name of the room that a person is in."""
        return f"{self.prefix}r{number % self.rooms}"

    @property
    def room_names(self) -> list[str]:
        """Of the rooms that have somebody in them."""
        return [self.room(number) for number in range(min(self.rooms, self.people))]

    def id(self, message: int) -> str:
        """A message's id."""
        return f"{self.prefix}m{message}"

    def message(self, id_: str) -> int | None:
        """Which message has this id; None when it is none of this load's."""
        number = id_.removeprefix(f"{self.prefix}m")
        if number == id_ or not (number.isascii() and number.isdigit()):
            return None
        return int(number) if int(number) < self.messages else None

    def due(self, message: int) -> float:
        """When it is to be sent; seconds after the start."""
        return message * self.interval

    def people_of(self, process: int) -> range:
        """Whom a process plays."""
        return range(process, self.people, self.processes)

    def messages_of(self, process: int) -> Iterator[int]:
        """What they say, as it is due."""
        own = range(process, self.talking, self.processes)
        for first in range(0, self.messages, self.talking):
            for talker in own:
                if first + talker >= self.messages:
                    return
                yield first + talker
