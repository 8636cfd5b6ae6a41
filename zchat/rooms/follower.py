"""The other end of a stream: repeat -> drop, next -> go on, gap -> hold and fetch.

A follower is told where it stands (`place`) by a join, an announce or a resync, never by the
frames themselves. Until then, and while a gap is being fetched, frames are held. It decides and
does no I/O: `receive` and `repair` return what may go out now, `missing` says when to fetch.

Whatever comes, in whatever order: items of one epoch go out once each and in order, from the place
where the follower came in, and the only ones left out are those that the owner has no more; these
are counted in `lost`. Callers keep to one rule: an epoch that was left is not placed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zchat.rooms.stream import Item, StreamPosition


@dataclass(frozen=True, slots=True)
class Run:
    """Items with the offsets `first`, `first + 1`, …"""

    first: int
    items: Sequence[Item]


class Follower:
    """Follows one channel's numbering.

    Args:
        limit: how many items are held at the most. When full, further frames are dropped and
            counted in `dropped`; the gap that this makes is fetched like any other.
        limit_bytes: of packages, likewise.
    """

    __slots__ = (
        "_held",
        "_held_bytes",
        "_held_items",
        "_known",
        "_last",
        "_overflow",
        "dropped",
        "limit",
        "limit_bytes",
        "lost",
        "position",
        "repeats",
    )

    def __init__(self, limit: int = 10_000, limit_bytes: int = 4 << 20) -> None:
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.position: StreamPosition | None = None
        """The last item passed on; None while unplaced."""
        self.dropped = 0
        """Items of another epoch, or past a limit."""
        self.repeats = 0
        """Items that had been passed on before."""
        self.lost = 0
        """Items that the owner no longer had when they were fetched."""
        self._held: list[tuple[str, Run]] = []
        self._held_items = self._held_bytes = 0
        self._known = 0  # the highest offset that an owner's answer spoke of
        self._last: StreamPosition | None = None  # where we stood before `unplace`
        self._overflow = StreamPosition("", 0)  # the last item dropped for want of room

    @property
    def last(self) -> StreamPosition | None:
        """Where it stands, or stood before `unplace`; None at first."""
        return self.position or self._last

    @property
    def epoch(self) -> str:
        """The epoch that it follows, or followed before `unplace`; empty at first."""
        last = self.last
        return last.epoch if last else ""

    @property
    def missing(self) -> bool:
        """Whether something is known to follow `position` that has not come."""
        if self.position is None:
            return False
        epoch, offset = self.position
        overflow = self._overflow.offset if self._overflow.epoch == epoch else 0
        return bool(self._held) or max(self._known, overflow) > offset

    def place(self, position: StreamPosition) -> list[Run]:
        """An owner's answer says that the stream ends at `position` now.

        A newcomer goes on from there. Who followed before stays where it stood, or begins at the
        start of a new epoch, which began after the old one ended: the rest is `missing`.

        Returns:
            The held runs that may be delivered.
        """
        last = self.last
        known = position.offset
        if last is None:
            self.position = position
        elif last.epoch == position.epoch:
            self.position = last
            known = max(known, self._known)  # answers may overtake each other
        else:
            self.position = StreamPosition(position.epoch, 0)
        self._known = known
        return self._release()

    def hear(self, position: StreamPosition) -> None:
        """The owner says that the stream reaches to `position`: what has not come is missing."""
        if self.position is not None and self.position.epoch == position.epoch:
            self._known = max(self._known, position.offset)

    def unplace(self) -> None:
        """The owner changed or restarted: hold everything until the next `place`."""
        self._last = self.last
        self.position = None

    def receive(self, epoch: str, run: Run) -> list[Run]:
        """Take a frame from the wire; returns the runs that may be delivered now, in order."""
        position = self.position
        if position is None:
            self._hold(epoch, run)
            return []
        if epoch != position.epoch:
            self.dropped += len(run.items)
            return []
        follows = run.first - position.offset
        if follows == 1 and run.items and not self._held:  # the usual frame
            self.position = StreamPosition(epoch, position.offset + len(run.items))
            return [run]
        if follows > 1:
            self._hold(epoch, run)
            return []
        runs = self._advance(run)
        return runs + self._release() if self._held else runs

    def repair(self, position: StreamPosition, run: Run) -> list[Run]:
        """Take what was fetched after our offset of then, in this epoch.

        Args:
            position: where the owner stands.
            run: what it has after that offset; it begins later, or is empty, when the owner has
                no more of what comes first. That is skipped and counted in `lost`.
        """
        if self.position is None or position.epoch != self.position.epoch:
            return []
        self._skip_to(run.first - 1 if run.items else position.offset)
        runs = self._advance(run)
        self._known = max(self._known, position.offset)
        return runs + self._release()

    def _skip_to(self, offset: int) -> None:
        assert self.position is not None
        if offset > self.position.offset:
            self.lost += offset - self.position.offset
            self.position = StreamPosition(self.position.epoch, offset)

    def _advance(self, run: Run) -> list[Run]:
        assert self.position is not None
        epoch, offset = self.position
        old = offset + 1 - run.first
        if old > 0:
            self.repeats += min(old, len(run.items))
            run = Run(offset + 1, run.items[old:])
        if not run.items:
            return []
        self.position = StreamPosition(epoch, offset + len(run.items))
        return [run]

    def _hold(self, epoch: str, run: Run) -> None:
        size = sum([len(item.package) for item in run.items])
        many = self._held_items + len(run.items) > self.limit
        if many or self._held_bytes + size > self.limit_bytes:
            self.dropped += len(run.items)
            last = run.first + len(run.items) - 1
            if epoch != self._overflow.epoch or last > self._overflow.offset:
                self._overflow = StreamPosition(epoch, last)
            return
        self._held.append((epoch, run))
        self._held_items += len(run.items)
        self._held_bytes += size

    def _release(self) -> list[Run]:
        held, self._held = self._held, []
        self._held_items = self._held_bytes = 0
        runs: list[Run] = []
        for epoch, run in sorted(held, key=lambda entry: entry[1].first):
            runs += self.receive(epoch, run)
        return runs
