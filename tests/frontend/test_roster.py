"""Whom members here have been told of, and when that is behind."""

from __future__ import annotations

from tests.frontend.audience import change
from zchat.frontend.roster import Roster


def roster(version: int = 4, *uids: str) -> Roster:
    roster = Roster()
    roster.begin(uids, version)
    return roster


def test_at_first_everything_may_be_missing() -> None:
    roster = Roster()
    assert roster.behind
    assert not roster.is_next(change(1, "alice"))


def test_it_begins_with_a_list() -> None:
    first = roster(4, "alice")
    assert (first.uids, first.version, first.behind) == ({"alice"}, 4, False)
    assert roster(0, "alice").behind


def test_only_the_next_change_is_the_next() -> None:
    at_four = roster(4)
    assert [at_four.is_next(change(version, "bob")) for version in (3, 4, 5, 6)] == [
        *(False, False, True, False)
    ]


def test_a_change_is_news_once() -> None:
    known = roster(4, "alice")
    news = [
        known.apply(change(5, uid, joined))
        for uid, joined in (("bob", True), ("bob", True), ("alice", False), ("alice", False))
    ]
    assert news == [True, False, True, False]
    assert known.uids == {"bob"}


def test_it_is_behind_what_it_hears_of() -> None:
    at_four = roster(4)
    at_four.hear(3)
    assert not at_four.behind
    at_four.hear(6)
    at_four.hear(5)
    assert (at_four.behind, at_four.heard) == (True, 6)


def test_an_answer_covers_what_had_been_heard_when_it_was_asked_for() -> None:
    at_four = roster(4)
    at_four.hear(9)  # from an owner whose clock was ahead
    at_four.reach(6, heard=9)
    assert (at_four.version, at_four.behind) == (6, False)
    at_four.hear(8)
    at_four.reach(7, heard=6)
    assert (at_four.version, at_four.behind) == (7, True)


def test_a_late_answer_does_not_take_it_back() -> None:
    at_four = roster(4)
    at_four.reach(3, heard=0)
    assert at_four.version == 4


def test_in_doubt_it_keeps_whom_it_told_of() -> None:
    doubtful = roster(4, "alice")
    doubtful.hear(9)
    doubtful.doubt()
    assert (doubtful.uids, doubtful.version, doubtful.heard) == ({"alice"}, 0, 0)
    assert doubtful.behind


def test_a_copy_is_shared_until_somebody_comes_or_goes() -> None:
    known = roster(4, "alice")
    copy = known.copy()
    assert copy == {"alice"}
    assert known.copy() is copy
    assert not known.apply(change(5, "alice"))
    assert known.copy() is copy
    assert known.apply(change(6, "bob"))
    assert copy == {"alice"}
    assert known.copy() == {"alice", "bob"}
    known.begin(["carol"], 9)
    assert known.copy() == {"carol"}
