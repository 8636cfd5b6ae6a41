"""The window in which what is sent again is recognized."""

from __future__ import annotations

from zchat.rooms.repeats import Repeats
from zchat.rooms.stream import Publication


def said(offset: int, uid: str = "alice", cid: str = "", ts: int = 1000) -> Publication:
    return Publication(offset, "onChat", b"{}", uid, cid, ts)


def test_the_first_position_is_found() -> None:
    repeats = Repeats()
    repeats.add([said(1, cid="a"), said(2, "bob", "a"), said(3, cid="b")])
    assert repeats.find(("alice", "a"), 1000) == 1
    assert repeats.find(("bob", "a"), 1000) == 2
    assert repeats.find(("alice", "c"), 1000) is None


def test_what_has_no_id_is_never_a_repeat() -> None:
    repeats = Repeats()
    repeats.add([said(1), said(2)])
    assert len(repeats) == 0
    assert repeats.find(("alice", ""), 1000) is None


def test_the_window_has_a_length() -> None:
    repeats = Repeats(limit=2)
    repeats.add([said(number, cid=str(number)) for number in range(1, 6)])
    assert [repeats.find(("alice", str(number)), 1000) for number in range(1, 6)] == [
        *(None, None, None),
        *(4, 5),
    ]


def test_what_is_published_anew_is_the_newest() -> None:
    repeats = Repeats(limit=2)
    repeats.add([said(1, cid="a"), said(2, cid="b"), said(3, cid="a"), said(4, cid="c")])
    found = [repeats.find(("alice", cid), 1000) for cid in "abc"]
    assert found == [3, None, 4]


def test_the_window_has_an_age() -> None:
    repeats = Repeats(age=500)
    repeats.add([said(1, cid="a", ts=1000)])
    assert repeats.find(("alice", "a"), 1500) == 1
    assert repeats.find(("alice", "a"), 1501) is None


def test_a_new_numbering_begins_with_none() -> None:
    repeats = Repeats()
    repeats.add([said(1, cid="c1")])
    repeats.clear()
    assert (repeats.find(("alice", "c1"), 1000), len(repeats)) == (None, 0)
