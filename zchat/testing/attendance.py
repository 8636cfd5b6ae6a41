"""One client in one room: what it was shown, and what it has to have been shown."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from zchat.testing.events import Entered, HistoryLost, Received
from zchat.testing.ledger import Ledger, Place
from zchat.testing.verdict import Kind, Problem


class Attendance:
    """Follows a client through losses and returns.

    From where it came in it must have everything, up to the end of the run if it is there then, and
    otherwise up to the last that it was shown. What it was told to be lost is excused. A return
    that is answered `recovered: true` goes on where it was, any other begins anew.

    Args:
        client: its uid.
        ledger: of the room.
    """

    __slots__ = (
        "_after",
        "_epoch",
        "_excused",
        "_last",
        "_ledger",
        "_shown",
        "_stretches",
        "client",
        "here",
    )

    def __init__(self, client: str, ledger: Ledger) -> None:
        self.client = client
        self.here = False
        self._ledger = ledger
        self._epoch = ""
        self._after: int | None = None  # where the open stretch begins; None when none is
        self._last = 0  # the highest offset of the epoch that it has or need not have
        self._shown: dict[str, set[int]] = {}
        self._stretches: list[tuple[str, int, float]] = []
        self._excused: list[tuple[str, int, int]] = []

    @property
    def known(self) -> bool:
        """Whether it has been in before, so that it could have asked for what it missed."""
        return self._after is not None

    def enter(self, event: Entered) -> Problem | None:
        """It is in; returns what is wrong with that."""
        self.here = True
        self._ledger.number(event.epoch)
        if event.recovered and self.known and event.epoch == self._epoch:
            return None
        wrong = bool(event.recovered and self.known)
        old = self._epoch
        self._close(self._last)
        self._begin(event.epoch, event.offset)
        if not wrong:
            return None
        text = f"{self.client} was in epoch {old} and is told that epoch {event.epoch} has it all"
        return self._problem(Kind.HOLE, text, "", event.at)

    def gone(self) -> None:
        """It left or was lost; whether it comes back shows later."""
        self.here = False

    def receive(self, event: Received) -> Problem | None:
        """It was shown a publication; returns what is wrong with its place in the order."""
        epoch, offset = event.epoch, event.offset
        if epoch != self._epoch:
            number = self._ledger.number(epoch)
            if self._epoch and number < self._ledger.number(self._epoch):
                text = f"{self.client} is shown {epoch}:{offset} after epoch {self._epoch}"
                return self._problem(Kind.ORDER, text, event.id, event.at)
            known = self.known
            self._close(inf)  # nobody said that anything of the old epoch is lost
            self._begin(epoch, 0)
            if not known:
                self._after = None
        shown = self._shown.setdefault(epoch, set())
        if offset > self._last:
            shown.add(offset)
            self._last = offset
            return None
        kind = self._why_late(offset, shown)
        shown.add(offset)
        text = f"{self.client} is shown {epoch}:{offset} ({event.id}), and was at {self._last}"
        return self._problem(kind, text, event.id, event.at)

    def history_lost(self, event: HistoryLost) -> None:
        """It was told of a hole."""
        self._ledger.number(event.epoch)
        if event.epoch != self._epoch and self._after is not None:
            self._close(self._last)
            self._begin(event.epoch, 0)
        self._excused.append((event.epoch, event.after, event.before))

    def end(self) -> None:
        """The run is over: who is there must have everything."""
        if not self.here:
            self._close(self._last)
            return
        current = self._ledger.number(self._epoch)
        self._close(inf)
        for epoch, number in self._ledger.epochs.items():
            if number > current:
                self._stretches.append((epoch, 0, inf))

    def missing(self) -> Iterator[Place]:
        """What it should have been shown; after the end."""
        for epoch, after, upto in self._stretches:
            shown = self._shown.get(epoch, set())
            for offset in self._ledger.owed(self.client, epoch, after, upto):
                if offset not in shown and not self._is_excused(epoch, offset):
                    yield epoch, offset

    def _begin(self, epoch: str, offset: int) -> None:
        self._last = max(offset, self._last) if epoch == self._epoch else offset
        self._epoch, self._after = epoch, offset

    def _close(self, upto: float) -> None:
        if self._after is not None:
            self._stretches.append((self._epoch, self._after, upto))
            self._after = None

    def _why_late(self, offset: int, shown: set[int]) -> Kind:
        if offset in shown:
            return Kind.TWICE
        if self._after is not None and offset <= self._after:
            return Kind.EARLY
        return Kind.ORDER

    def _is_excused(self, epoch: str, offset: int) -> bool:
        return any(e == epoch and after < offset < before for e, after, before in self._excused)

    def _problem(self, kind: Kind, text: str, id_: str, at: float) -> Problem:
        room = self._ledger.room
        return Problem(kind, f"{room} {text}", room, self.client, id_, at)
