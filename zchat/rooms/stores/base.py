"""The contract of a journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from zchat.errors import RequestError
from zchat.rooms.stream import Publication, StreamPosition


class JournalFull(RequestError):
    """The disk is full: nothing was written, and what is there can still be read."""

    code = 507


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


@dataclass(frozen=True, slots=True)
class Fenced:
    """Nothing was written: the ring is of a newer generation than the writer knows."""

    generation: int


Outcome = Stored | Refused | Fenced


@dataclass(frozen=True, slots=True)
class RingRow:
    """Which workers own channels, and how many times that has changed."""

    generation: int
    workers: frozenset[str]


@dataclass(frozen=True, slots=True)
class History:
    """Publications of one channel in order, and where the channel ended when they were read."""

    publications: Sequence[Publication]
    tail: StreamPosition


class Store(Protocol):
    """What every journal must keep.

    - An append is all or nothing, and only goes on from the tail: with another epoch, or a first
      offset that is not the tail's + 1, it is `Refused`. Two writers can so never both number.
    - An append is `Fenced` when the ring's generation is higher than the writer's, compared in the
      same transaction: who has not heard of a change of owners writes nothing.
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

    async def append(self, generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        """Write each run; the outcomes come in the same order.

        Args:
            generation: of the ring by which the writer owns these channels.
        """
        ...

    async def read(self, channel: str, after: int, limit: int) -> History:
        """At most `limit` publications with offsets above `after`, oldest first.

        They are of the present epoch. The first is later than `after + 1` only when what lies
        between is kept no more, or is of an epoch before.
        """
        ...

    async def read_back(self, channel: str, before: int, limit: int) -> History:
        """The last `limit` publications with offsets below `before`, oldest first.

        They may reach back into earlier epochs, as far as those are kept.
        """
        ...

    async def ring(self) -> RingRow:
        """The ring; generation 0 without workers when it was never changed."""
        ...

    async def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
        """Make these the workers, as the next generation, if it is still of `generation`.

        Returns:
            The ring that stands now: the new one, or whatever another worker made of it before.
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
