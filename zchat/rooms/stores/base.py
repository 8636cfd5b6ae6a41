"""The contract of a journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from zchat.rooms.stream import Publication, StreamPosition


@dataclass(frozen=True, slots=True)
class Append:
    """A run of publications for one channel; at least one, offsets without holes."""

    channel: str
    epoch: str
    publications: Sequence[Publication]

    @property
    def start(self) -> StreamPosition:
        """The tail that it goes on from."""
        return StreamPosition(self.epoch, self.publications[0].offset - 1)

    @property
    def end(self) -> StreamPosition:
        """The tail that it makes."""
        return StreamPosition(self.epoch, self.publications[-1].offset)


@dataclass(frozen=True, slots=True)
class Stored:
    """The append is in the journal."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was written. `tail` is where the channel really ends."""

    tail: StreamPosition


Outcome = Stored | Refused


@dataclass(frozen=True, slots=True)
class History:
    """Publications of one channel in order, and where the channel ended when they were read."""

    publications: Sequence[Publication]
    tail: StreamPosition


class Store(Protocol):
    """What every journal must keep.

    - An append is all or nothing, and only goes on from the tail: with another epoch, or a first
      offset that is not the tail's + 1, it is `Refused`. Two writers can so never both number.
    - `append` returns when every run in it is as durable as the store promises. When it raises,
      the outcome is unknown, of each run by itself: the caller reads the tail before it writes to
      those channels again. A RequestError that it raises is for the senders to see.
    - Old publications go by count and by age, oldest first; offsets never come back, and an epoch
      (letters, digits, `-` and `_`) is never used twice.
    - Calls may run at the same time; appends to one channel are made one after the other.
    - A channel that was opened and not let go is never forgotten.
    """

    async def open(self, channel: str) -> StreamPosition:
        """Where the channel ends; a channel never seen gets its epoch here, at offset 0."""
        ...

    async def append(self, appends: Sequence[Append]) -> Sequence[Outcome]:
        """Write each run; the outcomes come in the same order."""
        ...

    async def read(self, channel: str, after: int, limit: int) -> History:
        """At most `limit` publications with offsets above `after`, oldest first.

        The first is later than `after + 1` only when what lies between is kept no more.
        """
        ...

    def let_go(self, channel: str, *, moved: bool) -> None:
        """The caller has no use for the channel until it opens it again.

        Args:
            moved: another owner writes it from now on. Only a store that is shared knows how it
                goes on; any other must begin a new epoch when the channel comes back.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way and let go of all resources. Idempotent."""
        ...
