"""What was asked and has no answer yet."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from zchat.cluster.envelope import Call, OnAnswer, Request

# Slots of deadlines per second: a deadline of seconds may be told a tenth late.
_SLOTS = 10


class Pending(msgspec.Struct, eq=False):
    """One question. A msgspec structure, because it is made in half the time."""

    envelope: Request | Call
    """What was asked, kept because it may be asked again."""

    size: int
    """Its bytes."""

    deadline: float
    """Seconds of our clock."""

    on_answer: OnAnswer
    """Gets the answer, once."""

    idempotent: bool
    """Asking twice does no harm."""

    slot: int = 0
    """Of the table that it is in."""


class PendingTable:
    """The questions to one peer by id, in the order they were asked.

    Their deadlines are in slots as those of a `Wheel`, but each question knows its own, which
    takes a quarter off the 0.8 us for which a question comes and goes.

    Its bound is kept by the Pipe that owns it, which looks at `held` before it adds.
    """

    __slots__ = ("_entries", "_slots", "held", "requests")

    def __init__(self) -> None:
        self.held = 0
        """Bytes of all questions."""
        self.requests = 0
        """How many of them are clients' requests."""
        self._entries: dict[int, Pending] = {}
        self._slots: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Pending]:
        return iter(list(self._entries.values()))

    def get(self, request_id: int) -> Pending | None:
        """The question, left where it is."""
        return self._entries.get(request_id)

    def add(self, pending: Pending) -> None:
        """Ids must rise: the order of the table is the order of the asking."""
        request_id = pending.envelope.id
        self._entries[request_id] = pending
        self.held += pending.size
        if type(pending.envelope) is Request:
            self.requests += 1
        pending.slot = slot = int(pending.deadline * _SLOTS) + 1
        try:
            self._slots[slot].add(request_id)
        except KeyError:
            self._slots[slot] = {request_id}

    def take(self, request_id: int) -> Pending | None:
        """The question, taken out; None if it is not (or no longer) there."""
        pending = self._entries.pop(request_id, None)
        if pending is not None:
            self.held -= pending.size
            if type(pending.envelope) is Request:
                self.requests -= 1
            ids = self._slots[pending.slot]
            ids.discard(request_id)
            if not ids:
                del self._slots[pending.slot]
        return pending

    def expire(self, now: float) -> list[Pending]:
        """Takes out the questions whose deadline has passed."""
        current = int(now * _SLOTS)
        slots = [slot for slot in self._slots if slot <= current]
        ids = sorted(due_id for slot in slots for due_id in self._slots.pop(slot))
        due = [self._entries.pop(due_id) for due_id in ids]
        self.held -= sum(pending.size for pending in due)
        self.requests -= sum(type(pending.envelope) is Request for pending in due)
        return due

    def clear(self) -> list[Pending]:
        """Takes out all of them."""
        taken = list(self._entries.values())
        for pending in taken:
            self.take(pending.envelope.id)
        return taken
