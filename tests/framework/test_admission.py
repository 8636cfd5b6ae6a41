"""Who comes in, who takes its own place, who goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from tests.framework.owner import GRACE, Owner, claim, publish, ref
from tests.support.timing import MS, eventually
from zchat.errors import TimedOut, Unavailable
from zchat.framework.joins import Joined
from zchat.rooms.presence import AlreadyMember
from zchat.rooms.stream import PresenceChange, StreamPosition


@pytest.fixture
async def owner() -> Owner:
    return Owner()


async def test_a_join_is_ordered_admitted_told_and_confirmed_in_that_order(owner: Owner) -> None:
    joined = await owner.host.join("room", "alice", ref(), True, None, "", 42)
    assert joined == Joined(StreamPosition("e1", 0), ["alice"], resume="token1")
    version = int(owner.wall * 1000) + 1
    token = owner.tokens[0]
    place = (1, "room", "alice", "chat-1", "e1", 0)
    assert owner.casts == [
        ("c1", "hub.join", (1, "room", "alice", "chat-1", token, 42)),
        ("c1", "hub.joined", (*place, version, owner.wall, True, "token1", ["alice"])),
    ]
    assert owner.frames == [
        ("room", PresenceChange("e1", version, "alice", True, owner.frames[0][1].package))  # type: ignore[union-attr]
    ]


async def test_nobody_is_admitted_before_the_token_is_seen(owner: Owner) -> None:
    owner.silent = True
    join = owner.start("alice", ref())
    await eventually(lambda: owner.tokens)
    owner.host.on_token(b"me/999")
    owner.host.on_token(b"other/1")
    assert (await owner.host.members("room"), owner.frames) == ([], [])
    owner.host.on_token(owner.tokens[0])
    owner.host.on_token(owner.tokens[0])  # links that come up again repeat it
    assert (await join).members == ["alice"]
    assert len(owner.ordered("hub.joined")) == 1


async def test_who_is_in_is_ordered_again(owner: Owner) -> None:
    """Its frontend may not have heard that it was admitted, and would tell it nothing."""
    await owner.join("alice", ref())
    assert (await owner.join("alice", ref())).members == ["alice"]
    assert len(owner.ordered("hub.joined")) == 2
    assert owner.told == [("alice", True)]


async def test_a_taken_name_is_refused_before_anything_is_ordered(owner: Owner) -> None:
    await owner.join("alice", ref(1))
    with pytest.raises(AlreadyMember):
        await owner.join("alice", ref(1, "c2"))
    assert [frontend for frontend, _, _ in owner.casts] == ["c1", "c1"]


async def test_of_two_joins_at_once_the_first_token_wins(owner: Owner) -> None:
    owner.silent = True
    joins = [owner.start("alice", ref(1, "c1")), owner.start("alice", ref(1, "c2"))]
    await eventually(lambda: len(owner.tokens) == 2)
    for token in reversed(owner.tokens):
        owner.host.on_token(token)
    assert (await joins[1]).members == ["alice"]
    with pytest.raises(AlreadyMember):
        await joins[0]
    assert owner.ordered("hub.undo") == [("c1", (1, "room", owner.tokens[0]))]
    assert owner.told == [("alice", True)]
    assert owner.host.channels["room"].presence.sessions("alice") == {ref(1, "c2")}


async def test_a_frontend_that_is_not_connected(owner: Owner) -> None:
    del owner.connected["c1"]
    with pytest.raises(Unavailable, match="c1 is not connected to chat-1"):
        await owner.join("alice", ref())
    owner.tick()
    assert owner.host.channels == {}


async def test_a_frontend_that_cannot_be_told_of_the_join(owner: Owner) -> None:
    owner.silent = True
    join = owner.start("alice", ref())
    await eventually(lambda: owner.tokens)
    del owner.connected["c1"]
    owner.host.on_token(owner.tokens[0])
    with pytest.raises(Unavailable, match="c1 cannot be told"):
        await join
    assert await owner.host.members("room") == []


async def test_a_frontend_that_does_not_follow_the_order() -> None:
    owner = Owner(join_timeout=10 * MS)
    owner.silent = True
    with pytest.raises(TimedOut, match="c1 did not join room in time"):
        await owner.join("alice", ref())
    assert owner.ordered("hub.undo") == [("c1", (1, "room", owner.tokens[0]))]
    owner.host.on_token(owner.tokens[0])  # too late
    assert await owner.host.members("room") == []
    assert owner.told == []


async def test_a_join_given_up_after_it_was_admitted_is_undone(owner: Owner) -> None:
    owner.silent = True
    join = owner.start("alice", ref())
    await eventually(lambda: owner.tokens)
    owner.host.on_token(owner.tokens[0])
    join.cancel()
    with pytest.raises(asyncio.CancelledError):
        await join
    assert owner.told == [("alice", True), ("alice", False)]
    assert owner.ordered("hub.undo") == [("c1", (1, "room", owner.tokens[0]))]


async def test_a_join_given_up_undoes_no_other_of_the_same_session(owner: Owner) -> None:
    owner.silent = True
    first, second = owner.start("alice", ref()), owner.start("alice", ref())
    await eventually(lambda: len(owner.tokens) == 2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert owner.ordered("hub.undo") == []
    owner.host.on_token(owner.tokens[1])
    assert (await second).members == ["alice"]
    third = owner.start("alice", ref(2))
    await asyncio.gather(third, return_exceptions=True)
    assert owner.ordered("hub.undo") == []
    assert await owner.host.members("room") == ["alice"]


async def test_joins_of_a_frontend_that_dies_come_to_nothing(owner: Owner) -> None:
    owner.silent = True
    join = owner.start("alice", ref())
    await eventually(lambda: owner.tokens)
    owner.host.frontend_lost("c1", "life1")
    owner.host.on_token(owner.tokens[0])  # it was on its way
    with pytest.raises(Unavailable, match="c1 is gone"):
        await join
    assert await owner.host.members("room") == []


async def test_a_token_takes_the_place_of_a_live_session_in_silence(owner: Owner) -> None:
    joined = await owner.join("alice", ref(1, "c1"))
    again = await owner.join("alice", ref(7, "c2"), resume=joined.resume)
    assert (again.members, again.resume) == (["alice"], joined.resume)
    assert owner.told == [("alice", True)]
    assert owner.ordered("hub.evict") == [("c1", (1, "room", True))]
    assert owner.ordered("hub.joined")[1][1][-2] == joined.resume
    owner.host.lost("room", "alice", ref(1, "c1"))  # the former connection ends
    owner.host.frontend_lost("c1", "life1")
    owner.tick(GRACE + 1)
    assert owner.told == [("alice", True)]
    assert owner.host.channels["room"].presence.sessions("alice") == {ref(7, "c2")}
    assert owner.host.counts["resumed"] == 1


async def test_a_request_that_is_done_twice_lets_its_session_in_once(owner: Owner) -> None:
    """Whichever answer its client gets is right."""

    def join(request: int) -> Awaitable[Joined]:
        return owner.host.join("room", "alice", ref(1), True, None, "", request)

    first = await join(7)
    await owner.join("bob", ref(2))
    await publish(owner)
    again, later = await join(7), await join(8)
    assert (again.position, again.members) == (first.position, ["alice"])
    assert later.members == ["alice", "bob"]
    orders = [args[4:7] + args[-1:] for _, args in owner.ordered("hub.joined")]
    assert orders[0] == orders[2] != orders[3]
    await owner.host.leave("room", "alice", ref(1))
    assert (await join(8)).members == ["bob", "alice"]


async def test_an_attempt_that_was_overtaken_puts_nobody_out(owner: Owner) -> None:
    owner.silent = True
    earlier = owner.start("alice", ref(1, "c1"), "mine.1")
    later = owner.start("alice", ref(2, "c2"), "mine.2")
    await eventually(lambda: len(owner.tokens) == 2)
    for token in reversed(owner.tokens):
        owner.host.on_token(token)
    assert (await later).resume == "mine"
    for late in (earlier, owner.start("alice", ref(3, "c1"), "mine.1")):
        with pytest.raises(AlreadyMember):
            await late
    assert owner.ordered("hub.evict") == []
    assert owner.ordered("hub.joined")[0][1][-2] == "mine.2"
    assert owner.host.channels["room"].presence.sessions("alice") == {ref(2, "c2")}


async def test_a_claim_says_by_which_attempt_its_session_came(owner: Owner) -> None:
    await owner.announce({"room": [claim("alice", 2, resume="mine.2")]})
    await owner.announce({"room": [claim("alice", 1, since=9.0, resume="mine.1")]})
    assert owner.ordered("hub.evict") == [("c1", (1, "room", True))]
    assert owner.host.channels["room"].presence.sessions("alice") == {ref(2)}


@pytest.mark.parametrize("resume", ["", "guess", "token", "token11"])
async def test_without_the_token_a_live_session_keeps_its_name(owner: Owner, resume: str) -> None:
    await owner.join("alice", ref(1))
    with pytest.raises(AlreadyMember):
        await owner.join("alice", ref(2), resume=resume)
    assert owner.ordered("hub.evict") == []
    assert len(owner.tokens) == 1


async def test_who_joins_again_keeps_its_token(owner: Owner) -> None:
    first = await owner.join("alice", ref(1))
    again = await owner.join("alice", ref(1))
    assert first.resume == again.resume
    other = await owner.join("bob", ref(2))
    assert other.resume != first.resume


async def test_a_token_that_no_session_has_any_more_stays_its_clients(owner: Owner) -> None:
    """The answer with another one could be lost, and the client would be locked out."""
    joined = await owner.join("alice", ref(1))
    owner.host.lost("room", "alice", ref(1))
    owner.tick(GRACE)
    assert (await owner.join("alice", ref(2), resume=joined.resume)).resume == joined.resume
    third = await owner.join("alice", ref(3), resume=joined.resume)
    assert third.resume == joined.resume


@pytest.mark.parametrize("resume", ["x" * 65, "\u00fc"])
async def test_what_can_be_no_token_is_none(owner: Owner, resume: str) -> None:
    assert (await owner.join("alice", ref(1), resume=resume)).resume == "token1"


async def test_the_token_counts_when_the_join_is_admitted(owner: Owner) -> None:
    joined = await owner.join("alice", ref(1))
    owner.silent = True
    resuming = owner.start("alice", ref(2), joined.resume)
    await eventually(lambda: len(owner.tokens) == 2)
    await owner.host.leave("room", "alice", ref(1))
    owner.silent = False
    await owner.join("alice", ref(3, "c2"))  # somebody else was quicker
    owner.host.on_token(owner.tokens[1])
    with pytest.raises(AlreadyMember):
        await resuming
    assert owner.host.channels["room"].presence.sessions("alice") == {ref(3, "c2")}


async def test_a_return_given_up_after_it_was_admitted_is_a_loss(owner: Owner) -> None:
    joined = await owner.join("alice", ref(1))
    owner.silent = True
    resuming = owner.start("alice", ref(2), joined.resume)
    await eventually(lambda: len(owner.tokens) == 2)
    owner.host.on_token(owner.tokens[1])
    resuming.cancel()
    await asyncio.gather(resuming, return_exceptions=True)
    assert owner.told == [("alice", True)]
    owner.tick(GRACE)
    assert owner.told == [("alice", True), ("alice", False)]


async def test_a_return_given_up_after_its_channel_moved_concerns_nobody(owner: Owner) -> None:
    joined = await owner.join("alice", ref(1))
    owner.silent = True
    resuming = owner.start("alice", ref(2), joined.resume)
    await eventually(lambda: len(owner.tokens) == 2)
    owner.host.on_token(owner.tokens[1])
    resuming.cancel()
    owner.change_ring("chat-2")
    await asyncio.gather(resuming, return_exceptions=True)
    owner.tick(GRACE)
    assert owner.told == [("alice", True)]


async def test_a_leave_is_ordered_and_told(owner: Owner) -> None:
    await owner.join("alice", ref())
    await owner.host.leave("room", "alice", ref())
    assert owner.ordered("hub.leave") == [("c1", (1, "room", "chat-1"))]
    assert owner.told == [("alice", True), ("alice", False)]
    await owner.host.leave("room", "alice", ref())
    assert len(owner.told) == 2


async def test_a_loss_is_told_after_the_grace(owner: Owner) -> None:
    await owner.join("alice", ref())
    owner.host.lost("room", "alice", ref())
    owner.host.lost("unknown", "alice", ref())
    owner.tick(GRACE - 0.1)
    assert owner.told == [("alice", True)]
    owner.tick(0.2)
    assert owner.told == [("alice", True), ("alice", False)]
    assert owner.host.channels == {}


async def test_a_leave_that_cannot_be_ordered(owner: Owner) -> None:
    """Its frontend would claim the session again; the caller must see to it in another way."""
    await owner.join("alice", ref())
    del owner.connected["c1"]
    with pytest.raises(Unavailable):
        await owner.host.leave("room", "alice", ref())
    assert await owner.host.members("room") == []
