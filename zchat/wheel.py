"""A timer wheel: many deadlines, few of which are ever reached.

Ten thousand connections each push their heartbeat deadline forward every few seconds. A timer of
the event loop per connection would cost a heap operation, a handle and a closure each time; here it
costs moving the item from one set to another. Time is an argument: the wheel knows no clock.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Wheel(Generic[T]):
    """Deadlines in slots of equal width; every operation on one item is O(1).

    An item is due at the end of the slot that its deadline falls into: never early, late by at most
    `granularity` plus the time until `expire` is called next. One ticker per process calls that.

    Holds one entry per scheduled item and nothing else, so whoever bounds the items bounds the
    wheel.

    Args:
        granularity: width of a slot, in the unit of the deadlines (seconds, usually).

    Raises:
        ValueError: the granularity is not positive.
    """

    __slots__ = ("_granularity", "_slot_of", "_slots")

    def __init__(self, granularity: float) -> None:
        if not granularity > 0:
            raise ValueError(f"granularity must be positive, not {granularity!r}")
        self._granularity = granularity
        self._slot_of: dict[T, int] = {}
        self._slots: dict[int, set[T]] = {}

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, item: object) -> bool:
        return item in self._slot_of

    def schedule(self, item: T, deadline: float) -> None:
        """Makes `item` due at `deadline`, in place of any deadline it had."""
        slot = math.ceil(deadline / self._granularity)
        old = self._slot_of.get(item)
        if old == slot:
            return
        if old is not None:
            self._take_out(item, old)
        self._slot_of[item] = slot
        try:
            self._slots[slot].add(item)
        except KeyError:
            self._slots[slot] = {item}

    def touch(self, item: T, deadline: float) -> bool:
        """Moves the deadline of `item` if it has one.

        Returns:
            Whether it had one: an item that was cancelled or has expired stays that way.
        """
        if item not in self._slot_of:
            return False
        self.schedule(item, deadline)
        return True

    def cancel(self, item: T) -> None:
        """Forgets `item`; not an error if it has no deadline."""
        slot = self._slot_of.pop(item, None)
        if slot is not None:
            self._take_out(item, slot)

    def expire(self, now: float) -> list[T]:
        """Takes out all items that are due at `now`.

        Costs one look at each occupied slot (their number depends on the longest deadline and the
        granularity, not on the number of items), and O(1) per item returned.

        Returns:
            The items, those with earlier slots first.
        """
        current = math.floor(now / self._granularity)
        due: list[T] = []
        for slot in sorted(slot for slot in self._slots if slot <= current):
            due.extend(self._slots.pop(slot))
        for item in due:
            del self._slot_of[item]
        return due

    def _take_out(self, item: T, slot: int) -> None:
        items = self._slots[slot]
        items.discard(item)
        if not items:
            del self._slots[slot]
