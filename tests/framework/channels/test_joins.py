"""Joins under way."""

from __future__ import annotations

import asyncio

import pytest

from zchat.errors import Unavailable
from zchat.framework.channels import joins as module
from zchat.framework.channels.joins import Join, Joined, Joins
from zchat.rooms.channel import Channel
from zchat.rooms.owned_stream import OwnedStream
from zchat.rooms.presence import Presence, SessionRef
from zchat.rooms.resume import Token
from zchat.rooms.stream import StreamPosition


def channel(name: str = "room") -> Channel:
    return Channel(OwnedStream(name, StreamPosition("e", 0)), Presence(1.0))


def ref(session: int = 1) -> SessionRef:
    return SessionRef("connector-1", "life", session)


@pytest.fixture
async def joins() -> Joins:
    return Joins("life1")


async def test_each_has_a_token_of_this_life(joins: Joins) -> None:
    one, two = (joins.begin(channel(), "alice", ref(), True, Token("t")) for _ in range(2))
    assert one.token != two.token
    assert one.token.startswith(b"life1/")
    assert joins.get(one.token) is one
    assert joins.get(b"life2/1") is None


async def test_ended_ones_are_forgotten(joins: Joins) -> None:
    one, two = (joins.begin(channel(), "alice", ref(n), True, Token("t")) for n in (1, 2))
    joins.end(one)
    assert (joins.get(one.token), len(joins)) == (None, 1)
    assert joins.wait_in("room")
    joins.end(two)
    assert not joins.wait_in("room")


async def test_those_of_one_session_in_one_channel_share_their_fate(joins: Joins) -> None:
    room = channel()
    one = joins.begin(room, "alice", ref(1), True, Token("t"))
    joins.begin(room, "alice", ref(2), True, Token("t"))
    joins.begin(channel("other"), "alice", ref(1), True, Token("t"))
    assert not joins.shared(one)
    again = joins.begin(room, "alice", ref(1), False, Token("t"))
    assert joins.shared(one)
    assert joins.shared(again)


async def test_failing_some(joins: Joins) -> None:
    one, two, done = (joins.begin(channel(), "alice", ref(n), True, Token("t")) for n in (1, 2, 1))
    done.admitted.set_result(Joined(StreamPosition("e", 0), []))
    joins.fail(lambda join: join.ref == ref(1), Unavailable("gone"))
    assert isinstance(one.admitted.exception(), Unavailable)
    assert not two.admitted.done()
    assert done.admitted.result().members == []


async def test_failing_those_of_a_session(joins: Joins) -> None:
    room, other = channel(), channel("other")
    gone, done, stays, elsewhere = (
        joins.begin(where, "alice", ref(n), True, Token("t"))
        for where, n in ((room, 1), (room, 1), (room, 2), (other, 1))
    )
    done.admitted.set_result(Joined(StreamPosition("e", 0), []))
    joins.fail_session("room", ref(1), Unavailable("gone"))
    joins.fail_session("nowhere", ref(1), Unavailable("gone"))
    assert isinstance(gone.admitted.exception(), Unavailable)
    assert done.admitted.result().members == []
    assert not stays.admitted.done()
    assert not elsewhere.admitted.done()


async def test_failing_one(joins: Joins) -> None:
    one, other = (joins.begin(channel(), "alice", ref(), True, Token("t")) for _ in range(2))
    for token in (b"life1/99", one.token, one.token):
        joins.fail_order(token)
    error = one.admitted.exception()
    assert isinstance(error, Unavailable)
    assert error.message == "connector-1 did not follow the order"
    assert not other.admitted.done()


async def test_a_failure_that_nobody_heard_is_no_news_for_the_log(joins: Joins) -> None:
    """The loop complains of exceptions never retrieved, which fails this test."""
    join = joins.begin(channel(), "alice", ref(), True, Token("t"))
    joins.fail(lambda _: True, Unavailable("gone"))
    joins.end(join)
    cancelled = joins.begin(channel(), "alice", ref(), True, Token("t"))
    cancelled.admitted.cancel()
    joins.end(cancelled)


async def test_where_a_request_let_a_session_in_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PLACES", 2)
    joins, room, token = Joins("me"), channel(), Token("t")
    places = [StreamPosition("e", offset) for offset in range(4)]

    def join(session: int, request: int, room: Channel = room) -> Join:
        return Join(b"", room, "alice", ref(session), True, token, request, asyncio.Future())

    for session, place in enumerate(places[:2]):
        joins.came_in(join(session, 7), place, 100 + session)
    assert joins.place_before(join(1, 7)) == (places[1], 101)
    assert joins.place_before(join(1, 8)) is None
    assert joins.place_before(join(1, 7, channel("other"))) is None
    joins.came_in(join(0, 9), places[2], 102)
    joins.came_in(join(2, 0), places[3], 103)  # for no request
    assert joins.place_before(join(2, 0)) is None
    assert joins.place_before(join(1, 7)) is None, "the oldest is forgotten"
    assert joins.place_before(join(0, 9)) == (places[2], 102)


async def test_which_of_a_sessions_orders_let_it_in_last(joins: Joins) -> None:
    room = channel()
    first, second = (joins.begin(room, "alice", ref(), True, Token("t")) for _ in range(2))
    assert not joins.came_in_since("room", "alice", ref(), first.token)
    joins.came_in(second, StreamPosition("e", 0), 1)
    assert joins.came_in_since("room", "alice", ref(), first.token)
    assert joins.came_in_since("room", "alice", ref(), b"life0/99")
    assert not joins.came_in_since("room", "alice", ref(), second.token)
    assert not joins.came_in_since("room", "alice", ref(2), first.token)
    assert not joins.came_in_since("room", "bob", ref(), first.token)
