"""Who was ordered in and not admitted, and for how long."""

from __future__ import annotations

import pytest

from tests.frontend.audience import LOBBY, Stage
from zchat.frontend.pending_joins import PendingJoins
from zchat.frontend.session import Membership


class Waiting:
    """Those of a frontend, with a clock of their own and a second to wait."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pending = PendingJoins(1.0, lambda: self.now)
        self._stage = Stage()

    def add(self, uid: str, origin: int = 0) -> Membership:
        session = self._stage.open()
        session.in_flight = {origin} if origin else None
        membership = Membership(session, LOBBY, uid, "chat-1", origin)
        self.pending.add(membership)
        return membership

    def overdue(self, after: float) -> list[str]:
        self.now += after
        return [membership.uid for membership in self.pending.overdue()]


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


def test_who_waits_too_long_is_named_once(waiting: Waiting) -> None:
    waiting.add("alice")
    assert waiting.overdue(1.0) == []
    waiting.add("bob")
    assert waiting.overdue(1.5) == ["alice"]
    assert waiting.overdue(1.0) == ["bob"]
    assert len(waiting.pending) == 0


def test_who_is_admitted_waits_no_more(waiting: Waiting) -> None:
    alice = waiting.add("alice")
    for _ in range(2):
        waiting.pending.done(alice)
    assert waiting.overdue(9.0) == []


def test_who_is_ordered_again_waits_anew(waiting: Waiting) -> None:
    alice = waiting.add("alice")
    waiting.now += 1.5
    waiting.pending.add(alice)
    assert waiting.overdue(1.5) == []
    assert waiting.overdue(0.6) == ["alice"]


def test_who_waits_for_its_answer_goes_on_waiting(waiting: Waiting) -> None:
    alice = waiting.add("alice", origin=7)
    waiting.add("bob")
    assert waiting.overdue(3.0) == ["bob"]
    alice.session.in_flight = None
    assert waiting.overdue(3.0) == ["alice"]
