"""What is recovered, what is not, and for whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.rooms.recovery import PAGE_BYTES, as_push, backward, forward, is_for, recover
from zchat.rooms.stores.base import History
from zchat.rooms.stream import Publication, StreamPosition

EPOCH = "e1"


def said(offset: int, *, size: int = 0, to: tuple[str, ...] | None = None) -> Publication:
    return Publication(offset, "onChat", b'{"msg":"%s"}' % (b"x" * size), "alice", "", 9, to)


def history(first: int, last: int, tail: int, *, size: int = 0) -> History:
    publications = [said(offset, size=size) for offset in range(first, last + 1)]
    return History(publications, StreamPosition(EPOCH, tail))


def at(offset: int, epoch: str = EPOCH) -> StreamPosition:
    return StreamPosition(epoch, offset)


def offsets(publications: list[dict[str, object]]) -> list[object]:
    return [publication["offset"] for publication in publications]


def test_what_follows_up_to_where_it_came_in() -> None:
    result = recover("bob", at(2), at(4), history(3, 6, tail=6))
    assert (result.recovered, result.next) == (True, 0)
    assert offsets(result.publications) == [3, 4]


def test_nothing_was_missed() -> None:
    result = recover("bob", at(4), at(4), history(5, 4, tail=4))
    assert (result.recovered, result.publications) == (True, [])


@pytest.mark.parametrize(
    ("since", "kept_from"),
    [(at(2, "other"), 3), (at(5), 6), (at(-1), 1), (at(1), 3), (at(1), 5)],
    ids=["epoch", "past the end", "before the start", "trimmed", "all trimmed"],
)
def test_what_cannot_be_had_is_said(since: StreamPosition, kept_from: int) -> None:
    result = recover("bob", since, at(4), history(kept_from, 4, tail=4))
    assert (result.recovered, result.publications, result.next) == (False, [], 0)


def test_much_comes_in_pages() -> None:
    size = PAGE_BYTES // 3
    result = recover("bob", at(0), at(9), history(1, 9, tail=9, size=size))
    assert result.recovered
    assert (offsets(result.publications), result.next) == ([1, 2], 2)
    page = forward("bob", 2, history(3, 9, tail=9, size=size))
    assert (offsets(page.publications), page.next, page.recovered) == ([3, 4], 4, True)
    page = backward("bob", history(1, 9, tail=9, size=size))
    assert (offsets(page.publications), page.next, page.recovered) == ([8, 9], 8, True)


def test_pages_end() -> None:
    assert forward("bob", 2, history(3, 4, tail=4)).answer()["more"] is False
    assert backward("bob", history(1, 4, tail=9)).answer()["more"] is False
    assert forward("bob", 4, history(5, 4, tail=4)).publications == []
    assert backward("bob", history(1, 0, tail=4)).publications == []


@given(st.lists(st.sampled_from([None, (), ("bob",), ("carol",), ("bob", "carol")]), max_size=9))
def test_each_sees_what_is_for_it(audiences: list[tuple[str, ...] | None]) -> None:
    publications = [said(n, to=to) for n, to in enumerate(audiences, 1)]
    whole = History(publications, at(len(publications)))
    for uid in ("alice", "bob", "carol", "dave"):
        expected = [p.offset for p in publications if is_for(p, uid)]
        assert offsets(forward(uid, 0, whole).publications) == expected
        assert offsets(recover(uid, at(0), whole.tail, whole).publications) == expected
        private = {p.offset for p in publications if p.audience is not None}
        assert uid == "alice" or private.isdisjoint(expected) or uid in ("bob", "carol")


@pytest.mark.parametrize(
    ("after", "kept", "whole"),
    [(2, (3, 9), True), (0, (3, 9), False), (2, (10, 9), False), (9, (10, 9), True)],
)
def test_a_page_says_whether_what_comes_first_is_gone(
    after: int, kept: tuple[int, int], whole: bool
) -> None:
    assert forward("bob", after, history(*kept, tail=9)).recovered is whole


def test_a_recovered_publication_is_its_push() -> None:
    publication = Publication(7, "onChat", b'{"msg":"hi"}', "alice", "a1", 12)
    assert as_push(publication, EPOCH) == {
        "msg": "hi",
        "route": "onChat",
        "epoch": EPOCH,
        "offset": 7,
        "ts": 12,
        "id": "a1",
    }
