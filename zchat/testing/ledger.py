"""What is known to be published in a room, by whoever said so: senders, receivers, the journal."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from zchat.testing.events import Acked, Refused, Sent
from zchat.testing.verdict import Kind, Problem

Place = tuple[str, int]
"""(epoch, offset)"""


class Ledger:
    """The publications of one room: one place for each, one for each place.

    Args:
        room: its name.
    """

    __slots__ = ("_lists", "acked", "epochs", "homes", "places", "refused", "room", "sent")

    def __init__(self, room: str) -> None:
        self.room = room
        self.sent: dict[str, Sent] = {}
        """By id."""
        self.acked: dict[str, Acked] = {}
        """By id."""
        self.refused: dict[str, Refused] = {}
        """By id."""
        self.places: dict[Place, str] = {}
        """Who is where, as it was first said."""
        self.homes: dict[str, Place] = {}
        """Where each is, as it was first said."""
        self.epochs: dict[str, int] = {}
        """The room's epochs, numbered as they were first heard of."""
        self._lists: dict[str, _Offsets] = {}

    def number(self, epoch: str) -> int:
        """Which of the room's epochs this is."""
        return self.epochs.setdefault(epoch, len(self.epochs))

    def claim(self, id_: str, epoch: str, offset: int, at: float, by: str) -> Problem | None:
        """Somebody says that a publication is at a place; the first who does is believed.

        Args:
            at: when.
            by: the client that says so, or `the journal`.

        Returns:
            What is wrong with it.
        """
        place = (epoch, offset)
        there = self.places.setdefault(place, id_)
        if there != id_:
            text = f"{self.room} {epoch}:{offset} is {there}, and {id_} for {by}"
            return Problem(Kind.CLASH, text, self.room, by, id_, at)
        home = self.homes.setdefault(id_, place)
        if home != place:
            del self.places[place]  # it counts once, where it was first
            text = f"{self.room} {id_} is at {home[0]}:{home[1]}, and at {epoch}:{offset} for {by}"
            return Problem(Kind.MOVED, text, self.room, by, id_, at)
        return None

    def may_see(self, id_: str, client: str) -> bool:
        """Whether a publication is for this client, or its own."""
        sent = self.sent[id_]
        return sent.to is None or client in sent.to or client == sent.client

    def owed(self, client: str, epoch: str, after: int, upto: float) -> Iterator[int]:
        """The offsets that this client must have of a stretch, `after` < offset <= `upto`.

        The sender of a private message is shown it when it is acknowledged, not by the room.
        All claims have been made before.
        """
        if not self._lists:
            self._sort()
        offsets = self._lists.get(epoch)
        if offsets is not None:
            yield from _between(offsets.for_all, after, upto)
            yield from _between(offsets.private.get(client, []), after, upto)

    def _sort(self) -> None:
        for (epoch, offset), id_ in sorted(self.places.items()):
            offsets = self._lists.setdefault(epoch, _Offsets())
            to = self.sent[id_].to
            if to is None:
                offsets.for_all.append(offset)
            for client in to or ():
                offsets.private.setdefault(client, []).append(offset)


class _Offsets:
    """The offsets of one epoch, rising."""

    __slots__ = ("for_all", "private")

    def __init__(self) -> None:
        self.for_all: list[int] = []
        self.private: dict[str, list[int]] = {}


def _between(offsets: list[int], after: int, upto: float) -> Iterator[int]:
    for index in range(bisect_right(offsets, after), len(offsets)):
        if offsets[index] > upto:
            return
        yield offsets[index]
