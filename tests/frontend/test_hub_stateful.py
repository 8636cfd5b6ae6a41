"""The hub against a naive model: whatever happens, everyone gets what is theirs, in order, once.

The model is one channel, and one owner after the other. What it says goes two ways, each in order,
neither in step with the other: orders and answers down the pipe, publications down the link (which
may lose them). What a former owner had to say may come late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.frontend.audience import LOBBY, OWNER, Stage, connection_of, heard
from zchat.frontend.local_channel import LocalChannel
from zchat.frontend.session import Session
from zchat.frontend.sockets.disconnect import OUTRUN
from zchat.rooms.changes import Change, Changes
from zchat.rooms.follower import Run
from zchat.rooms.stream import (
    Item,
    PresenceChange,
    PresenceChanges,
    Published,
    StreamPosition,
    encode_frame,
)

OTHER = "chat-server-2"
UIDS = ("alice", "bob", "carol", "dave")


@dataclass
class Epoch:
    """One life of the channel's numbering, as its owner knows it."""

    name: str
    items: list[Item] = field(default_factory=list)

    @property
    def position(self) -> StreamPosition:
        return StreamPosition(self.name, len(self.items))


class People:
    """The member list in one life of its owner, who was told of `claimed` when it took over."""

    def __init__(self, life: int, claimed: set[str]) -> None:
        self.version = 1000 * (life if life % 2 else 20 - life)  # not all clocks go right
        self.uids = set(claimed)
        self.changes = Changes(self.version)

    def change(self, uid: str) -> Change:
        """Who is out comes in, who is in goes out."""
        self.version += 1
        joined = uid not in self.uids
        if joined:
            self.uids.add(uid)
        else:
            self.uids.remove(uid)
        change = Change(uid, joined, self.version)
        self.changes.add(change)
        return change


@dataclass
class Guest:
    """A session on its way into the channel, or in it."""

    session: Session
    uid: str
    known: tuple[int, int] | None = None
    """The owner's life, and the version of its list, that the frontend had when it was ordered."""
    admitted: tuple[int, int] | None = None
    """Index of the epoch, and offset, that it came in with."""
    people: set[str] = field(default_factory=set)
    """The list of its last answer."""
    heard: int = 0
    """How much it was sent before that answer."""
    offered: set[str] | None = None
    """The list of the answer to come, once the frontend knows that it is let in again."""

    @property
    def messages(self) -> list[str]:
        return [text for text in heard(self.session) if text[0] == "m"]

    @property
    def list(self) -> set[str]:
        """Whom its client shows: the list, and what it was told since."""
        people = set(self.people)
        texts = heard(self.session)[self.heard :]
        for word in " ".join(texts).split():
            sign, uid = word[0], word[1:]
            if sign == "+":
                assert uid not in people, f"{uid} comes in twice"
                people.add(uid)
            elif sign == "-":
                assert uid in people, f"{uid} leaves twice"
                people.remove(uid)
        return people


class HubMachine(RuleBasedStateMachine):
    """Rules are what owner, links and clients do; invariants are what clients may see."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stage = Stage()
        self.epochs = [Epoch("e0")]
        self.guests: list[Guest] = []
        self.pipe: list[Callable[[], None]] = []
        self.late: list[Callable[[], None]] = []
        self.owner = OWNER
        self.link: list[bytes] = []
        self.lives = 1
        self.people = People(self.lives, set())
        self.untold: list[Change] = []
        for asked in (False, True):
            self.order("alice", asked, asked)
            self.admit_now(self.guests[-1])

    def run(self, function: Callable[[], None]) -> None:
        """In the loop, but not to the end of the turn: what follows may come in the same one."""

        async def call() -> None:
            function()

        self.loop.run_until_complete(call())

    @property
    def epoch(self) -> Epoch:
        return self.epochs[-1]

    def say(self, frame: bytes) -> None:
        if LOBBY in self.stage.subscriber.topics:
            self.link.append(frame)

    # What the owner does

    @precondition(lambda self: len(self.guests) < 8)
    @rule(uid=st.sampled_from(UIDS), asked=st.booleans(), differences=st.booleans())
    def order(self, uid: str, asked: bool, differences: bool) -> None:
        guest = Guest(self.stage.open(), uid)
        self.guests.append(guest)
        how: dict[str, Any] = {"origin": 7 if asked else 0, "differences": differences}
        self.run(lambda: void(self.stage.join(uid, session=guest.session, **how)))
        _, token = self.stage.subscriber.asked[-1]
        assert isinstance(token, bytes)
        *_, version = token.split()
        if len(token.split()) == 3:
            assert self.stage.lobby.owner == OWNER, "who orders them all"
            guest.known = self.lives, int(version)

    @precondition(lambda self: any(guest.admitted is None for guest in self.guests))
    @rule(data=st.data(), wait=st.booleans())
    def admit(self, data: st.DataObject, wait: bool) -> None:
        guest = data.draw(st.sampled_from([g for g in self.guests if g.admitted is None]))
        self.admit_now(guest, wait)

    def admit_now(self, guest: Guest, wait: bool = False) -> None:
        if guest.uid not in self.people.uids:
            self.change(guest.uid, wait)
        epoch, offset, version = len(self.epochs) - 1, len(self.epoch.items), self.people.version
        guest.admitted = (epoch, offset)
        guest.people = set(self.people.uids)
        gone = None
        uids = list(guest.people)
        if guest.known and guest.known[0] == self.lives and self.owner == OWNER:
            news = self.people.changes.since(guest.known[1], self.people.uids)
            assert news is not None, "an owner remembers what happened in its life"
            uids, gone = news
        self.say_joined(guest, offset, version, uids, gone)
        if guest.session.in_flight:
            self.pipe.append(lambda: self.stage.answer(guest.session, 7))

    def say_joined(
        self,
        guest: Guest,
        offset: int,
        version: int,
        uids: list[str],
        gone: list[str] | None = None,
    ) -> None:
        name, owner = self.epoch.name, self.owner

        def joined() -> None:
            if guest in self.guests and guest.session.memberships:
                how: dict[str, Any] = {"epoch": name, "owner": owner, "uids": uids, "gone": gone}
                if not self.stage.joined(guest.session, offset, version, **how):
                    # Let in by a former owner where the frontend cannot begin any more.
                    assert owner != self.owner
                    assert connection_of(guest.session).disconnect == OUTRUN
                    self.guests.remove(guest)
                    return
                if owner != self.owner and guest.uid not in self.people.uids:
                    self.change(guest.uid)  # the next announce claims it

        self.pipe.append(joined)

    @precondition(lambda self: any(is_in(guest) for guest in self.guests))
    @rule(data=st.data())
    def order_again(self, data: st.DataObject) -> None:
        """Who is in asks to be let in, and is: its client begins with the new list."""
        guest = data.draw(st.sampled_from([guest for guest in self.guests if is_in(guest)]))
        self.run(lambda: void(self.stage.join(guest.uid, session=guest.session, origin=8)))
        if guest.uid not in self.people.uids:
            self.change(guest.uid)
        people = set(self.people.uids)
        self.say_joined(guest, len(self.epoch.items), self.people.version, list(people))

        joined = self.pipe.pop()

        def let_in() -> None:
            joined()
            guest.offered = people

        self.pipe += [let_in, partial(self.answer_again, guest)]

    def answer_again(self, guest: Guest) -> None:
        """Even when it is an error, the frontend takes it for the answer that it knows of."""
        if guest in self.guests:
            if guest.offered is not None:
                guest.people, guest.heard = guest.offered, len(heard(guest.session))
                guest.offered = None
            self.stage.answer(guest.session, 8)

    @rule(audience=st.none() | st.sets(st.sampled_from(UIDS)), count=st.integers(1, 3))
    def publish(self, audience: set[str] | None, count: int) -> None:
        self.tell()
        epoch = self.epoch
        first = len(epoch.items) + 1
        to = None if audience is None else tuple(sorted(audience))
        for offset in range(first, first + count):
            epoch.items.append(Item(f"m{epoch.name}:{offset}".encode(), to))
        self.say(encode_frame(Published(epoch.name, first, tuple(epoch.items[first - 1 :]))))

    @rule(uid=st.sampled_from(UIDS), wait=st.booleans())
    def change(self, uid: str, wait: bool = False) -> None:
        """It is told at once, with all that waits, or waits for others."""
        self.untold.append(self.people.change(uid))
        if not wait:
            self.tell()

    def tell(self) -> None:
        found, self.untold = tuple(self.framed(change) for change in self.untold), []
        if found:
            self.say(encode_frame(PresenceChanges(found) if len(found) > 1 else found[0]))

    def framed(self, change: Change) -> PresenceChange:
        text = f"{'+' if change.joined else '-'}{change.uid}"
        return PresenceChange(
            self.epoch.name, change.version, change.uid, change.joined, text.encode()
        )

    @precondition(lambda self: self.lives < 5)
    @rule(new_epoch=st.booleans())
    def restart(self, new_epoch: bool) -> None:
        """The owner dies with what it had not said; the frontend notices and holds."""
        self.pipe.clear()
        self.late.clear()
        self.run(partial(self.stage.hub.abandon, OWNER))
        self.guests = [guest for guest in self.guests if guest.session.memberships]
        for guest in self.guests:
            # It is not known whether it is in.
            if 7 in (guest.session.in_flight or ()):
                self.pipe.append(partial(self.stage.answer, guest.session, 7))
            if 8 in (guest.session.in_flight or ()):
                self.pipe.append(partial(self.answer_again, guest))
        self.take_over(new_epoch, {guest.uid for guest in self.guests})

    @precondition(lambda self: self.lives < 5 and not self.late)
    @rule(new_epoch=st.booleans(), quick=st.booleans())
    def move(self, new_epoch: bool, quick: bool) -> None:
        """The channel gets another owner; what the former one has said is still on its way.

        When the new one is quick, it is agreed with before that comes.
        """
        self.late, self.pipe = self.pipe, []
        self.owner = OTHER if self.owner == OWNER else OWNER
        claimed = {guest.uid for guest in self.guests if position_of(guest) is not None}
        self.take_over(new_epoch, claimed)
        if quick:
            for agree in (self.answer_announce, self.answer_compare):
                agree()
                while self.pipe:
                    self.run(self.pipe.pop(0))

    def take_over(self, new_epoch: bool, claimed: set[str]) -> None:
        if new_epoch:
            self.epochs.append(Epoch(f"e{len(self.epochs)}"))
        self.lives += 1
        self.untold.clear()
        self.people = People(self.lives, claimed)
        for local in self.stage.hub.channels.values():
            self.run(partial(self.stage.hub.unsettle, local))

    # What the links and the frontend do

    @precondition(lambda self: self.pipe)
    @rule()
    def pipe_brings(self) -> None:
        self.run(self.pipe.pop(0))

    @precondition(lambda self: self.late)
    @rule()
    def late_pipe_brings(self) -> None:
        self.run(self.late.pop(0))

    @precondition(lambda self: self.link)
    @rule()
    def link_brings(self) -> None:
        self.run(lambda: self.stage.hub.on_frame(LOBBY, self.link.pop(0)))

    @precondition(lambda self: self.link)
    @rule()
    def link_loses(self) -> None:
        self.link.pop(0)

    @rule()
    def answer_announce(self) -> None:
        self.tell()
        position, version, owner = self.epoch.position, self.people.version, self.owner

        def place() -> None:
            for local in self.stage.hub.channels.values():
                if owner == self.owner:
                    if local.owner != owner:
                        self.stage.hub.unsettle(local)
                        local.owner = owner
                    self.stage.hub.place(local, position, version)
            self.send_away()

        self.pipe.append(place)

    def send_away(self) -> None:
        """Connections that the hub closed are gone."""
        for guest in [g for g in self.guests if connection_of(g.session).disconnect is not None]:
            assert connection_of(guest.session).disconnect == OUTRUN
            self.guests.remove(guest)
            self.stage.close(guest.session)

    @rule(size=st.integers(1, 3))
    def answer_fetch(self, size: int) -> None:
        """One page of what followed where the frontend stood."""
        for local in self.stage.hub.channels.values():
            position, tail = local.follower.position, self.epoch.position
            if local.owner == self.owner and position is not None and position.epoch == tail.epoch:
                run = Run(position.offset + 1, self.epoch.items[position.offset :][:size])
                self.pipe.append(
                    self.if_placed(
                        local, partial(self.stage.hub.publications.repair, local, tail, run)
                    )
                )

    @rule()
    def answer_compare(self) -> None:
        """What brings a roster that is behind to the list of now."""
        self.tell()
        people = self.people
        for local in self.stage.hub.channels.values():
            roster, position = local.roster, local.follower.position
            asked, uids, doubtful = roster.version, list(roster.uids), list(local.doubtful)
            if (
                local.owner == self.owner
                and local.is_behind
                and position is not None
                and position.epoch == self.epoch.name
            ):
                changes = people.changes.bring(asked, uids, people.uids, doubtful)
                found = [self.framed(change) for change in changes]
                answer = (local, people.version, found, asked, roster.heard)
                self.pipe.append(
                    self.if_placed(local, partial(self.stage.hub.rosters.compared, *answer))
                )

    def if_placed(self, local: LocalChannel, answer: Callable[[], None]) -> Callable[[], None]:
        """As Resync does: an answer counts only where the channel was when it was asked for."""
        owner, position = local.owner, local.follower.position
        assert position is not None

        def take() -> None:
            now = local.follower.position
            if local.owner == owner and now is not None and now.epoch == position.epoch:
                answer()

        return take

    @rule()
    def turn_ends(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))

    # What clients do

    @precondition(lambda self: self.guests)
    @rule(data=st.data(), close=st.booleans())
    def go(self, data: st.DataObject, close: bool) -> None:
        guest = data.draw(st.sampled_from(self.guests))
        self.guests.remove(guest)
        if close:
            self.run(lambda: self.stage.close(guest.session))
        else:
            self.run(lambda: self.stage.hub.leave(guest.session, LOBBY))
        self.loop.run_until_complete(asyncio.sleep(0))
        self.check(guest)

    # What must hold

    def expected(self, guest: Guest) -> list[list[str]]:
        """What is for a guest, epoch by epoch."""
        if guest.admitted is None:
            return []
        epoch, offset = guest.admitted
        return [
            [
                item.package.decode()
                for item in items.items[offset if number == epoch else 0 :]
                if item.audience is None or guest.uid in item.audience
            ]
            for number, items in enumerate(self.epochs)
            if number >= epoch
        ]

    def check(self, guest: Guest) -> None:
        """In order, once, for it, from its place on, and after its answer."""
        messages = guest.messages
        for expected in self.expected(guest):
            count = sum(1 for text in messages if text in expected)
            assert messages[:count] == expected[:count]
            messages = messages[count:]
        assert messages == []
        if guest.admitted is not None:
            assert guest.uid in guest.list
        texts = heard(guest.session)
        if 7 in (guest.session.in_flight or ()) or "answer 7" in texts:
            assert texts[:1] in ([], ["answer 7"])

    @invariant()
    def everyone_sees_a_beginning_of_what_is_theirs(self) -> None:
        for guest in getattr(self, "guests", ()):
            self.check(guest)

    def teardown(self) -> None:
        """Once all is said and nothing more is lost, everybody has everything."""
        if not hasattr(self, "loop"):
            return
        try:
            self.settle()
            for guest in self.guests:
                self.check(guest)
                mine = self.expected(guest)[-1]
                assert [text for text in guest.messages if text in mine] == mine
                assert guest.list - {guest.uid} == self.people.uids - {guest.uid}
                assert connection_of(guest.session).disconnect is None
            for local in self.stage.hub.channels.values():
                assert (local.joining, local.apart) == ({}, {})
        finally:
            self.loop.close()

    def settle(self) -> None:
        for guest in self.guests:
            if guest.admitted is None:
                self.admit_now(guest)
        while self.late:
            self.run(self.late.pop(0))
        while self.pipe:
            self.run(self.pipe.pop(0))
        while self.link:
            self.link_brings()
        self.answer_announce()
        self.run(self.pipe.pop())
        while any(local.follower.missing for local in self.stage.hub.channels.values()):
            self.answer_fetch(2)
            self.run(self.pipe.pop())
        while any(local.is_behind for local in self.stage.hub.channels.values()):
            self.answer_compare()
            self.run(self.pipe.pop())
        self.loop.run_until_complete(asyncio.sleep(0))


def position_of(guest: Guest) -> StreamPosition | None:
    """Where the hub has it from; None when it is not in yet."""
    membership = (guest.session.memberships or {}).get(LOBBY)
    return membership.position if membership else None


def is_in(guest: Guest) -> bool:
    """Whether it is in and no answer is on its way."""
    return position_of(guest) is not None and not guest.session.in_flight


def void(_: object) -> None:
    """Takes a result that nobody needs."""


HubMachine.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestHub = HubMachine.TestCase
