"""Owners hear of who is gone, sooner or later; `test_resync` has it among announces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from zchat.frontend.losses import Losses
from zchat.frontend.session import Membership, Session, SessionTable

OWNER = "chat-1"
ROOM = "lobby"


class World:
    """A frontend's sessions, and an owner that hears while it is `up`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.up = True
        self.heard: list[tuple[Any, ...]] = []
        self.counters: Counter[str] = Counter()
        self.sessions = SessionTable("connector-1", "life")
        self.losses = Losses(self.sessions, self.cast, self.counters, lambda: self.now)

    def cast(self, server: str, method: str, args: Sequence[Any]) -> bool:
        assert (server, method) == (OWNER, "channel.lost")
        if self.up:
            self.heard.append(tuple(args))
        return self.up

    def session(self) -> Session:
        return self.sessions.open(None)  # type: ignore[arg-type]

    def member(self, session: Session, uid: str) -> Membership:
        member = Membership(session, ROOM, uid, OWNER, 0)
        member.order = b"order"
        session.memberships = {ROOM: member}
        return member

    def all_heard(self) -> list[tuple[Any, ...]]:
        heard, self.heard = self.heard, []
        return heard


@pytest.fixture
def world() -> World:
    return World()


def loss(uid: str, session: int, order: bytes | None = None) -> tuple[Any, ...]:
    return (ROOM, uid, ("connector-1", "life", session), order)


def test_of_who_is_connected_still_the_order_is_told(world: World) -> None:
    session = world.session()
    world.losses.add(OWNER, ROOM, "alice", session.id, b"order")
    world.losses.add(OWNER, ROOM, "bob", 99, b"order")
    assert world.all_heard() == [loss("alice", session.id, b"order"), loss("bob", 99)]


def test_what_was_told_of_late_is_told_again_once(world: World) -> None:
    world.losses.add(OWNER, ROOM, "alice", 98, b"")
    world.now = 20.0
    world.losses.add(OWNER, ROOM, "bob", 99, b"")
    world.all_heard()
    world.now = 40.0
    world.losses.repeat(OWNER)
    assert world.all_heard() == [loss("bob", 99)]


def test_what_could_not_be_told_waits_however_long(world: World) -> None:
    world.up = False
    world.losses.add(OWNER, ROOM, "alice", 98, b"")
    world.now, world.up = 1e6, True
    world.losses.repeat(OWNER)
    assert world.all_heard() == [loss("alice", 98)]


def test_who_went_while_being_claimed_is_taken_back(world: World) -> None:
    stays, goes = world.session(), world.session()
    world.losses.claimed(OWNER, [world.member(stays, "alice"), world.member(goes, "bob")])
    goes.memberships = None
    world.losses.repeat(OWNER)
    assert world.all_heard() == [loss("bob", goes.id, b"order")]


def test_who_came_back_is_not_lost_unless_as_somebody_else(world: World) -> None:
    world.up = False
    session = world.session()
    for uid in ("alice", "bob"):
        world.losses.add(OWNER, ROOM, uid, session.id, b"order")
    world.member(session, "alice")
    world.up = True
    world.losses.repeat(OWNER)
    assert world.all_heard() == [loss("bob", session.id, b"order")]


def test_what_waits_is_bounded_and_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zchat.frontend.losses._LIMIT", 2)
    world.up = False
    for number in range(3):
        world.losses.add(OWNER, ROOM, "alice", number, b"")
    assert world.counters == {"losses_dropped": 1}
    world.losses.forget(OWNER)
    world.up = True
    world.losses.repeat(OWNER)
    assert world.all_heard() == []
