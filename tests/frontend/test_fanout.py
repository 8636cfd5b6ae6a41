"""Writes of a turn, what is held, and its bound."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import cast

import pytest

from tests.frontend.audience import EPOCH, LOBBY, OWNER, Stage, connection_of, heard
from tests.support.timing import MS, eventually
from zchat.frontend.fanout import Fanout
from zchat.frontend.local_channel import LocalChannel
from zchat.frontend.session import Membership, Session, SessionTable
from zchat.frontend.sockets.connection import Connection
from zchat.frontend.sockets.disconnect import SLOW_READER
from zchat.frontend.sockets.outbox import Flusher, Outbox
from zchat.rooms.stream import StreamPosition


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture(autouse=True)
def _a_portion_in_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here is counted in turns of the loop."""
    monkeypatch.setattr("zchat.frontend.fanout._LEAST", 0.0)


async def turn() -> None:
    """Let what was scheduled for the end of this turn run."""
    await asyncio.sleep(0)


async def test_a_joining_member_that_too_much_is_held_for_is_cut_off() -> None:
    stage = Stage(hold_limit=100)
    alice, bob = stage.enter("alice"), stage.join("bob", origin=1)
    stage.joined(bob)
    for offset in range(1, 12):
        stage.publish(offset, "ten bytes.")
    await turn()
    assert len(heard(alice)) == 11
    assert connection_of(bob).disconnect == SLOW_READER
    assert (connection_of(bob).closes, stage.hub.counters["hold_full"]) == (1, 1)
    assert stage.lobby.joining[bob.id].held is None
    stage.answer(bob, 1)
    assert heard(bob) == []
    stage.close(bob)
    assert stage.lost == [(LOBBY, "bob", OWNER)]


async def test_what_is_held_does_not_count_once_it_was_written() -> None:
    stage = Stage(hold_limit=100)
    alice = stage.join("alice", origin=1)
    stage.joined(alice)
    for offset in range(1, 30):
        stage.publish(offset, "ten bytes.")
        if offset == 5:
            stage.answer(alice, 1)
    await turn()
    assert len(heard(alice)) == 30


async def test_a_turn_is_one_write_per_member(stage: Stage) -> None:
    people = [stage.enter(f"person{number}") for number in range(20)]
    for offset in range(1, 11):
        stage.publish(offset, f"m{offset}")
    stage.publish(11, "private", to=["person3"])
    stage.presence(2, "person4")
    await turn()
    assert {len(connection_of(person).writes) for person in people} == {1}
    assert len(heard(people[3])) == 12
    # Whoever gets the same is given the very same bytes, which then wait once in memory.
    assert len({id(connection_of(person).writes[0]) for person in people}) == 3


async def test_what_cannot_be_told_is_given_to_nobody(stage: Stage) -> None:
    """A push that clients here cannot read is empty, and a transport cannot unwrap that."""
    alice, bob = stage.enter("alice"), stage.join("bob", origin=1)
    fanout = Fanout(Counter(), 100)
    fanout.queue(stage.lobby, b"", None)
    fanout.hold_all(stage.lobby, (EPOCH, 1, None, b""), None)
    await turn()
    assert connection_of(alice).writes == []
    assert stage.lobby.joining[bob.id].held is None


async def test_channels_of_a_turn_do_not_mix(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.enter("bob", channel="kitchen")
    stage.publish(1, "one")
    stage.publish(1, "uno", channel="kitchen")
    stage.publish(2, "two")
    await turn()
    assert (heard(alice), heard(bob)) == (["one", "two"], ["uno"])


async def test_a_frame_for_one_member_stands_behind_what_is_queued(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.enter("bob")
    stage.publish(1, "one")
    membership = stage.lobby.live[alice.id]
    deliveries = stage.hub.counters["deliveries"]
    stage.hub._fanout.send(stage.lobby, membership, b"\x82\x05alone")
    stage.publish(2, "two")
    await turn()
    assert heard(alice) == ["one", "alone", "two"]
    assert heard(bob) == ["one", "two"]
    assert stage.hub.counters["deliveries"] == deliveries + 5


NAMES = [f"{offset:02}" for offset in range(1, 11)]
BURST = [name * 30_000 for name in NAMES]  # more than two portions


def sizes(session: Session) -> list[int]:
    """Of what was written to a session, in KiB."""
    return [len(data) // 1024 for data in connection_of(session).writes]


async def test_a_burst_goes_out_in_portions_a_turn_each(stage: Stage) -> None:
    """In one piece it would be more than a connection may have waiting."""
    alice = stage.enter("alice")
    for offset in range(1, 21):
        stage.publish(offset, f"{offset:02}" * 32_000)
    await turn()
    assert sizes(alice) == [250]
    stage.publish(21, "last")
    for _ in range(5):
        await turn()
    assert sizes(alice) == [250, 250, 250, 250, 250]
    assert [text[:2] for text in heard(alice)] == [*(f"{n:02}" for n in range(1, 21)), "la"]
    assert (stage.lobby.out, stage.lobby.waiting) == ([], 0)


async def test_the_next_portion_waits_until_all_have_been_sent_the_last(stage: Stage) -> None:
    """What comes meanwhile too: what piles up for a member is one `send`."""
    alice = stage.enter("alice")
    connection_of(alice).flushed = False
    for offset in range(1, 11):
        stage.publish(offset, f"{offset:02}" * 30_000)
        await turn()
    assert sizes(alice) == [58, 58, 58, 58]
    assert stage.lobby.waiting > 350_000
    connection_of(alice).flushed = True
    for _ in range(3):
        await turn()
    assert [text[:2] for text in heard(alice)] == NAMES
    assert (stage.lobby.out, stage.lobby.waiting, stage.lobby.lap) == ([], 0, None)


async def test_portions_of_which_too_much_waits_wait_no_longer(stage: Stage) -> None:
    alice = stage.enter("alice")
    connection_of(alice).flushed = False
    for offset in range(1, 351):
        stage.publish(offset, "x" * 60_000)
        if offset % 50 == 0:
            await turn()
    await turn()
    assert 15 << 20 < stage.lobby.waiting <= 16 << 20
    assert stage.hub.counters["hurried"] > 0
    connection_of(alice).flushed = True
    for _ in range(100):
        await turn()
    assert len(heard(alice)) == 350


async def test_who_is_told_something_during_a_burst_hurries_it_not(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.enter("bob")
    stage.publish(1, *BURST)
    stage.hub._fanout.send(stage.lobby, stage.lobby.live[bob.id], b"\x82\x05alone")
    assert (heard(alice), heard(bob)) == ([], [])
    for _ in range(4):
        await turn()
    assert [text[:2] for text in heard(bob)] == [*NAMES, "al"]
    assert [text[:2] for text in heard(alice)] == NAMES
    assert len(connection_of(alice).writes) == 3


async def test_a_burst_to_nobody_any_more_ends(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.join("bob", origin=1)
    lobby = stage.lobby
    stage.publish(1, *BURST)
    await turn()
    stage.close(alice)
    for _ in range(4):
        await turn()
    assert (lobby.out, lobby.waiting, lobby.lap) == ([], 0, None)
    assert (stage.lobby, list(lobby.joining)) == (lobby, [bob.id])


class Kernel:
    """In place of a socket: takes 400 KiB in a turn, and its client has read that by the next."""

    def __init__(self) -> None:
        self.taken = self.of_turn = 0

    def fileno(self) -> int:
        return -1

    def send(self, data: bytes) -> int:
        count = min(len(data), 400 * 1024 - self.of_turn)
        if not count:
            raise BlockingIOError
        self.of_turn += count
        self.taken += count
        return count


class Reader(Outbox):
    """The connection of such a client."""

    def __init__(self, flusher: Flusher) -> None:
        self.kernel = Kernel()
        super().__init__(flusher, cast(socket.socket, self.kernel))

    def read(self) -> None:
        self.kernel.of_turn = 0
        if self._backlog is not None:
            self._writable()

    def _overflowed(self) -> None:
        self.disconnect = SLOW_READER

    def _broken(self, error: OSError) -> None:
        raise error

    def _drained(self) -> None:
        raise AssertionError("it does not end")


class Loop:
    """As much of an event loop as a flusher needs."""

    def __init__(self) -> None:
        self.call_soon = asyncio.get_running_loop().call_soon

    def add_writer(self, fd: int, callback: object) -> None:
        """Its reader calls it."""

    def remove_writer(self, fd: int) -> None:
        """Nor does it then."""


@pytest.mark.parametrize("in_a_turn", [64, 6], ids=["at once", "over several turns"])
@pytest.mark.parametrize("members", [1, 513, 1000, 1800])
async def test_a_burst_cuts_off_nobody_who_reads(members: int, in_a_turn: int) -> None:
    fanout = Fanout(Counter(), 1 << 20)
    loop = cast(asyncio.AbstractEventLoop, Loop())
    flusher = Flusher(loop, 1 << 20, fanout.flush_all)
    readers = [Reader(flusher) for _ in range(members)]
    local, sessions = LocalChannel(LOBBY, OWNER), SessionTable("connector-server-1", "0")
    for reader in readers:
        session = sessions.open(cast(Connection, reader))
        local.live[session.id] = Membership(session, LOBBY, "somebody", OWNER, 0)
    frames = [bytes(32_768)] * 64
    for _ in range(500):
        for frame in frames[:in_a_turn]:
            fanout.queue(local, frame, None)
        del frames[:in_a_turn]
        await turn()
        for reader in readers:
            reader.read()
        if not frames and not local.out and not len(flusher):
            break
    assert sum(reader.disconnect is not None for reader in readers) == 0
    assert {reader.kernel.taken for reader in readers} == {64 * 32_768}


async def test_a_frame_larger_than_a_portion_goes_alone(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "x" * 300_000, "y")
    for _ in range(2):
        await turn()
    assert sizes(alice) == [292, 0]


async def test_who_comes_in_during_a_burst_is_live_after_it(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.join("bob", origin=1)
    stage.joined(bob, 2)
    stage.publish(1, *BURST)
    stage.answer(bob, 1)
    assert bob.id in stage.lobby.joining
    for _ in range(4):
        await turn()
    assert bob.id in stage.lobby.live
    stage.publish(11, "last")
    await turn()
    assert [text[:2] for text in heard(alice)] == [*NAMES, "la"]
    assert [text[:2] for text in heard(bob)] == ["an", *NAMES[2:], "la"]
    assert len(connection_of(alice).writes) == 4, "bob's coming in did not hurry the burst"


async def test_who_leaves_during_a_burst_gets_the_rest_of_it(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.enter("bob")
    stage.publish(1, *BURST)
    stage.hub.leave(bob, LOBBY)
    assert [text[:2] for text in heard(bob)] == NAMES
    assert heard(alice) == []
    for _ in range(4):
        await turn()
    assert len(connection_of(alice).writes) == 3
    assert len(heard(alice)) == len(heard(bob)) == 10


async def test_a_burst_goes_on_in_portions_when_the_owner_dies(stage: Stage) -> None:
    """And when the next one begins a new epoch: else all would be cut off as slow readers."""
    alice = stage.enter("alice")
    stage.publish(1, *BURST)
    stage.hub.unsettle(stage.lobby)
    assert sizes(alice) == []
    await turn()
    stage.hub.place(stage.lobby, StreamPosition("e2", 0))
    stage.publish(1, "last", epoch="e2")
    for _ in range(4):
        await turn()
    assert [text[:2] for text in heard(alice)] == [*NAMES, "lo", "la"]
    assert sizes(alice) == [234, 234, 117]


async def test_who_is_gone_costs_nothing_when_it_leaves_during_a_burst(stage: Stage) -> None:
    """A thousand who lose their connections would each have the rest of it put together."""
    alice, bob = stage.enter("alice"), stage.enter("bob")
    stage.publish(1, *BURST)
    connection_of(bob).disconnect = SLOW_READER
    before = stage.hub.counters["deliveries"]
    stage.hub.closed(bob)
    assert stage.hub.counters["deliveries"] == before
    for _ in range(4):
        await turn()
    assert len(heard(alice)) == 10


async def test_who_comes_in_during_a_long_burst_is_not_cut_off(stage: Stage) -> None:
    """It is not live before the end of it: meanwhile it gets what it would have to wait for."""
    alice, bob = stage.enter("alice"), stage.join("bob", origin=1)
    stage.publish(1, *BURST)
    stage.joined(bob, 10)
    stage.answer(bob, 1)
    for offset in range(11, 61):
        stage.publish(offset, f"{offset}" * 30_000)
        if offset % 5 == 0:
            await turn()
    assert bob.id in stage.lobby.joining
    for _ in range(20):
        await turn()
    assert bob.id in stage.lobby.live
    assert connection_of(bob).disconnect is None
    late = [f"{offset}" for offset in range(11, 61)]
    assert [text[:2] for text in heard(bob)] == ["an", *late]
    assert [text[:2] for text in heard(alice)] == [*NAMES, *late]


async def test_a_burst_leaves_a_room_of_few_the_time_to_read_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zchat.frontend.fanout._LEAST", 20 * MS)
    alice = stage.enter("alice")
    began = asyncio.get_running_loop().time()
    stage.publish(1, *BURST)
    await eventually(lambda: len(heard(alice)) == 10)
    assert sizes(alice) == [234, 234, 117]
    assert asyncio.get_running_loop().time() - began >= 2 * 20 * MS


async def test_of_several_rooms_some_members_are_sent_to_at_once(stage: Stage) -> None:
    """The others wait in their connections, whose flusher leaves room for everybody else."""
    rooms = (LOBBY, "kitchen")
    people = [stage.enter(f"person{n}", channel=room) for room in rooms for n in range(300)]
    for room in rooms:
        stage.publish(1, "one", channel=room)
    await turn()
    assert sum(connection_of(person).at_once for person in people) == 512
    assert not any(connection_of(person).deferred for person in people)
    assert {tuple(heard(person)) for person in people} == {("one",)}


async def test_a_large_room_leaves_the_turn_to_small_ones(stage: Stage) -> None:
    people = [stage.enter(f"person{number}") for number in range(513)]
    alice = stage.enter("alice", channel="kitchen")
    stage.publish(1, "one")
    stage.publish(1, "uno", channel="kitchen")
    await turn()
    assert {connection_of(person).deferred for person in people} == {1}
    assert (connection_of(alice).at_once, connection_of(alice).deferred) == (1, 0)
    assert {tuple(heard(person)) for person in people} == {("one",)}
    assert heard(alice) == ["uno"]


async def test_the_fault_of_one_channel_is_not_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    alice = stage.enter("alice")
    bob, carol = (stage.enter(name, channel=name) for name in ("bob", "carol"))

    def broken(data: bytes) -> None:
        raise MemoryError("no room for a message")

    monkeypatch.setattr(connection_of(alice), "deliver", broken)
    for channel in (LOBBY, "bob", "carol"):
        stage.publish(1, "one", channel=channel)
    await turn()
    await turn()
    assert (heard(alice), heard(bob), heard(carol)) == ([], ["one"], ["one"])
    assert [type(fault) for fault in faults] == [MemoryError]


async def test_a_flush_before_the_end_of_the_turn_is_the_only_one(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    stage.hub.flush()
    assert heard(alice) == ["one"]
    await turn()
    assert heard(alice) == ["one"]


async def test_what_is_for_some_costs_the_others_nothing(stage: Stage) -> None:
    people = [stage.enter(f"person{number}") for number in range(100)]
    stage.publish(1, "psst", to=["person7", "nobody"])
    await turn()
    assert [person for person in people if heard(person)] == [people[7]]
    assert stage.hub.counters["deliveries"] == 1
