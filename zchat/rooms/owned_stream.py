"""A stream as its owner keeps it: what waits for an offset, and what has one.

Pure: the broker takes batches from it to the journal and brings their outcome back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from zchat.errors import Unavailable
from zchat.rooms.repeats import Key, Repeats
from zchat.rooms.stores.base import Append, History
from zchat.rooms.stream import StreamPosition
from zchat.rooms.ticket import Ticket

_MAX_REFUSALS = 3


@dataclass(slots=True, eq=False)
class OwnedStream:
    """One channel's numbering: where it ends, what waits, what is under way."""

    channel: str
    position: StreamPosition
    waiting: deque[Ticket] = field(default_factory=deque)
    waiting_bytes: int = 0
    """What waits, by `Draft.size`."""
    under_way: Sequence[Ticket] = ()
    doubtful: bool = False
    """Whether `position` is behind the journal, or may be: what follows it there is read before
    anything is written."""
    closed: Exception | None = None
    """Why nothing more may be written by us."""
    ready: bool = False
    """Whether the broker has it on its list."""
    news: bool = False
    """Set when something was stored; whoever looks at it takes it back."""
    refusals: int = 0
    """Batches refused since the last that was stored."""
    repeats: Repeats = field(default_factory=Repeats)
    """What was published already."""
    pending: dict[Key, Ticket] = field(default_factory=dict)
    """What waits or is under way, of what its senders gave an id."""

    @property
    def busy(self) -> bool:
        """Whether anything waits or is under way."""
        return bool(self.waiting or self.under_way)

    def put(self, ticket: Ticket) -> None:
        """Let it wait, last."""
        self.waiting.append(ticket)
        self.waiting_bytes += ticket.size
        draft = ticket.draft
        if draft.cid:
            self.pending[(draft.uid, draft.cid)] = ticket

    def take(self, limit: int, size: int, ts: int) -> Append | None:
        """The next batch: what waits, numbered from here. None when nobody waits any more.

        Args:
            limit: publications in it.
            size: bytes in it, by `Draft.size`; one publication may be larger.
            ts: milliseconds since 1970.
        """
        taken: list[Ticket] = []
        while self.waiting and len(taken) < limit:
            ticket = self.waiting[0]
            if not ticket.given_up:
                size -= ticket.size
                if taken and size < 0:
                    break
                taken.append(ticket)
            self.waiting.popleft()
            self.waiting_bytes -= ticket.size
        if not taken:
            return None
        self.under_way = taken
        epoch, offset = self.position
        publications = [ticket.draft.at(offset + n, ts) for n, ticket in enumerate(taken, 1)]
        return Append(self.channel, epoch, publications)

    def stored(self, append: Append) -> None:
        """The batch is in the journal: its senders get their positions."""
        self.repeats.add(append.publications)
        for publication, ticket in zip(append.publications, self.under_way, strict=True):
            self._forget_pending(ticket)
            ticket.settle(StreamPosition(append.epoch, publication.offset))
        self.position = append.end
        self.under_way = ()
        self.refusals = 0
        self.news = True

    def give_back(self, start: StreamPosition) -> None:
        """The batch is not in the journal: it waits again, first, and its offsets are free."""
        self.waiting.extendleft(reversed(self.under_way))
        self.waiting_bytes += sum(ticket.size for ticket in self.under_way)
        self.under_way = ()
        self.position = start
        self.refusals += 1
        if self.closed is not None:
            self.fail_waiting(self.closed)
        elif self.refusals >= _MAX_REFUSALS:
            self.refusals = 0
            self.fail_waiting(Unavailable(f"{self.channel} cannot be written to now"))

    def catch_up(self, history: History, now: int) -> None:
        """Go on where the journal ends; what waits and turns out to be in it has its place there.

        Args:
            history: the last publications, back to `position` or as far as repeats are known.
            now: milliseconds since 1970.
        """
        if history.tail.epoch != self.position.epoch:
            self.repeats.clear()
        self.repeats.add(history.publications)
        self.position = history.tail
        self.doubtful = False
        waiting, self.waiting = self.waiting, deque()
        self.waiting_bytes = 0
        for ticket in waiting:
            draft = ticket.draft
            offset = self.repeats.find((draft.uid, draft.cid), now) if draft.cid else None
            if offset is None:
                self.put(ticket)
            else:
                self._forget_pending(ticket)
                ticket.settle(StreamPosition(self.position.epoch, offset))

    def close(self, error: Exception) -> None:
        """Nothing more is written by us; what is under way still gets its outcome."""
        self.closed = error
        self.fail_waiting(error)

    def fail_waiting(self, error: Exception) -> None:
        """Tell the senders of what waits; nothing of it was written."""
        waiting, self.waiting = self.waiting, deque()
        self.waiting_bytes = 0
        self._fail(waiting, error)

    def fail_under_way(self, error: Exception) -> None:
        """Tell the senders of the batch that went to the store."""
        under_way, self.under_way = self.under_way, ()
        self._fail(under_way, error)

    def _fail(self, tickets: Iterable[Ticket], error: Exception) -> None:
        for ticket in tickets:
            self._forget_pending(ticket)
            ticket.fail(error)

    def _forget_pending(self, ticket: Ticket) -> None:
        if ticket.draft.cid:
            self.pending.pop((ticket.draft.uid, ticket.draft.cid), None)
