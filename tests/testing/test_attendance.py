"""One client in one room; whole histories are in test_checker.py."""

from __future__ import annotations

from zchat.testing.attendance import Attendance
from zchat.testing.events import Entered, HistoryLost, Received, Sent
from zchat.testing.ledger import Ledger
from zchat.testing.verdict import Kind


def ledger(*offsets: int) -> Ledger:
    """A room where ann said something at each of these offsets."""
    ledger = Ledger("r")
    ledger.number("e")
    for offset in offsets:
        ledger.sent[f"a{offset}"] = Sent(0.0, "ann", "r", f"a{offset}")
        assert ledger.claim(f"a{offset}", "e", offset, 0.0, "ann") is None
    return ledger


def entered(offset: int, recovered: bool | None = None) -> Entered:
    return Entered(0.0, "bob", "r", "e", offset, recovered)


def received(offset: int) -> Received:
    return Received(0.0, "bob", "r", "e", offset, f"a{offset}", "ann")


def test_it_owes_what_follows_its_join() -> None:
    bob = Attendance("bob", ledger(1, 2, 3))
    assert bob.enter(entered(1)) is None
    assert bob.receive(received(3)) is None
    bob.end()
    assert list(bob.missing()) == [("e", 2)]


def test_somebody_who_never_came_in_owes_nothing_but_order() -> None:
    bob = Attendance("bob", ledger(1, 2, 3))
    assert bob.receive(received(3)) is None
    problem = bob.receive(received(2))
    assert problem is not None
    assert problem.kind is Kind.ORDER
    bob.end()
    assert list(bob.missing()) == []


def test_each_wrong_place_has_its_kind() -> None:
    bob = Attendance("bob", ledger(1, 2, 3, 4))
    bob.enter(entered(1))
    kinds = [None if p is None else p.kind for p in map(bob.receive, map(received, (3, 3, 2, 1)))]
    assert kinds == [None, Kind.TWICE, Kind.ORDER, Kind.EARLY]


def test_a_second_join_without_a_question_begins_anew() -> None:
    bob = Attendance("bob", ledger(1, 2, 3))
    bob.enter(entered(0))
    bob.gone()
    bob.enter(entered(2))
    bob.end()
    assert list(bob.missing()) == [("e", 3)]


def test_who_is_gone_is_held_to_what_lies_before_its_last() -> None:
    bob = Attendance("bob", ledger(1, 2, 3))
    bob.enter(entered(0))
    bob.receive(received(2))
    bob.gone()
    bob.end()
    assert list(bob.missing()) == [("e", 1)]


def test_what_it_was_told_of_is_excused() -> None:
    bob = Attendance("bob", ledger(1, 2, 3))
    bob.enter(entered(0))
    bob.history_lost(HistoryLost(0.0, "bob", "r", "e", 1, 3))
    bob.end()
    assert list(bob.missing()) == [("e", 1), ("e", 3)]
