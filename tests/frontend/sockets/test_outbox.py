"""The way out: one send per turn, order always, and a bound for those who do not read."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterator

import pytest

from tests.frontend.wire import until
from zchat.frontend.sockets.disconnect import SLOW_READER
from zchat.frontend.sockets.outbox import Backlog, Flusher, Outbox

LIMIT = 100_000


class Watched(socket.socket):
    """A real socket that remembers what was given to it in one call."""

    sent: list[bytes]

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
        count = super().send(data, flags)
        self.sent.append(bytes(data[:count]))
        return count


class Recorder(Outbox):
    """An outbox that notes what it is told."""

    def __init__(self, flusher: Flusher, sock: socket.socket) -> None:
        super().__init__(flusher, sock)
        self.told: list[str] = []

    def _overflowed(self) -> None:
        self.told.append("overflowed")
        self.enqueue(b"<farewell>")
        self.disconnect = SLOW_READER

    def _broken(self, error: OSError) -> None:
        self.told.append(f"broken: {type(error).__name__}")
        self._unblock()
        self.disconnect = SLOW_READER

    def _drained(self) -> None:
        self.told.append("drained")


class Pair:
    """An outbox and the other end of its socket."""

    def __init__(self, flusher: Flusher) -> None:
        ours, self.theirs = socket.socketpair()
        self.ours = Watched(fileno=ours.detach())
        self.ours.sent = []
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.outbox = Recorder(flusher, self.ours)

    async def read(self, size: int) -> bytes:
        data = b""
        async with asyncio.timeout(10):
            while len(data) < size:
                data += await asyncio.get_running_loop().sock_recv(self.theirs, size - len(data))
        return data

    def block(self) -> bytes:
        """Fills the socket; returns what the outbox was given for that."""
        filling = b"." * 50_000
        self.outbox.enqueue(filling)
        self.outbox.flush()
        assert self.outbox.waiting > 0
        return filling

    def close(self) -> None:
        self.outbox._unblock()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
async def flusher() -> Flusher:
    return Flusher(asyncio.get_running_loop(), LIMIT)


@pytest.fixture
def pair(flusher: Flusher) -> Iterator[Pair]:
    made = Pair(flusher)
    yield made
    made.close()


async def test_everything_of_a_turn_goes_out_in_one_send(pair: Pair) -> None:
    for piece in (b"a", b"bb", b"ccc"):
        pair.outbox.enqueue(piece)
    assert pair.ours.sent == []
    await asyncio.sleep(0)
    assert pair.ours.sent == [b"abbccc"]
    assert await pair.read(6) == b"abbccc"


async def test_a_delivery_is_sent_at_once_if_nothing_is_before_it(
    pair: Pair, flusher: Flusher
) -> None:
    pair.outbox.deliver(b"push")
    assert pair.ours.sent == [b"push"]
    assert len(flusher) == 0
    pair.outbox.enqueue(b"answer,")
    pair.outbox.deliver(b"push")
    assert pair.ours.sent == [b"push"]
    await asyncio.sleep(0)
    assert pair.ours.sent == [b"push", b"answer,push"]


async def test_a_delivery_waits_behind_what_a_blocked_socket_has(pair: Pair) -> None:
    expected = pair.block() + b"first" + b"." * 9000
    pair.outbox.deliver(b"first")
    pair.outbox.deliver(b"." * 9000)
    assert await pair.read(len(expected)) == expected


async def test_a_delivery_may_block_the_socket(pair: Pair, flusher: Flusher) -> None:
    pair.outbox.deliver(b"x" * 50_000)
    assert (flusher.blocked, pair.outbox.waiting > 0) == (1, True)
    assert await pair.read(50_000) == b"x" * 50_000


async def test_deliveries_to_who_has_gone_are_dropped(pair: Pair) -> None:
    pair.theirs.close()
    pair.outbox.deliver(b"x")
    assert pair.outbox.told == ["broken: BrokenPipeError"]
    pair.outbox.deliver(b"x")
    assert pair.outbox.told == ["broken: BrokenPipeError"]


async def test_who_has_the_same_for_many_is_asked_before_connections_are_flushed() -> None:
    pairs: list[Pair] = []

    def deliver() -> None:
        for pair in pairs:
            pair.outbox.deliver(b"push")

    flusher = Flusher(asyncio.get_running_loop(), LIMIT, deliver)
    pairs += [Pair(flusher), Pair(flusher)]
    try:
        pairs[0].outbox.enqueue(b"answer,")
        await asyncio.sleep(0)
        assert [pair.ours.sent for pair in pairs] == [[b"answer,push"], [b"push"]]
    finally:
        for pair in pairs:
            pair.close()


async def test_a_fault_of_who_has_the_same_for_many_stops_nobody_else() -> None:
    faults: list[object] = []

    def fail() -> None:
        raise RuntimeError("once, and again")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    pair = Pair(Flusher(loop, LIMIT, fail))
    try:
        for data in (b"one", b"two"):
            pair.outbox.enqueue(data)
            await asyncio.sleep(0)
        assert pair.ours.sent == [b"one", b"two"]
        assert len(faults) == 2
    finally:
        pair.close()


async def test_the_next_turn_is_flushed_again(pair: Pair, flusher: Flusher) -> None:
    pair.outbox.enqueue(b"a")
    await asyncio.sleep(0)
    pair.outbox.enqueue(b"b")
    await asyncio.sleep(0)
    assert pair.ours.sent == [b"a", b"b"]
    assert len(flusher) == 0


async def test_a_turn_with_very_many_pieces_does_not_pile_them_up(pair: Pair) -> None:
    for _ in range(130):
        pair.outbox.enqueue(b"x")
    assert pair.ours.sent == [b"x" * 64, b"x" * 64]
    await asyncio.sleep(0)
    assert [len(sent) for sent in pair.ours.sent] == [64, 64, 2]


@pytest.mark.parametrize("way", ["enqueue", "defer"])
async def test_who_gets_very_much_in_a_turn_is_listed_once(
    pair: Pair, flusher: Flusher, way: str
) -> None:
    for _ in range(130):
        getattr(pair.outbox, way)(b"x")
    assert len(flusher) == 1
    await asyncio.sleep(0)
    assert [len(sent) for sent in pair.ours.sent] == [64, 64, 2]
    assert len(flusher) == 0
    pair.outbox.deliver(b"at once")
    assert pair.ours.sent[-1] == b"at once"


async def test_who_ends_when_all_was_sent_before_its_turn_is_drained(pair: Pair) -> None:
    for _ in range(64):
        pair.outbox.enqueue(b"x")
    pair.outbox.disconnect = SLOW_READER
    await asyncio.sleep(0)
    assert pair.ours.sent == [b"x" * 64]
    assert pair.outbox.told == ["drained"]


async def test_who_is_cut_off_before_its_turn_is_told_in_its_turn(
    pair: Pair, flusher: Flusher
) -> None:
    expected = pair.block() + b"<farewell>"
    await asyncio.sleep(0)
    for _ in range(64):
        pair.outbox.enqueue(b"y" * 2000)
    assert (pair.outbox.told, len(flusher)) == (["overflowed"], 1)
    assert await pair.read(len(expected)) == expected
    await until(lambda: "drained" in pair.outbox.told)


async def test_a_lap_is_over_when_all_who_were_listed_have_been_flushed(flusher: Flusher) -> None:
    pairs = [Pair(flusher) for _ in range(300)]
    alice, bob, *many = pairs
    try:
        assert flusher.lap()()
        for pair in many:
            pair.outbox.defer(b"push")
        lap = alice.outbox.lap()
        alice.outbox.enqueue(b"of the next lap")
        over = []
        for _ in range(3):
            over.append(lap())
            bob.outbox.defer(b"of a later one")
            await asyncio.sleep(0)
        assert (over, lap()) == ([False, False, False], True)
        assert all(pair.ours.sent == [b"push"] for pair in many)
        assert flusher.lap()()
        alice.outbox.enqueue(b"one of the others")
        assert not flusher.lap()()
    finally:
        for pair in pairs:
            pair.close()


async def test_a_long_list_is_sliced_over_turns(flusher: Flusher) -> None:
    pairs = [Pair(flusher) for _ in range(600)]
    try:
        for pair in pairs:
            pair.outbox.enqueue(b"x")
        progress = []
        others = 0

        def another() -> None:
            nonlocal others
            others += 1

        while len(flusher):
            asyncio.get_running_loop().call_soon(another)
            await asyncio.sleep(0)
            progress.append(sum(len(pair.ours.sent) for pair in pairs))
        assert progress == [256, 512, 600]
        assert others == 3
    finally:
        for pair in pairs:
            pair.close()


async def test_nobody_waits_behind_the_many_of_a_large_room(flusher: Flusher) -> None:
    pairs = [Pair(flusher) for _ in range(300)]
    *many, alice, bob = pairs
    try:
        for pair in [*many, bob]:
            pair.outbox.defer(b"push")
        await asyncio.sleep(0)
        assert sum(len(pair.ours.sent) for pair in many) == 128
        alice.outbox.enqueue(b"answer")
        bob.outbox.enqueue(b",answer")  # one of the many: in order, so when their turn comes
        await asyncio.sleep(0)
        assert (alice.ours.sent, bob.ours.sent) == ([b"answer"], [])
        await asyncio.sleep(0)
        assert bob.ours.sent == [b"push,answer"]
        assert all(pair.ours.sent == [b"push"] for pair in many)
        assert len(flusher) == 0
    finally:
        for pair in pairs:
            pair.close()


async def test_a_deferred_delivery_keeps_its_place(pair: Pair) -> None:
    pair.outbox.enqueue(b"answer,")
    pair.outbox.defer(b"push,")
    pair.outbox.deliver(b"push")
    await asyncio.sleep(0)
    assert pair.ours.sent == [b"answer,push,push"]


async def test_a_blocked_socket_gets_all_in_order_when_it_reads(
    pair: Pair, flusher: Flusher
) -> None:
    expected = pair.block()
    for number in range(500):
        piece = b"%d," % number
        pair.outbox.enqueue(piece)
        expected += piece
        if number % 7 == 0:
            await asyncio.sleep(0)
    assert flusher.blocked == 1
    assert await pair.read(len(expected)) == expected
    await until(lambda: pair.outbox.waiting == 0)
    pair.outbox.enqueue(b"direct again")
    await asyncio.sleep(0)
    assert pair.ours.sent[-1] == b"direct again"
    assert pair.outbox.told == []


async def test_random_readers_lose_nothing_and_swap_nothing() -> None:
    pair = Pair(Flusher(asyncio.get_running_loop(), 1 << 30))
    chance = random.Random(7)
    try:
        expected = bytearray()
        got = bytearray()
        for number in range(2000):
            piece = b"%06d" % number * chance.randrange(1, 40)
            expected += piece
            pair.outbox.enqueue(piece)
            if chance.random() < 0.3:
                await asyncio.sleep(0)
            if chance.random() < 0.2:
                try:
                    got += pair.theirs.recv(chance.randrange(1, 9000))
                except BlockingIOError:
                    continue
        got += await pair.read(len(expected) - len(got))
        assert got == expected
    finally:
        pair.close()


async def test_past_the_bound_the_client_is_cut_off_but_told(pair: Pair) -> None:
    begun = pair.block()
    for _ in range(50):
        pair.outbox.enqueue(b"y" * 2000)
        pair.outbox.flush()
    assert pair.outbox.told == ["overflowed"]
    assert pair.outbox.waiting < len(begun)  # only what was begun is kept
    pair.outbox.enqueue(b"nobody reads this")
    expected = begun + b"<farewell>"
    assert await pair.read(len(expected)) == expected
    await until(lambda: "drained" in pair.outbox.told)
    assert pair.outbox.waiting == 0


async def test_exactly_the_bound_is_allowed(pair: Pair) -> None:
    pair.block()
    pair.outbox.enqueue(b"z" * (LIMIT - pair.outbox.waiting))
    pair.outbox.flush()
    assert (pair.outbox.waiting, pair.outbox.told) == (LIMIT, [])
    pair.outbox.enqueue(b"z")
    pair.outbox.flush()
    assert pair.outbox.told == ["overflowed"]


async def test_one_piece_beyond_the_bound_is_cut_off_too(pair: Pair) -> None:
    pair.outbox.enqueue(b"z" * (2 * LIMIT))
    pair.outbox.flush()
    assert pair.outbox.told == ["overflowed"]


async def test_a_reset_socket_is_reported_once_and_the_others_are_served(
    flusher: Flusher,
) -> None:
    broken, fine = Pair(flusher), Pair(flusher)
    try:
        broken.theirs.close()
        broken.outbox.enqueue(b"x")
        fine.outbox.enqueue(b"x")
        await asyncio.sleep(0)
        assert broken.outbox.told == ["broken: BrokenPipeError"]
        assert fine.ours.sent == [b"x"]
        broken.outbox.enqueue(b"dropped")
        await asyncio.sleep(0)
        assert broken.outbox.told == ["broken: BrokenPipeError"]
    finally:
        broken.close()
        fine.close()


async def test_a_socket_that_breaks_while_blocked_is_reported(pair: Pair) -> None:
    pair.block()
    pair.theirs.close()
    await until(lambda: pair.outbox.told)
    assert pair.outbox.told[0].startswith("broken: ")


async def test_what_was_enqueued_before_the_end_is_sent(pair: Pair) -> None:
    pair.outbox.enqueue(b"last words")
    pair.outbox.disconnect = SLOW_READER
    pair.outbox.enqueue(b"too late")
    await asyncio.sleep(0)
    assert pair.ours.sent == [b"last words"]
    assert pair.outbox.told == ["drained"]


def test_a_backlog_sends_in_portions_cut_where_frames_end() -> None:
    backlog = Backlog(memoryview(b"rest"))
    pieces = [bytes([number]) * 30_000 for number in range(5)]
    for piece in pieces:
        backlog.append(piece)
    assert backlog.size == 150_004
    assert bytes(backlog.head) == b"rest"
    backlog.sent(4)
    assert bytes(backlog.head) == b"".join(pieces[:3])
    backlog.sent(1)
    backlog.drop_unbegun()
    assert backlog.size == len(backlog.head) == 89_999
    backlog.sent(89_999)
    assert backlog.size == 0
    assert not backlog.head
