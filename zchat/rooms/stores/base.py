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
      the outcome is unknown: the caller reads the tail before it writes to those channels again.
    - Old publications go by count and by age; offsets never come back.
    - Calls may run at the same time; appends to one channel are made one after the other.
    """

    async def open(self, channel: str) -> StreamPosition:
        """Where the channel ends; a channel never seen gets its epoch here, at offset 0."""
        ...

    async def append(self, appends: Sequence[Append]) -> Sequence[Outcome]:
        """Write each run; the outcomes come in the same order."""
        ...

    async def read(self, channel: str, after: int, limit: int) -> History:
        """At most `limit` publications with offsets above `after`, oldest first."""
        ...

    def let_go(self, channel: str) -> None:
        """Another owner writes this channel from now on; only a store that is shared knows how
        it goes on, and any other must begin a new epoch when the channel comes back."""

    async def close(self) -> None:
        """Finish what is under way and let go of all resources. Idempotent."""
        ...
