"""What the people of one process said and were shown, in little memory, and how late it was.

A publication is read once: the bytes that other members are shown are the same, and so they are
looked up. What a person was shown is then a row of numbers.
"""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

from zchat.ops.load.histogram import Histogram
from zchat.ops.load.plan import Plan

MAX_KNOWN = 10_000
"""Packages that are remembered with what they say."""


class Publication(NamedTuple):
    """One that somebody was shown."""

    id: str
    epoch: str
    offset: int
    sender: str


class Shown(NamedTuple):
    """What a package says."""

    number: int
    """Of the publication; -1 when it is none."""
    due: float
    """When it was to be sent, a time of the clock."""
    slot: int
    """The stretch of time in which that is; -1 when it is not measured."""


NOTHING = Shown(-1, inf, -1)
"""What a package says that is no publication."""


class Tape:
    """The notes of one process.

    `known` holds at most `MAX_KNOWN` packages. When full, it is emptied, and packages are read
    again: that costs time and loses nothing.

    Args:
        plan: of the load.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._numbers: dict[Publication, int] = {}
        self._start = self._begin = inf
        slots = plan.slots + 1  # the last may be a part of one
        self.known: dict[bytes, Shown] = {}
        """Packages that were read already."""
        self.publications: list[Publication] = []
        """By number."""
        self.entered = 0
        self.gone = 0
        """Who was thrown out."""
        self.sent = 0
        self.answered = 0
        """Messages with an answer, whatever it says."""
        self.owed = 0
        """Deliveries that the acknowledgements promise, to people of all processes."""
        self.received = 0
        """Deliveries."""
        self.delivered = [Histogram() for _ in range(slots)]
        """From the intended time of sending to each member; by when it was to be sent."""
        self.acknowledged = Histogram()
        """From the intended time of sending to the answer."""
        self.late = Histogram()
        """From the intended time of sending to the sending: the generator's own delay."""
        self.arrived = [0] * slots
        """Deliveries, by when they came."""

    def start(self, at: float) -> None:
        """The load begins at this time of the clock."""
        self._start = at
        self._begin = at + self._plan.warmup

    def due(self, message: int) -> float:
        """When a message is to be sent, a time of the clock."""
        return self._start + self._plan.due(message)

    def measures(self, message: int) -> bool:
        """Whether it comes after the warm-up."""
        return message >= self._plan.unmeasured

    def learn(self, package: bytes, publication: Publication | None) -> Shown:
        """Remember what a package says."""
        if len(self.known) >= MAX_KNOWN:
            self.known.clear()
        shown = self.known[package] = NOTHING if publication is None else self.shown(publication)
        return shown

    def shown(self, publication: Publication) -> Shown:
        """The publication's number, and when it was to be sent."""
        number = self._numbers.setdefault(publication, len(self.publications))
        if number == len(self.publications):
            self.publications.append(publication)
        message = self._plan.message(publication.id)
        if message is None or not self.measures(message) or self._start == inf:
            return Shown(number, inf, -1)
        due = self.due(message)
        return Shown(number, due, int((due - self._begin) / self._plan.slot))

    def count(self, shown: Shown, now: float) -> None:
        """Somebody was shown a publication."""
        self.received += 1
        if shown.slot >= 0:
            self.delivered[shown.slot].add(now - shown.due)

    def count_arrivals(self, number: int, now: float) -> None:
        """So many came with one read."""
        slot = int((now - self._begin) / self._plan.slot) if now >= self._begin else -1
        if 0 <= slot < len(self.arrived):
            self.arrived[slot] += number


def publication_of(body: Any, sender: str) -> Publication:
    """The publication that a push's body tells of."""
    return Publication(body["id"], body["epoch"], body["offset"], sender)
