"""What waits, what is under way, and what becomes of it when a batch comes back."""

from __future__ import annotations

import asyncio

import pytest

from zchat.errors import TimedOut, Unavailable
from zchat.rooms.owned_stream import OwnedStream
from zchat.rooms.stores.base import Append, History
from zchat.rooms.stream import Draft, Publication, StreamPosition
from zchat.rooms.ticket import Ticket, Waiter

TS = 1234
START = StreamPosition("e", 4)


def stream() -> OwnedStream:
    return OwnedStream("room", START)


def put(stream: OwnedStream, *names: str) -> list[Waiter]:
    """Drafts of alice that have these ids, empty ones too; they come back in the same order."""
    loop = asyncio.get_running_loop()
    waiters: list[Waiter] = [loop.create_future() for _ in names]
    for name, waiter in zip(names, waiters, strict=True):
        stream.put(Ticket(Draft("onChat", b"{}", "alice", name), waiter))
    return waiters


def take(stream: OwnedStream, limit: int = 9, size: int = 9999) -> Append:
    append = stream.take(limit, size, TS)
    assert append is not None
    return append


def offsets(append: Append) -> list[tuple[str, int]]:
    return [(publication.cid, publication.offset) for publication in append.publications]


async def test_a_batch_is_numbered_from_where_the_stream_ends() -> None:
    room = stream()
    put(room, "c1", "c2", "c3")
    append = take(room, limit=2)
    assert (append.channel, append.epoch, append.start) == ("room", "e", START)
    assert offsets(append) == [("c1", 5), ("c2", 6)]
    assert len(room.waiting) == 1
    assert room.waiting_bytes == room.waiting[0].size


async def test_a_batch_has_a_size_and_one_may_be_larger() -> None:
    room = stream()
    put(room, "c1", "c2")
    assert offsets(take(room, size=1)) == [("c1", 5)]


async def test_who_gave_up_takes_no_offset() -> None:
    room = stream()
    gone, _ = put(room, "", "c2")
    gone.cancel()
    assert offsets(take(room)) == [("c2", 5)]
    put(room, "")[0].cancel()
    assert room.take(9, 9999, TS) is None
    assert room.waiting_bytes == 0


async def test_what_was_stored_has_its_place() -> None:
    room = stream()
    first, second = put(room, "c1", "c2")
    assert room.busy
    room.stored(take(room))
    assert [first.result(), second.result()] == [StreamPosition("e", 5), StreamPosition("e", 6)]
    assert (room.position, room.news, room.busy) == (StreamPosition("e", 6), True, False)
    assert room.pending == {}
    assert room.repeats.find(("alice", "c2"), TS) == 6


async def test_what_was_refused_waits_in_front_and_is_numbered_again() -> None:
    room = stream()
    put(room, "c1", "c2")
    append = take(room)
    put(room, "c3")
    room.give_back(append.start)
    assert room.waiting_bytes == sum(ticket.size for ticket in room.waiting)
    assert offsets(take(room)) == [("c1", 5), ("c2", 6), ("c3", 7)]


async def test_refused_three_times_it_is_given_up() -> None:
    room = stream()
    [waiter] = put(room, "c1")
    for _ in range(3):
        assert not waiter.done()
        room.give_back(take(room).start)
    assert isinstance(waiter.exception(), Unavailable)
    assert (room.busy, room.pending) == (False, {})


async def test_what_comes_back_to_a_closed_stream_fails() -> None:
    room = stream()
    [under_way] = put(room, "c1")
    append = take(room)
    [waiting] = put(room, "c2")
    room.close(TimedOut("it moved"))
    assert isinstance(waiting.exception(), TimedOut)
    assert not under_way.done()
    room.give_back(append.start)
    assert isinstance(under_way.exception(), TimedOut)


@pytest.mark.parametrize(("epoch", "place"), [("e", 5), ("f", 5)])
async def test_what_is_in_the_journal_is_not_written_again(epoch: str, place: int) -> None:
    room = stream()
    room.doubtful = True
    known, new = put(room, "c1", "c2")
    found = Publication(place, "onChat", b"{}", "alice", "c1", TS)
    room.catch_up(History([found], StreamPosition(epoch, 7)), TS)
    assert known.result() == StreamPosition(epoch, place)
    assert not new.done()
    assert not room.doubtful
    assert offsets(take(room)) == [("c2", 8)]


async def test_a_new_numbering_has_no_repeats_of_the_old() -> None:
    room = stream()
    put(room, "c1")
    room.stored(take(room))
    room.catch_up(History([], StreamPosition("f", 0)), TS)
    assert room.repeats.find(("alice", "c1"), TS) is None
    put(room, "c1")
    assert offsets(take(room)) == [("c1", 1)]


async def test_only_the_batch_under_way_fails() -> None:
    room = stream()
    [under_way] = put(room, "c1")
    take(room)
    [waiting] = put(room, "c2")
    room.fail_under_way(TimedOut("the journal failed"))
    assert isinstance(under_way.exception(), TimedOut)
    assert not waiting.done()
    assert list(room.pending) == [("alice", "c2")]
    waiting.cancel()
