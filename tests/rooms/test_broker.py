"""Batches, refusals, and journals that fail in every way."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.logs import ExpectedLogs
from tests.support.timing import eventually
from zchat.errors import RequestError, TimedOut, Unavailable
from zchat.protocol.body import dumps
from zchat.protocol.dictionary import RouteDictionary
from zchat.rooms.broker import Broker
from zchat.rooms.channel import Framer, PresencePushes
from zchat.rooms.owned_stream import OwnedStream
from zchat.rooms.stores.base import Append, History, Outcome, Refused, RingRow
from zchat.rooms.stores.memory import MemoryStore
from zchat.rooms.stream import MAX_BODY_BYTES, Draft, Publication, StreamPosition

FAILS, FAILS_AFTER, REFUSES = "fails", "fails after it wrote", "refuses"


class Store:
    """A journal in memory that can be told to fail, once per word in `plan`."""

    def __init__(self) -> None:
        epochs = itertools.count(1)
        self.memory = MemoryStore(lambda: f"e{next(epochs)}", 10_000)
        self.plan: list[str] = []
        self.unreadable = False
        self.batches: list[list[Append]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception = OSError("disk on fire at /var/lib/secret")

    async def open(self, channel: str) -> StreamPosition:
        if self.unreadable:
            raise self.error
        return await self.memory.open(channel)

    async def read(self, channel: str, after: int, limit: int) -> History:
        if self.unreadable:
            raise self.error
        return await self.memory.read(channel, after, limit)

    async def read_back(self, channel: str, before: int, limit: int) -> History:
        return await self.memory.read_back(channel, before, limit)

    async def ring(self) -> RingRow:
        return await self.memory.ring()

    async def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
        return await self.memory.change_ring(generation, workers)

    async def append(self, generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        self.batches.append(list(appends))
        await self.gate.wait()
        fault = self.plan.pop(0) if self.plan else ""
        if fault == FAILS:
            raise self.error
        if fault == REFUSES:
            return [Refused(await self.memory.open(append.channel)) for append in appends]
        outcomes = await self.memory.append(generation, appends)
        if fault == FAILS_AFTER:
            raise self.error
        return outcomes

    def let_go(self, channel: str, *, moved: bool) -> None:
        self.memory.let_go(channel, moved=moved)

    async def close(self) -> None:
        await self.memory.close()


class Bench:
    """A broker with its store, and what it published."""

    def __init__(self, **limits: Any) -> None:
        self.store = Store()
        self.published: list[tuple[str, str, int, bytes]] = []
        self.generation = 0
        self.on_fenced: Callable[[], None] = lambda: None
        self.fences = 0
        self.broker = Broker(
            self.store, self.publish, lambda: 1234, lambda: self.generation, self.fenced, **limits
        )

    def publish(self, channel: str, epoch: str, publications: Sequence[Publication]) -> None:
        self.published += [(channel, epoch, p.offset, p.body) for p in publications]

    async def fenced(self) -> None:
        """Learn of the ring, as an owner does, and do what the test says."""
        self.fences += 1
        self.generation = (await self.store.ring()).generation
        self.on_fenced()

    async def change_ring(self, *workers: str) -> None:
        """Somebody else changes it."""
        row = await self.store.ring()
        await self.store.change_ring(row.generation, frozenset(workers))

    async def stream(self, channel: str = "room") -> OwnedStream:
        return OwnedStream(channel, await self.store.memory.open(channel))

    def offer(self, stream: OwnedStream, number: int) -> asyncio.Future[StreamPosition]:
        return self.broker.offer(stream, draft(number))


def draft(number: int) -> Draft:
    return Draft("onChat", b'{"n":%d}' % number)


async def outcomes(futures: Sequence[asyncio.Future[StreamPosition]]) -> list[Any]:
    """Offsets, or the classes of errors."""
    results = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 5)
    return [r.offset if isinstance(r, StreamPosition) else type(r) for r in results]


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_what_gathers_in_a_turn_is_one_batch(bench: Bench) -> None:
    stream = await bench.stream()
    assert await outcomes([bench.offer(stream, n) for n in range(3)]) == [1, 2, 3]
    assert len(bench.store.batches) == 1
    assert bench.published == [("room", "e1", n + 1, b'{"n":%d}' % n) for n in range(3)]
    assert bench.broker.published == 3
    assert stream.position == StreamPosition("e1", 3)
    assert not stream.busy
    (append,) = bench.store.batches[0]
    assert {p.ts for p in append.publications} == {1234}


async def test_it_is_published_before_its_sender_knows(bench: Bench) -> None:
    future = bench.offer(await bench.stream(), 0)
    future.add_done_callback(lambda _: bench.published.append(("done", "", 0, b"")))
    await future
    await asyncio.sleep(0)
    assert [entry[0] for entry in bench.published] == ["room", "done"]


async def test_one_batch_per_channel_is_under_way_and_others_gather() -> None:
    bench = Bench(batch_limit=2)
    stream = await bench.stream()
    bench.store.gate.clear()
    first = bench.offer(stream, 0)
    await eventually(lambda: bench.store.batches)
    later = [bench.offer(stream, n) for n in range(1, 6)]
    bench.store.gate.set()
    assert await outcomes([first, *later]) == [1, 2, 3, 4, 5, 6]
    assert [len(batch[0].publications) for batch in bench.store.batches] == [1, 2, 2, 1]


async def test_channels_share_a_round(bench: Bench) -> None:
    streams = [await bench.stream(name) for name in ("a", "b", "c")]
    futures = [bench.offer(stream, n) for n, stream in enumerate(streams)]
    assert await outcomes(futures) == [1, 1, 1]
    assert [a.channel for a in bench.store.batches[0]] == ["a", "b", "c"]


async def test_when_full_drafts_are_refused_and_counted() -> None:
    bench = Bench(queue_limit=2)
    stream = await bench.stream()
    futures = [bench.offer(stream, n) for n in range(2)]
    with pytest.raises(Unavailable, match="room"):
        bench.offer(stream, 2)
    assert bench.broker.refused == 1
    assert await outcomes(futures) == [1, 2]


async def test_who_gave_up_while_waiting_is_not_written(bench: Bench) -> None:
    stream = await bench.stream()
    futures = [bench.offer(stream, n) for n in range(3)]
    futures[1].cancel()
    assert (await outcomes([futures[0], futures[2]])) == [1, 2]
    assert [body for *_, body in bench.published] == [b'{"n":0}', b'{"n":2}']


async def test_when_all_gave_up_nothing_is_written(bench: Bench) -> None:
    stream = await bench.stream()
    bench.offer(stream, 0).cancel()
    await bench.broker.close()
    assert bench.store.batches == []
    assert await outcomes([bench.offer(stream, 1)]) == [1]


async def test_who_gives_up_while_it_is_written_is_written(bench: Bench) -> None:
    stream = await bench.stream()
    bench.store.gate.clear()
    future = bench.offer(stream, 0)
    await eventually(lambda: bench.store.batches)
    future.cancel()
    bench.store.gate.set()
    assert await outcomes([bench.offer(stream, 1)]) == [2]


async def test_a_refused_batch_is_numbered_again(bench: Bench, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "refused")
    stream = await bench.stream()
    await bench.store.memory.append(
        0, [Append("room", "e1", [draft(9).at(1, 0), draft(9).at(2, 0)])]
    )
    assert await outcomes([bench.offer(stream, n) for n in range(2)]) == [3, 4]
    assert [offset for _, _, offset, _ in bench.published] == [1, 2, 3, 4], "members miss nothing"


async def test_refused_again_and_again_is_given_up(
    bench: Bench, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "refused")
    stream = await bench.stream()
    bench.store.plan = [REFUSES] * 3
    assert await outcomes([bench.offer(stream, n) for n in range(2)]) == [Unavailable] * 2
    assert bench.store.plan == []
    assert await outcomes([bench.offer(stream, 2)]) == [1]
    bench.store.plan = [REFUSES] * 2
    assert await outcomes([bench.offer(stream, 3)]) == [2]


async def test_a_failure_before_anything_was_written(
    bench: Bench, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "append of 2 batches failed")
    stream, other = await bench.stream(), await bench.stream("other")
    bench.store.plan = [FAILS]
    futures = [bench.offer(stream, 0), bench.offer(other, 0)]
    assert await outcomes(futures) == [Unavailable] * 2
    error = futures[0].exception()
    assert isinstance(error, RequestError)
    assert "secret" not in error.message
    assert bench.published == []
    assert await outcomes([bench.offer(stream, 1), bench.offer(other, 1)]) == [1, 1]


async def test_a_failure_that_the_client_may_know_of(
    bench: Bench, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "failed")
    bench.store.plan, bench.store.error = [FAILS], RequestError("disk full", code=507)
    with pytest.raises(RequestError, match="disk full"):
        await bench.offer(await bench.stream(), 0)


async def test_a_failure_after_all_was_written(bench: Bench, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "failed")
    stream = await bench.stream()
    bench.store.plan = [FAILS_AFTER]
    assert await outcomes([bench.offer(stream, n) for n in range(2)]) == [1, 2]
    assert [offset for _, _, offset, _ in bench.published] == [1, 2]
    assert await outcomes([bench.offer(stream, 2)]) == [3]


async def test_a_failure_while_another_writes(bench: Bench, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "failed")
    stream = await bench.stream()
    bench.store.plan = [FAILS]
    await bench.store.memory.append(0, [Append("room", "e1", [draft(9).at(1, 0)])])
    assert await outcomes([bench.offer(stream, 0)]) == [TimedOut]
    assert await outcomes([bench.offer(stream, 1)]) == [2]


async def test_a_journal_that_cannot_even_be_read(
    bench: Bench, expected_logs: ExpectedLogs
) -> None:
    for text in ("append of 2 batches failed", "cannot be read", "cannot be opened"):
        expected_logs("zchat.cluster", text)
    stream, other = await bench.stream(), await bench.stream("other")
    bench.store.plan, bench.store.unreadable = [FAILS_AFTER], True
    assert await outcomes([bench.offer(stream, 0), bench.offer(other, 0)]) == [TimedOut] * 2
    assert await outcomes([bench.offer(stream, 1)]) == [Unavailable]
    assert len(bench.store.batches) == 1, "nothing is written before the tail is known"
    bench.store.unreadable = False
    assert await outcomes([bench.offer(stream, 2), bench.offer(other, 2)]) == [2, 2]


async def test_a_publish_that_fails_costs_nobody_else(
    bench: Bench, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "publishing")

    def broken(channel: str, epoch: str, publications: Sequence[Publication]) -> None:
        if channel == "bad":
            raise ValueError("too large")

    bench.broker = Broker(bench.store, broken, lambda: 0, lambda: 0, bench.fenced)
    bad, good = await bench.stream("bad"), await bench.stream("good")
    assert await outcomes([bench.offer(bad, 0), bench.offer(good, 0)]) == [1, 1]
    assert await outcomes([bench.offer(bad, 1)]) == [2]


async def test_a_fenced_batch_is_written_again_when_it_is_still_ours(bench: Bench) -> None:
    stream, other = await bench.stream(), await bench.stream("other")
    await bench.change_ring("chat-1", "chat-2")
    futures = [bench.offer(stream, 0), bench.offer(stream, 1), bench.offer(other, 2)]
    assert await outcomes(futures) == [1, 2, 1]
    assert (bench.fences, bench.broker.fenced) == (1, 2), "once a round, and two batches"
    assert [len(batch) for batch in bench.store.batches] == [2, 2]
    assert [entry[2:] for entry in bench.published] == [
        (1, b'{"n":0}'),
        (2, b'{"n":1}'),
        (1, b'{"n":2}'),
    ]
    assert await outcomes([bench.offer(stream, 3)]) == [3]
    assert bench.fences == 1


async def test_streams_that_a_fence_closes_fail_and_others_are_written(bench: Bench) -> None:
    mine, moved = await bench.stream("mine"), await bench.stream("moved")
    tail = moved.position
    bench.on_fenced = lambda: moved.close(RequestError("moved to chat-2", code=307))
    await bench.change_ring("chat-1", "chat-2")
    bench.store.gate.clear()
    under_way = [bench.offer(moved, 0), bench.offer(mine, 1)]
    await eventually(lambda: bench.store.batches)
    waiting = [bench.offer(moved, 2), bench.offer(mine, 3)]
    bench.store.gate.set()
    assert await outcomes([*under_way, *waiting]) == [RequestError, 1, RequestError, 2]
    for future in (under_way[0], waiting[0]):
        error = future.exception()
        assert isinstance(error, RequestError)
        assert (error.code, error.message) == (307, "moved to chat-2")
    assert (moved.position, moved.busy) == (tail, False), "its offsets are free again"
    assert {entry[0] for entry in bench.published} == {"mine"}
    assert (await bench.store.memory.read("moved", 0, 9)).publications == ()


async def test_a_stream_closed_before_its_batch_is_fenced(bench: Bench) -> None:
    stream = await bench.stream()
    await bench.change_ring("chat-2")
    bench.store.gate.clear()
    future = bench.offer(stream, 0)
    await eventually(lambda: bench.store.batches)
    stream.close(RequestError("moved", code=307))
    bench.store.gate.set()
    assert await outcomes([future]) == [RequestError]
    await bench.broker.close()
    assert bench.fences == 1
    assert len(bench.store.batches) == 1


async def test_nothing_is_written_until_the_ring_was_learned(bench: Bench) -> None:
    stream = await bench.stream()
    await bench.change_ring("chat-1")
    learned = asyncio.Event()
    seen: list[int] = []

    async def slow() -> None:
        seen.append(len(bench.store.batches))
        await learned.wait()
        seen.append(len(bench.store.batches))
        bench.generation = 1

    bench.broker = Broker(bench.store, bench.publish, lambda: 0, lambda: bench.generation, slow)
    first = bench.offer(stream, 0)
    await eventually(lambda: seen)
    second = bench.offer(stream, 1)
    learned.set()
    assert await outcomes([first, second]) == [1, 2]
    assert seen == [1, 1]


async def test_drafts_keep_their_order_through_a_fence(bench: Bench) -> None:
    stream = await bench.stream()
    await bench.change_ring("chat-1")
    bench.store.gate.clear()
    futures = [bench.offer(stream, n) for n in range(3)]
    await eventually(lambda: bench.store.batches)
    futures += [bench.offer(stream, n) for n in range(3, 6)]
    bench.store.gate.set()
    assert await outcomes(futures) == [1, 2, 3, 4, 5, 6]
    assert [body for *_, body in bench.published] == [b'{"n":%d}' % n for n in range(6)]


async def test_a_ring_that_cannot_be_learned(bench: Bench, expected_logs: ExpectedLogs) -> None:
    """It is tried some times; nobody waits for ever, and nothing is written."""
    expected_logs("zchat.cluster", "the newer ring cannot be learned")
    stream = await bench.stream()
    await bench.change_ring("chat-1")

    async def broken() -> None:
        raise bench.store.error

    bench.broker = Broker(bench.store, bench.publish, lambda: 0, lambda: bench.generation, broken)
    assert await outcomes([bench.offer(stream, n) for n in range(2)]) == [Unavailable] * 2
    assert len(bench.store.batches) == 3
    bench.generation = 1
    assert await outcomes([bench.offer(stream, 2)]) == [1]


async def test_a_ring_that_is_newer_again_and_again(bench: Bench) -> None:
    stream = await bench.stream()
    await bench.change_ring("chat-1")
    bench.broker = Broker(bench.store, bench.publish, lambda: 0, lambda: 0, bench.fenced)
    assert await outcomes([bench.offer(stream, 0)]) == [Unavailable]
    assert bench.fences == bench.broker.fenced == 3


async def test_who_repeats_what_was_in_doubt_is_told_that_it_is_in(
    bench: Bench, expected_logs: ExpectedLogs
) -> None:
    for text in ("append of 1 batches failed", "cannot be read"):
        expected_logs("zchat.cluster", text)
    stream = await bench.stream()
    bench.store.plan, bench.store.unreadable = [FAILS_AFTER], True
    message = Draft("onChat", b"{}", "alice", "cid-1")
    assert await outcomes([bench.broker.offer(stream, message)]) == [TimedOut]
    bench.store.unreadable = False
    assert await outcomes([bench.offer(stream, 0)]) == [2]
    assert await outcomes([bench.broker.offer(stream, message)]) == [1]
    assert len((await bench.store.memory.read("room", 0, 9)).publications) == 2


def named(cid: str, number: int = 0) -> Draft:
    return Draft("onChat", b'{"n":%d}' % number, "alice", cid)


async def written_by_another(bench: Bench, *drafts: Draft, channel: str = "room") -> None:
    position = await bench.store.memory.open(channel)
    numbered = [draft.at(position.offset + n, 0) for n, draft in enumerate(drafts, 1)]
    await bench.store.memory.append(0, [Append(channel, position.epoch, numbered)])


async def journalled(bench: Bench) -> list[str]:
    return [p.cid for p in (await bench.store.memory.read("room", 0, 9999)).publications]


async def test_who_gave_up_hears_of_no_failure(bench: Bench) -> None:
    """Nor does the log: that nobody waited for an answer is no fault."""
    stream = await bench.stream()
    bench.store.gate.clear()
    first = bench.offer(stream, 0)
    await eventually(lambda: bench.store.batches)
    given_up = bench.broker.offer(stream, named("c1"))
    given_up.cancel()
    await asyncio.wait({given_up})
    stream.close(Unavailable("it moved"))
    bench.store.gate.set()
    assert await outcomes([first]) == [1]
    assert not stream.pending
    gc.collect()  # what nobody asked for is logged when it goes


async def test_repeats_that_another_has_journalled_are_not_written_again(
    bench: Bench, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "refused")
    stream = await bench.stream()
    await written_by_another(bench, named("c1"), named("c2"))
    futures = [bench.broker.offer(stream, named(cid)) for cid in ("c0", "c2", "c3")]
    assert await outcomes(futures) == [3, 2, 4]
    assert await journalled(bench) == ["c1", "c2", "c0", "c3"]
    assert [offset for _, _, offset, _ in bench.published] == [1, 2, 3, 4]
    assert not stream.pending


async def test_many_that_another_has_journalled(bench: Bench, expected_logs: ExpectedLogs) -> None:
    """As many as the window of repeats has; told in frames that are no larger than batches."""
    expected_logs("zchat.cluster", "refused")
    stream = await bench.stream()
    await written_by_another(bench, *(named(f"c{n}") for n in range(1500)))
    assert await outcomes([bench.broker.offer(stream, named("c1499"))]) == [1500]
    assert await outcomes([bench.broker.offer(stream, named("c500"))]) == [501]
    assert [offset for _, _, offset, _ in bench.published] == list(range(501, 1501))
    assert await outcomes([bench.broker.offer(stream, named("c499"))]) == [1501]


async def test_a_batch_that_is_written_late_is_not_written_twice(
    bench: Bench, expected_logs: ExpectedLogs
) -> None:
    """The append failed for us, and the journal did it after we looked."""
    for text in ("append of 1 batches failed", "refused"):
        expected_logs("zchat.cluster", text)
    stream = await bench.stream()
    bench.store.plan = [FAILS]
    assert await outcomes([bench.broker.offer(stream, named("c1"))]) == [Unavailable]
    await written_by_another(bench, named("c1"))
    assert await outcomes([bench.broker.offer(stream, named("c1"))]) == [1]
    assert await journalled(bench) == ["c1"]


async def test_what_was_in_doubt_reaches_members_before_its_sender_is_told(
    bench: Bench, expected_logs: ExpectedLogs
) -> None:
    for text in ("append of 1 batches failed", "cannot be read"):
        expected_logs("zchat.cluster", text)
    stream = await bench.stream()
    bench.store.plan, bench.store.unreadable = [FAILS_AFTER], True
    assert await outcomes([bench.broker.offer(stream, named("c1"))]) == [TimedOut]
    bench.store.unreadable = False
    assert bench.published == []
    again = bench.broker.offer(stream, named("c1"))
    again.add_done_callback(lambda _: bench.published.append(("done", "", 0, b"")))
    assert await outcomes([again]) == [1]
    await asyncio.sleep(0)
    assert [entry[0] for entry in bench.published] == ["room", "done"]
    assert await journalled(bench) == ["c1"]


async def test_a_new_numbering_knows_no_repeats_of_the_old(
    bench: Bench, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "refused")
    stream = await bench.stream()
    assert await outcomes([bench.broker.offer(stream, named("c1"))]) == [1]
    bench.store.memory.let_go("room", moved=True)  # forgotten: the next life is a new epoch
    assert await outcomes([bench.broker.offer(stream, named("c2"))]) == [1]
    assert (stream.position.epoch, bench.published[-1][1]) == ("e2", "e2")
    assert await outcomes([bench.broker.offer(stream, named("c1"))]) == [2]


async def test_what_it_knows(bench: Bench) -> None:
    stream = await bench.stream()
    assert not bench.broker.knows(stream, named("c1"))
    future = bench.broker.offer(stream, named("c1"))
    assert bench.broker.knows(stream, named("c1"))
    await future
    assert bench.broker.knows(stream, named("c1"))
    assert not bench.broker.knows(stream, Draft("onChat", b"{}", "bob", "c1"))
    assert not bench.broker.knows(stream, named(""))


async def test_a_closed_stream_writes_nothing_more(bench: Bench) -> None:
    stream = await bench.stream()
    future = bench.offer(stream, 0)
    stream.close(RequestError("moved", code=307))
    assert await outcomes([future]) == [RequestError]
    with pytest.raises(RequestError, match="moved"):
        bench.offer(stream, 1)
    await bench.broker.close()
    assert bench.store.batches == []


@pytest.mark.parametrize(("fault", "result"), [("", 1), (REFUSES, RequestError)])
async def test_what_is_under_way_when_a_stream_closes_gets_its_outcome(
    bench: Bench, expected_logs: ExpectedLogs, fault: str, result: object
) -> None:
    if fault:
        expected_logs("zchat.cluster", "refused")
    stream = await bench.stream()
    bench.store.gate.clear()
    bench.store.plan = [fault]
    under_way = bench.offer(stream, 0)
    await eventually(lambda: bench.store.batches)
    waiting = bench.offer(stream, 1)
    stream.close(RequestError("moved", code=307))
    assert await outcomes([waiting]) == [RequestError]
    bench.store.gate.set()
    assert await outcomes([under_way]) == [result]
    await bench.broker.close()
    assert len(bench.published) == (not fault)


async def test_closing_waits_for_what_is_under_way(bench: Bench) -> None:
    stream = await bench.stream()
    future = bench.offer(stream, 0)
    await bench.broker.close()
    assert future.done()
    await bench.broker.close()


async def test_batches_are_bounded_in_bytes(bench: Bench) -> None:
    """One that is larger goes alone."""
    bench = Bench(batch_bytes=3000)
    stream = await bench.stream()
    bodies = [10, 1000, 1000, 5000, 10, 10]
    drafts = [Draft("onChat", b'{"a":"%s"}' % (b"x" * size)) for size in bodies]
    futures = [bench.broker.offer(stream, draft) for draft in drafts]
    assert await outcomes(futures) == [1, 2, 3, 4, 5, 6]
    sizes = [[len(p.body) - 8 for p in batch.publications] for [batch] in bench.store.batches]
    assert sizes == [[10, 1000], [1000], [5000], [10, 10]]


@pytest.mark.parametrize("text", ["x", "\N{GRINNING FACE}", "\x01"])
async def test_a_batch_is_a_frame_that_every_connection_has_room_for(text: str) -> None:
    """Whatever it is made of, the frame is no larger than a batch may be."""
    bench = Bench()
    stream = await bench.stream()
    framer = Framer(PresencePushes(), RouteDictionary([]))
    drafts = [
        Draft("r" * 255, dumps({"a": text * 100}), text * 9, f"{text * 50}{n}", (text * 30,))
        for n in range(500)
    ]
    futures = [bench.broker.offer(stream, draft) for draft in drafts]
    await asyncio.gather(*futures)
    assert len(bench.store.batches) > 1
    for [batch] in bench.store.batches:
        assert len(framer.published(batch.epoch, batch.publications)) <= MAX_BODY_BYTES


async def test_what_waits_is_bounded_in_bytes() -> None:
    bench = Bench(queue_bytes=3000)
    stream = await bench.stream()
    large = Draft("onChat", b'{"a":"%s"}' % (b"x" * 800))
    futures = [bench.broker.offer(stream, large) for _ in range(2)]
    with pytest.raises(Unavailable, match="too many messages wait in room"):
        bench.broker.offer(stream, large)
    assert bench.broker.refused == 1
    assert await outcomes(futures) == [1, 2]
    assert stream.waiting_bytes == 0
    assert await outcomes([bench.broker.offer(stream, large)]) == [3]


@pytest.mark.parametrize("fault", [REFUSES, FAILS, FAILS_AFTER])
async def test_the_bytes_that_wait_are_counted_through_faults(
    bench: Bench, expected_logs: ExpectedLogs, fault: str
) -> None:
    expected_logs("zchat.cluster", "refused" if fault == REFUSES else "append of 1 batches failed")
    stream = await bench.stream()
    bench.store.plan = [fault]
    await outcomes([bench.broker.offer(stream, named(f"c{n}")) for n in range(3)])
    await bench.broker.close()
    assert (stream.waiting_bytes, len(stream.waiting), stream.pending) == (0, 0, {})


@pytest.mark.parametrize("where", ["clock", "outcomes"])
async def test_a_fault_of_our_own_leaves_no_room_stuck(
    bench: Bench, expected_logs: ExpectedLogs, where: str
) -> None:
    """Nobody waits for ever, and the room goes on with what the journal says."""
    expected_logs("zchat.cluster", "a round of 2 channels failed")
    stream, other = await bench.stream(), await bench.stream("other")
    faulty = True

    def clock() -> int:
        if faulty and where == "clock":
            raise ZeroDivisionError
        return 1234

    async def append(generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        outcomes = await Store.append(bench.store, generation, appends)
        return outcomes[:1] if faulty and where == "outcomes" else outcomes

    bench.store.append = append  # type: ignore[method-assign]
    bench.broker._clock = clock
    first = [bench.offer(stream, 0), bench.offer(other, 0)]
    written = where == "outcomes"
    assert await outcomes(first) == ([1, TimedOut] if written else [Unavailable] * 2)
    faulty = False
    again = [bench.offer(stream, 1), bench.offer(other, 1)]
    assert await outcomes(again) == ([2, 2] if written else [1, 1])
    assert [stream.busy, other.busy] == [False, False]


async def test_who_gives_up_takes_nothing_from_those_who_repeat(bench: Bench) -> None:
    """What has a cid is written all the same: its sender may ask again where it is."""
    stream = await bench.stream()
    first, again = (bench.broker.offer(stream, named("c1")) for _ in range(2))
    first.cancel()
    assert await outcomes([again]) == [1]
    bench.broker.offer(stream, named("c2")).cancel()
    await bench.broker.close()
    assert await journalled(bench) == ["c1", "c2"]
    assert await outcomes([bench.broker.offer(stream, named("c2"))]) == [2]
    assert bench.broker.repeated == 2


FAULTS = st.lists(st.sampled_from(["", FAILS, FAILS_AFTER, REFUSES]), max_size=6)


@pytest.mark.usefixtures("caplog")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FAULTS, st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=12))
def test_whatever_happens_the_journal_is_what_was_published_and_acknowledged(
    plan: list[str], drafts: list[tuple[str, bool]]
) -> None:
    """One numbering without holes; acknowledged means journalled; refused means not."""

    async def go() -> None:
        bench = Bench(batch_limit=3)
        bench.store.plan = list(plan)
        streams = {name: await bench.stream(name) for name in "ab"}
        futures: dict[int, asyncio.Future[StreamPosition]] = {}
        for number, (name, pause) in enumerate(drafts):
            futures[number] = bench.offer(streams[name], number)
            if pause:
                await asyncio.sleep(0)
        await outcomes(list(futures.values()))
        await bench.broker.close()
        for name, stream in streams.items():
            history = await bench.store.memory.read(name, 0, 100)
            assert [p.offset for p in history.publications] == list(
                range(1, len(history.publications) + 1)
            )
            journalled = {p.body: p.offset for p in history.publications}
            assert [(o, b) for c, _, o, b in bench.published if c == name] == [
                (p.offset, p.body) for p in history.publications
            ]
            for number, future in futures.items():
                if drafts[number][0] == name:
                    error, body = future.exception(), draft(number).body
                    expected = None if error else future.result().offset
                    assert journalled.get(body) == expected
            assert stream.position == history.tail
            assert not stream.busy

    asyncio.run(go())
