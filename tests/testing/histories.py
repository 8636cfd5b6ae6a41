"""Runs as a correct cluster would make them, at random, and ways to spoil them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from zchat.testing.events import (
    Acked,
    Entered,
    Event,
    HistoryLost,
    Journalled,
    Left,
    Lost,
    PeopleSeen,
    Received,
    Sent,
)
from zchat.testing.verdict import Kind

GRACE = 1.0
ROOM = "pier"


class Seat:
    """A client's place in the ideal room."""

    def __init__(self) -> None:
        self.here = False
        self.epoch = ""
        """Of the last that it knows."""
        self.next = 0
        """Index into the journal of what it is shown next."""


class Ideal:
    """A room that keeps every promise; each call is something that happens.

    Args:
        rng: decides about delays.
        names: its clients.
    """

    def __init__(self, rng: Random, names: Sequence[str] = ("ann", "bob", "cho", "dan")) -> None:
        self.rng = rng
        self.events: list[Event] = []
        self.journal: list[Journalled] = []
        self.epoch = "e1"
        self.seats = {name: Seat() for name in names}
        self._acks: list[Journalled] = []
        self._sent = 0
        self._at = 0.0

    def now(self) -> float:
        """A moment later."""
        self._at += self.rng.uniform(0.001, 0.1)
        return self._at

    def users(self) -> tuple[str, ...]:
        """Who is in."""
        return tuple(name for name, seat in self.seats.items() if seat.here)

    def enter(self, name: str, recovered: bool | None = None) -> None:
        """Come in, or back."""
        seat = self.seats[name]
        seat.here, seat.epoch = True, self.epoch
        users = self.users()
        tail = len(self.journal)
        entered = Entered(self.now(), name, ROOM, self.epoch, tail, recovered, users)
        self.events.append(entered)
        if recovered:
            self.show(name, len(self.journal))
        seat.next = len(self.journal)

    def send(self, name: str, to: tuple[str, ...] | None = None) -> None:
        """Say something; it is journalled at once and acknowledged some time."""
        self._sent += 1
        id_ = f"{name}-{self._sent}"
        self.events.append(Sent(self.now(), name, ROOM, id_, to))
        entry = Journalled(ROOM, self.epoch, len(self.journal) + 1, id_, name, to)
        self.journal.append(entry)
        self._acks.append(entry)

    def ack(self) -> None:
        """The sender of something that waits for it is told."""
        if self._acks:
            _, epoch, offset, id_, name, _ = self._acks.pop(self.rng.randrange(len(self._acks)))
            self.events.append(Acked(self.now(), name, ROOM, id_, epoch, offset))

    def show(self, name: str, count: int) -> None:
        """The next publications reach a client."""
        seat = self.seats[name]
        for entry in self.journal[seat.next : seat.next + count]:
            if entry.to is None or name in entry.to:
                self.events.append(_received(self.now(), name, entry))
            seat.next += 1

    def go(self, name: str, how: type[Lost] | type[Left]) -> None:
        """Leave or be cut off."""
        self.seats[name].here = False
        self.events.append(how(self.now(), name, ROOM))

    def begin_epoch(self) -> None:
        """All who are there see the old epoch's end, and are told all the same."""
        self.flush()
        self.epoch = f"e{int(self.epoch[1:]) + 1}"
        for name in self.users():
            self.seats[name].epoch = self.epoch
            self.events.append(HistoryLost(self.now(), name, ROOM, self.epoch, 0, 1))

    def flush(self) -> None:
        """Everything reaches everybody who is there."""
        for name in self.users():
            self.show(name, len(self.journal))

    def end(self) -> None:
        """All acknowledgements but one arrive; then it is quiet, and everybody looks around."""
        self.flush()
        while len(self._acks) > 1:
            self.ack()
        self._at += 2 * GRACE
        for name in self.users():
            self.events.append(PeopleSeen(self.now(), name, ROOM, self.users()))


def _received(at: float, name: str, entry: Journalled) -> Received:
    return Received(at, name, ROOM, entry.epoch, entry.offset, entry.id, entry.sender)


def correct(seed: int, steps: int = 120) -> Ideal:
    """A run with losses, returns, private messages and now and then a new epoch."""
    rng = Random(seed)
    ideal = Ideal(rng)
    for name in ideal.seats:
        ideal.enter(name)
    for _ in range(steps):
        _step(ideal, rng)
    ideal.end()
    return ideal


def _step(ideal: Ideal, rng: Random) -> None:
    name = rng.choice(list(ideal.seats))
    seat, dice = ideal.seats[name], rng.random()
    if not seat.here:
        if dice < 0.4:
            stale = seat.epoch != ideal.epoch
            ideal.enter(name, False if stale else rng.choice([True, True, False, None]))
    elif dice < 0.4:
        others = [other for other in ideal.seats if other != name]
        ideal.send(name, (rng.choice(others),) if rng.random() < 0.3 else None)
    elif dice < 0.55:
        ideal.ack()
    elif dice < 0.9:
        ideal.show(name, rng.randint(1, 4))
    elif dice < 0.99:
        ideal.go(name, Left if rng.random() < 0.3 else Lost)
    else:
        ideal.begin_epoch()


# Ways to spoil a run: each returns the kinds of which the checker must find one, or nothing when
# the run has no place for it.

Spoil = Callable[[Ideal], "set[Kind]"]


def drop(ideal: Ideal) -> set[Kind]:
    """A publication never reaches one who goes on being shown later ones."""
    for index in _shuffled(ideal, Received):
        if _is_followed(ideal, index):
            del ideal.events[index]
            return {Kind.LOST, Kind.HOLE}
    return set()


def drop_last(ideal: Ideal) -> set[Kind]:
    """The last publication of all never reaches one who is there at the end."""
    for name in ideal.users():
        indices = _own(ideal, name, Received)
        begun = max(_own(ideal, name, Entered, HistoryLost))
        if indices and indices[-1] > begun:
            del ideal.events[indices[-1]]
            return {Kind.LOST, Kind.HOLE}
    return set()


def swap(ideal: Ideal) -> set[Kind]:
    """Two publications reach one client the wrong way round."""
    for index in _shuffled(ideal, Received):
        after = _is_followed(ideal, index)
        if after:
            events = ideal.events
            events[index], events[after] = events[after], events[index]
            return {Kind.ORDER}
    return set()


def repeat(ideal: Ideal) -> set[Kind]:
    """A publication reaches a client again."""
    for index in _shuffled(ideal, Received):
        ideal.events.insert(index + 1, ideal.events[index])
        return {Kind.TWICE}
    return set()


def forge(ideal: Ideal) -> set[Kind]:
    """A client is shown what nobody sent."""
    for index in _shuffled(ideal, Received):
        event = ideal.events[index]
        assert isinstance(event, Received)
        ideal.events[index] = replace(event, id="forged")
        return {Kind.FORGED}
    return set()


def divert(ideal: Ideal) -> set[Kind]:
    """A private message reaches somebody else."""
    private = {entry.id: entry for entry in ideal.journal if entry.to is not None}
    for index in _shuffled(ideal, Received):
        event = ideal.events[index]
        assert isinstance(event, Received)
        if event.id in private:
            entry = private[event.id]
            names = [n for n in ideal.seats if n != entry.sender and n not in (entry.to or ())]
            ideal.events.insert(index, _received(event.at, names[0], entry))
            return {Kind.STRANGER}
    return set()


def lose(ideal: Ideal) -> set[Kind]:
    """The journal does not have what was acknowledged."""
    acked = {event.id for event in ideal.events if isinstance(event, Acked)}
    for index, entry in enumerate(ideal.journal):
        if entry.id in acked:
            del ideal.journal[index]
            return {Kind.UNJOURNALLED}
    return set()


def journal_twice(ideal: Ideal) -> set[Kind]:
    """The journal has a publication at two places."""
    if not ideal.journal:
        return set()
    last = ideal.journal[-1]
    again = ideal.rng.choice(ideal.journal)
    ideal.journal.append(again._replace(epoch=last.epoch, offset=last.offset + 1))
    return {Kind.JOURNAL}


def number_twice(ideal: Ideal) -> set[Kind]:
    """Two are acknowledged at one place."""
    acks = _shuffled(ideal, Acked)
    if len(acks) < 2:
        return set()
    one, other = ideal.events[acks[0]], ideal.events[acks[1]]
    assert isinstance(one, Acked)
    assert isinstance(other, Acked)
    ideal.events[acks[0]] = replace(one, epoch=other.epoch, offset=other.offset)
    return {Kind.CLASH, Kind.MOVED}


def pretend(ideal: Ideal) -> set[Kind]:
    """A client that missed something is told that it has it all."""
    for index in _shuffled(ideal, Entered):
        event = ideal.events[index]
        assert isinstance(event, Entered)
        if event.recovered is False and _missed(ideal, index):
            ideal.events[index] = replace(event, recovered=True)
            return {Kind.LOST, Kind.HOLE}
    return set()


def haunt(ideal: Ideal) -> set[Kind]:
    """Somebody who is gone stays in a list."""
    for index in _shuffled(ideal, PeopleSeen):
        event = ideal.events[index]
        assert isinstance(event, PeopleSeen)
        ideal.events[index] = replace(event, people=(*event.people, "ghost"))
        return {Kind.PRESENCE}
    return set()


SPOILS: Sequence[Spoil] = (
    drop,
    drop_last,
    swap,
    repeat,
    forge,
    divert,
    lose,
    journal_twice,
    number_twice,
    pretend,
    haunt,
)


def _shuffled(ideal: Ideal, kind: type) -> list[int]:
    found = [index for index, event in enumerate(ideal.events) if isinstance(event, kind)]
    ideal.rng.shuffle(found)
    return found


def _own(ideal: Ideal, name: str, *kinds: type) -> list[int]:
    return [
        index
        for index, event in enumerate(ideal.events)
        if isinstance(event, kinds) and getattr(event, "client", "") == name
    ]


def _is_followed(ideal: Ideal, index: int) -> int:
    """The index of the client's next receipt, when it owes to have had this one by then; or 0."""
    event = ideal.events[index]
    assert isinstance(event, Received)
    for later in _own(ideal, event.client, Received, Entered, HistoryLost):
        if later <= index:
            continue
        match ideal.events[later]:
            case Received():
                return later
            case Entered(recovered=True):
                continue
            case _:
                return 0
    return 0


def _missed(ideal: Ideal, index: int) -> bool:
    """Whether a client that came in here, and was shown more, had not been shown all before."""
    event = ideal.events[index]
    assert isinstance(event, Entered)
    own = _own(ideal, event.client, Received, Entered, HistoryLost)
    before = [ideal.events[i] for i in own if i < index]
    after = [ideal.events[i] for i in own if i > index]
    if not before or not after or not isinstance(after[0], Received):
        return False
    last = before[-1]
    if not isinstance(last, Received | Entered):
        return False
    if last.epoch != event.epoch:
        return True
    return any(
        last.offset < entry.offset <= event.offset
        and (entry.to is None or event.client in entry.to)
        for entry in ideal.journal
    )
