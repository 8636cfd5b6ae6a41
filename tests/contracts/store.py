"""What every journal must keep (`zchat/rooms/stores/base.py`), as tests that each one runs.

A store's test file makes a class of it and says how its store is made:

    class TestMemoryStore(StoreContract):
        async def make(self) -> MemoryStore: ...

All calls are awaited as if they went over a network, so a store may be remote. Where a store can
fail, its own tests make it fail and call `check_unknown_outcome`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

import pytest

from zchat.rooms.stores.base import (
    Append,
    Fenced,
    Outcome,
    Refused,
    RingRow,
    Store,
    Stored,
)
from zchat.rooms.stream import Publication, StreamPosition

KEPT = 10
"""Publications that the stores under test keep per channel."""


def publications(first: int, count: int = 1, text: str = "") -> list[Publication]:
    """Some with every member set, one to a few uids."""
    return [
        Publication(offset, "onChat", b'{"n":%d}' % offset, "älice", f"{text}{offset}", 1000, to)
        for offset, to in zip(
            range(first, first + count), [None, ("bob",), ()] * count, strict=False
        )
    ]


def after(tail: StreamPosition, count: int = 1, text: str = "", channel: str = "room") -> Append:
    """An append that goes on from `tail`."""
    return Append(channel, tail.epoch, publications(tail.offset + 1, count, text))


async def write(store: Store, *appends: Append, generation: int = 0) -> list[Outcome]:
    """The outcomes, one for each."""
    outcomes = list(await store.append(generation, appends))
    assert len(outcomes) == len(appends)
    return outcomes


async def check_unknown_outcome(store: Store, append: Append) -> None:
    """After an append that raised: the journal has all of it or nothing, and goes on."""
    history = await store.read(append.channel, append.start.offset, len(append.publications))
    if history.tail == append.start:
        assert list(history.publications) == []
    else:
        assert history.tail == append.end
        assert list(history.publications) == list(append.publications)
    assert await store.open(append.channel) == history.tail
    assert await write(store, after(history.tail, channel=append.channel)) == [Stored()]


class StoreContract:
    """The tests. `make` gives a new, empty store that keeps `KEPT` publications per channel."""

    shared = False
    """Whether the store knows how a channel goes on that another owner writes."""

    async def make(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = await self.make()
        yield store
        await store.close()

    async def test_a_new_channel_has_an_epoch_and_nothing_else(self, store: Store) -> None:
        tail = await store.open("room")
        assert tail.offset == 0
        assert re.fullmatch(r"[A-Za-z0-9_-]+", tail.epoch)
        assert await store.open("room") == tail
        history = await store.read("room", 0, 5)
        assert (list(history.publications), history.tail) == ([], tail)

    async def test_epochs_are_never_used_twice(self, store: Store) -> None:
        epochs = {(await store.open(f"room{number}")).epoch for number in range(50)}
        assert len(epochs) == 50

    @pytest.mark.parametrize("channel", ["r", "漢字 room", "a/b", "x" * 200, "'; DROP TABLE", "%"])
    async def test_what_was_stored_is_read(self, store: Store, channel: str) -> None:
        append = after(await store.open(channel), 3, channel=channel)
        assert await write(store, append) == [Stored()]
        history = await store.read(channel, 0, 10)
        assert list(history.publications) == list(append.publications)
        assert history.tail == append.end == await store.open(channel)

    @pytest.mark.parametrize(
        ("start", "limit", "expected"),
        [
            (0, 2, [1, 2]),
            (2, 2, [3, 4]),
            (4, 2, [5]),
            (5, 2, []),
            (9, 2, []),
            (2**70, 2, []),
            (-(2**70), 2, [1, 2]),
            (0, 9, [1, 2, 3, 4, 5]),
        ],
    )
    async def test_pages(self, store: Store, start: int, limit: int, expected: list[int]) -> None:
        tail = await store.open("room")
        await write(store, after(tail, 2))
        await write(store, after(StreamPosition(tail.epoch, 2), 3))
        history = await store.read("room", start, limit)
        assert [publication.offset for publication in history.publications] == expected
        assert history.tail.offset == 5

    async def test_an_append_goes_on_from_the_tail_only(self, store: Store) -> None:
        tail = await store.open("room")
        await write(store, after(tail, 2))
        end = StreamPosition(tail.epoch, 2)
        for wrong in (tail, StreamPosition(tail.epoch, 1), StreamPosition(tail.epoch, 3)):
            assert await write(store, after(wrong, 2)) == [Refused(end)]
        assert await write(store, after(StreamPosition("other", 2))) == [Refused(end)]
        assert [p.offset for p in (await store.read("room", 0, 9)).publications] == [1, 2]
        assert await write(store, after(end)) == [Stored()]

    async def test_runs_of_one_append_have_outcomes_of_their_own(self, store: Store) -> None:
        tails = {name: await store.open(name) for name in ("a", "b", "c")}
        await write(store, after(tails["b"], channel="b"))
        appends = [after(tails[name], 2, channel=name) for name in ("a", "b", "c")]
        refused = Refused(StreamPosition(tails["b"].epoch, 1))
        assert await write(store, *appends) == [Stored(), refused, Stored()]
        for name, offset in (("a", 2), ("b", 1), ("c", 2)):
            assert (await store.open(name)).offset == offset

    async def test_no_runs_have_no_outcomes(self, store: Store) -> None:
        assert await write(store) == []

    async def test_of_writers_at_the_same_time_one_gets_each_offset(self, store: Store) -> None:
        tail = await store.open("room")
        rivals = [after(tail, 2, f"writer{number}-") for number in range(5)]
        outcomes: Sequence[list[Outcome]] = await asyncio.gather(
            *(write(store, rival) for rival in rivals)
        )
        winners = [r for r, outcome in zip(rivals, outcomes, strict=True) if outcome == [Stored()]]
        assert len(winners) == 1
        assert all(o in ([Stored()], [Refused(winners[0].end)]) for o in outcomes)
        history = await store.read("room", 0, 9)
        assert list(history.publications) == list(winners[0].publications)

    async def test_old_ones_go_and_offsets_stay(self, store: Store) -> None:
        tail = await store.open("room")
        for _ in range(KEPT + 3):
            assert await write(store, after(tail)) == [Stored()]
            tail = StreamPosition(tail.epoch, tail.offset + 1)
        history = await store.read("room", 0, 100)
        assert [p.offset for p in history.publications] == list(range(4, KEPT + 4))
        assert history.tail == tail == await store.open("room")
        assert [p.offset for p in (await store.read("room", 1, 2)).publications] == [4, 5]

    async def test_a_run_longer_than_what_is_kept(self, store: Store) -> None:
        append = after(await store.open("room"), KEPT * 2)
        assert await write(store, append) == [Stored()]
        history = await store.read("room", 0, 100)
        assert list(history.publications) == list(append.publications)[-KEPT:]
        assert history.tail == append.end

    async def test_an_idle_channel_goes_on_where_it_ended(self, store: Store) -> None:
        append = after(await store.open("room"), 2)
        await write(store, append)
        store.let_go("room", moved=False)
        assert await store.open("room") == append.end
        assert len((await store.read("room", 0, 9)).publications) == 2

    async def test_a_moved_channel_goes_on_only_where_all_owners_write(self, store: Store) -> None:
        append = after(await store.open("room"), 2)
        await write(store, append)
        store.let_go("room", moved=True)
        tail = await store.open("room")
        if self.shared:
            assert tail == append.end
        else:
            assert tail.offset == 0
            assert tail.epoch != append.epoch
            assert await write(store, after(append.end)) == [Refused(tail)]

    async def test_letting_go_of_what_is_not_there(self, store: Store) -> None:
        for moved in (True, False):
            store.let_go("never", moved=moved)
        assert (await store.open("never")).offset == 0

    @pytest.mark.parametrize(
        ("before", "limit", "expected"),
        [
            (6, 2, [4, 5]),
            (99, 2, [4, 5]),
            (5, 3, [2, 3, 4]),
            (3, 9, [1, 2]),
            (2, 1, [1]),
            (1, 5, []),
            (0, 5, []),
            (-(2**70), 5, []),
            (2**70, 2, [4, 5]),
            (6, 9, [1, 2, 3, 4, 5]),
        ],
    )
    async def test_pages_backwards(
        self, store: Store, before: int, limit: int, expected: list[int]
    ) -> None:
        tail = await store.open("room")
        await write(store, after(tail, 2))
        await write(store, after(StreamPosition(tail.epoch, 2), 3))
        history = await store.read_back("room", before, limit)
        assert list(history.publications) == [
            p for p in (await store.read("room", 0, 9)).publications if p.offset in expected
        ]
        assert [p.offset for p in history.publications] == expected
        assert history.tail == StreamPosition(tail.epoch, 5)

    async def test_nothing_lies_before_what_is_kept(self, store: Store) -> None:
        append = after(await store.open("room"), KEPT + 3)
        await write(store, append)
        history = await store.read_back("room", 6, 9)
        assert [p.offset for p in history.publications] == [4, 5]
        assert list((await store.read_back("room", 4, 9)).publications) == []
        assert list((await store.read_back("room", 99, 99)).publications) == list(
            append.publications[-KEPT:]
        )

    async def test_the_ring_begins_empty(self, store: Store) -> None:
        assert await store.ring() == RingRow(0, frozenset())

    async def test_each_change_of_the_ring_is_the_next_generation(self, store: Store) -> None:
        for generation, workers in enumerate(({"chat-1"}, {"chat-1", "chat-2"}, {"b.c_d"}, set())):
            row = RingRow(generation + 1, frozenset(workers))
            assert await store.change_ring(generation, row.workers) == row
            assert await store.ring() == row

    async def test_the_ring_is_changed_by_who_knows_it(self, store: Store) -> None:
        row = await store.change_ring(0, frozenset({"chat-1"}))
        for generation in (0, 2, 9):
            assert await store.change_ring(generation, frozenset({"rival"})) == row
        assert await store.ring() == row

    async def test_a_ring_that_stays_as_it_is_is_no_change(self, store: Store) -> None:
        row = await store.change_ring(0, frozenset({"chat-1"}))
        assert await store.change_ring(1, frozenset({"chat-1"})) == row
        assert await store.ring() == row

    async def test_of_changes_at_the_same_time_one_is_made(self, store: Store) -> None:
        rivals = [frozenset({f"chat-{number}"}) for number in range(5)]
        rows = await asyncio.gather(*(store.change_ring(0, rival) for rival in rivals))
        assert len(set(rows)) == 1
        assert rows[0].generation == 1
        assert rows[0].workers in rivals
        assert await store.ring() == rows[0]

    async def test_who_knows_an_older_ring_writes_nothing(self, store: Store) -> None:
        tails = {name: await store.open(name) for name in ("a", "b")}
        await store.change_ring(0, frozenset({"chat-1"}))
        await store.change_ring(1, frozenset({"chat-1", "chat-2"}))
        appends = [after(tails[name], 2, channel=name) for name in tails]
        for generation in (0, 1):
            assert await write(store, *appends, generation=generation) == [Fenced(2)] * 2
        for name, tail in tails.items():
            history = await store.read(name, 0, 9)
            assert (list(history.publications), history.tail) == ([], tail)
        assert await write(store, *appends, generation=2) == [Stored()] * 2

    async def test_the_fence_comes_before_the_tail(self, store: Store) -> None:
        """Who is told of another tail would number on from it, with the right of an old ring."""
        tail = await store.open("room")
        await store.change_ring(0, frozenset({"chat-1"}))
        wrong = after(StreamPosition(tail.epoch, 7))
        assert await write(store, wrong, generation=0) == [Fenced(1)]
        assert await write(store, wrong, generation=1) == [Refused(tail)]

    async def test_a_writer_may_know_a_newer_ring(self, store: Store) -> None:
        """As one does that goes on after the journal was moved away."""
        assert await write(store, after(await store.open("room")), generation=5) == [Stored()]

    async def test_a_change_of_the_ring_leaves_the_channels_alone(self, store: Store) -> None:
        append = after(await store.open("room"), 2)
        await write(store, append)
        await store.change_ring(0, frozenset({"chat-1"}))
        assert await store.open("room") == append.end
        assert len((await store.read("room", 0, 9)).publications) == 2

    async def test_closing_twice(self, store: Store) -> None:
        await write(store, after(await store.open("room")))
        await store.close()
        await store.close()
