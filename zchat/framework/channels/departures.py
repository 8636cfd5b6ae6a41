"""Sessions that an owner has put out of channels, by orders that may have been lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from zchat.rooms.presence import SessionRef

LIMIT = 10_000


class Departure(NamedTuple):
    """An order to a frontend that put a session out."""

    method: str
    args: tuple[Any, ...]


class Departures:
    """The latest orders, by channel and session.

    An order is lost with the link that it goes by, and then its frontend claims the session with
    the announce that follows: the order is given again, and the claim does not count.

    When full (10,000), the oldest is forgotten: a claim of that session would bring it back.
    """

    def __init__(self) -> None:
        self._orders: dict[tuple[str, SessionRef], Departure] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, channel: str, ref: SessionRef, departure: Departure) -> None:
        """It was put out of the channel by this order."""
        self.forget(channel, ref)
        self._orders[channel, ref] = departure
        if len(self._orders) > LIMIT:
            del self._orders[next(iter(self._orders))]

    def forget(self, channel: str, ref: SessionRef) -> None:
        """It is let in again."""
        self._orders.pop((channel, ref), None)

    def get(self, channel: str, ref: SessionRef) -> Departure | None:
        """The order that put it out; None when it was not put out, or has come in since."""
        return self._orders.get((channel, ref))

    def keep(self, ours: Callable[[str], bool]) -> None:
        """Others own channels now: who comes and goes there is not for us to say any more."""
        moved = [key for key in self._orders if not ours(key[0])]
        for key in moved:
            del self._orders[key]
