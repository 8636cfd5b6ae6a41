"""Channels that are opened, known in full, and let go."""

from __future__ import annotations

import asyncio

import pytest

from tests.framework.channels.owner import Owner, claim, publish, ref
from tests.support.logs import ExpectedLogs
from tests.support.timing import eventually
from zchat.errors import Unavailable
from zchat.framework.channels.owned_channels import Moved
from zchat.rooms.presence import AlreadyMember
from zchat.rooms.ring import Ring
from zchat.rooms.stream import PresenceChange, StreamPosition


@pytest.fixture
async def owner() -> Owner:
    return Owner()


async def say(owner: Owner, number: int) -> int:
    body = b'{"n":%d}' % number
    return (await owner.host.publish("room", "onChat", body, "alice", "", None, False)).offset


async def test_versions_go_on_when_a_channel_was_forgotten(owner: Owner) -> None:
    await owner.join("alice", ref())
    await owner.host.leave("room", "alice", ref())
    owner.tick()
    assert owner.host.channels == {}
    owner.wall += 0.5
    await owner.join("alice", ref())
    versions = [frame.version for _, frame in owner.frames if isinstance(frame, PresenceChange)]
    assert versions == sorted(set(versions))


async def test_channels_with_nobody_in_them_do_not_stay(owner: Owner) -> None:
    await owner.host.members("looked-at")
    await owner.host.leave("left", "alice", ref())
    await owner.host.repair("repaired", 0)
    await publish(owner, "published")
    await owner.announce({"announced": []}, last=False)
    assert len(owner.host.channels) == 5
    owner.tick()
    assert list(owner.host.channels) == ["published"], "it may go on"
    owner.now += 1.0
    owner.tick()
    assert owner.host.channels == {}
    assert await publish(owner, "published") == StreamPosition("e4", 2)


async def test_a_channel_stays_while_somebody_waits_to_come_in(owner: Owner) -> None:
    owner.silent = True
    join = owner.start("alice", ref())
    await eventually(lambda: owner.tokens)
    owner.tick()
    owner.host.on_token(owner.tokens[0])
    assert (await join).members == ["alice"]
    assert "room" in owner.host.channels


async def test_a_ring_without_us_takes_everything_along(owner: Owner) -> None:
    await owner.join("alice", ref())
    assert (await publish(owner)).epoch == "e1"
    owner.silent = True
    join = owner.start("bob", ref(2))
    await eventually(lambda: len(owner.tokens) == 2)
    waiting = asyncio.ensure_future(publish(owner))
    await asyncio.sleep(0)
    owner.change_ring("chat-2")
    for moved in (join, waiting):
        with pytest.raises(Moved):
            await moved
    assert owner.host.channels == {}
    owner.host.on_token(owner.tokens[1])
    assert owner.told == [("alice", True)], "members are not told to leave: they move along"
    owner.change_ring("chat-1")
    assert (await publish(owner)).epoch == "e2"


async def test_a_ring_that_changes_while_a_channel_is_opened(owner: Owner) -> None:
    owner.store.gate.clear()
    call = asyncio.ensure_future(owner.host.members("room"))
    await asyncio.sleep(0)
    owner.change_ring("chat-2")
    owner.store.gate.set()
    with pytest.raises(Moved):
        await call
    assert owner.host.channels == {}


async def test_calls_at_once_open_a_channel_once(owner: Owner) -> None:
    owner.store.gate.clear()
    calls = [asyncio.ensure_future(publish(owner)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    owner.store.gate.set()
    positions = await asyncio.gather(*calls[1:])
    assert [position.offset for position in positions] == [1, 2]


async def test_what_comes_while_a_channel_is_opened_keeps_its_order(owner: Owner) -> None:
    """One that finds the channel open does not overtake those that waited for it."""
    owner.store.gate.clear()
    said = [asyncio.ensure_future(say(owner, number)) for number in range(1, 4)]
    await asyncio.sleep(0)
    owner.store.gate.set()
    while len(said) < 60:
        said.append(asyncio.ensure_future(say(owner, len(said) + 1)))
        await asyncio.sleep(0)
    assert await asyncio.gather(*said) == list(range(1, 61))


async def test_what_comes_while_members_are_unknown_keeps_its_order(owner: Owner) -> None:
    owner.change_ring("chat-1", frontends=["c1"])
    await owner.announce({"room": [claim("alice")]}, last=False)
    said = [asyncio.ensure_future(say(owner, number)) for number in range(1, 4)]
    await asyncio.sleep(0)
    await owner.announce({})
    while len(said) < 60:
        said.append(asyncio.ensure_future(say(owner, len(said) + 1)))
        await asyncio.sleep(0)
    assert await asyncio.gather(*said) == list(range(1, 61))


async def test_what_waits_for_a_channel_that_cannot_be_opened_fails_together(
    owner: Owner, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "room cannot be opened")
    owner.store.gate.clear()
    owner.store.broken = True
    said = [asyncio.ensure_future(say(owner, number)) for number in range(5)]
    await asyncio.sleep(0)
    owner.store.gate.set()
    results = await asyncio.gather(*said, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 5
    assert owner.store.opened == 1
    owner.store.broken = False
    assert await say(owner, 6) == 1


async def test_a_journal_that_cannot_be_opened(owner: Owner, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "room cannot be opened")
    owner.store.broken = True
    with pytest.raises(Unavailable) as error:
        await owner.host.members("room")
    assert "fire" not in error.value.message
    owner.store.broken = False
    assert await owner.host.members("room") == []


async def test_a_new_owner_waits_for_announces_before_it_speaks(owner: Owner) -> None:
    owner.change_ring("chat-1", "chat-9")
    owner.change_ring("chat-1", frontends=["c1", "c2"])
    members = asyncio.ensure_future(owner.host.members("room"))
    assert await owner.announce({"room": [claim("alice")]}) == [("room", "e1", 0)]
    states = [owner.host.settled, members.done()]
    await owner.announce({"room": [claim("bob")]}, "c2", last=False)
    states.append(owner.host.settled)
    await owner.announce({}, "c2")
    assert [*states, owner.host.settled] == [False, False, False, True]
    assert await members == ["alice", "bob"]
    assert owner.told == []


async def test_a_channel_that_one_frontend_told_of_still_waits_for_the_others(
    owner: Owner,
) -> None:
    owner.change_ring("chat-1", frontends=["c1", "c2"])
    await owner.announce({"room": [claim("alice")]})
    members = asyncio.ensure_future(owner.host.members("room"))
    joins = owner.start("bob", ref(1, "c2"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not members.done()
    await owner.announce({"room": [claim("bob", 7)]}, "c2")
    assert await members == ["alice", "bob"]
    with pytest.raises(AlreadyMember):
        await joins


async def test_it_does_not_wait_for_ever(owner: Owner) -> None:
    owner.change_ring("chat-1", frontends=["c1"])
    members = asyncio.ensure_future(owner.host.members("room"))
    owner.tick(0.9)
    assert not owner.host.settled
    owner.tick(0.2)
    assert await members == []
    await owner.announce({"room": [claim("alice")]})
    assert await owner.host.members("room") == ["alice"]


async def test_what_was_ours_before_needs_no_announce(owner: Owner) -> None:
    await owner.join("alice", ref())
    owner.change_ring("chat-1", frontends=["c1"])
    assert await owner.host.members("room") == ["alice"]
    assert not owner.host.settled


async def test_another_change_of_the_ring_means_waiting_again(owner: Owner) -> None:
    owner.change_ring("chat-1", frontends=["c1"])
    members = asyncio.ensure_future(owner.host.members("room"))
    await asyncio.sleep(0)
    owner.tick(2)
    owner.change_ring("chat-1", "x" * 9, frontends=["c1"])
    owner.ring = Ring(9, ("chat-1",))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not members.done()
    owner.tick(2)
    assert await members == []
