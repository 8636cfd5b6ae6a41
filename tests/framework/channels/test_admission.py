"""Who comes in, who takes its own place, who goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from tests.framework.channels.owner import GRACE, Owner, claim, publish, ref
from tests.support.logs import ExpectedLogs
from tests.support.timing import MS, eventually
from zchat.errors import TimedOut, Unavailable
from zchat.framework.channels.joins import Joined
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
    all_of_it: tuple[Any, ...] = (["alice"], False, [])
    assert owner.casts == [
        ("c1", "hub.join", (1, "room", "alice", "chat-1", token, 42, False)),
        ("c1", "hub.joined", (*place, version, token, owner.wall, True, "token1", *all_of_it)),
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


async def test_an_order_that_its_frontend_does_not_follow_any_more_fails_at_once(
    owner: Owner,
) -> None:
    """The request that it was for had been answered with an error already."""
    owner.silent = True
    refused, other = owner.start("alice", ref()), owner.start("bob", ref(2))
    await eventually(lambda: len(owner.tokens) == 2)
    owner.host.lost("room", "alice", ref(), owner.tokens[0])
    with pytest.raises(Unavailable, match="c1 did not follow the order"):
        await refused
    owner.host.on_token(owner.tokens[1])
    assert (await other).members == ["bob"]


async def test_who_is_in_stays_when_a_later_order_is_refused(owner: Owner) -> None:
    """The owner stood still, and the request was answered with an error meanwhile."""
    await owner.join("alice", ref())
    owner.silent = True
    again = owner.start("alice", ref())
    await eventually(lambda: len(owner.tokens) == 2)
    owner.host.refused(b"me/99")
    owner.host.refused(owner.tokens[1])
    with pytest.raises(Unavailable, match="c1 did not follow the order"):
        await again
    owner.host.refused(owner.tokens[1])  # late
    owner.tick(2 * GRACE)
    assert await owner.host.members("room") == ["alice"]
    assert (owner.told, owner.ordered("hub.undo")) == ([("alice", True)], [])


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


async def test_who_is_in_by_a_later_join_is_not_put_out_when_the_first_one_fails(
    owner: Owner, monkeypatch: pytest.MonkeyPatch, expected_logs: ExpectedLogs
) -> None:
    """A request that was done twice, and what was missed could be read only once."""
    expected_logs("zchat.cluster", "journal: room cannot be read")
    reading = asyncio.get_running_loop().create_future()
    read, calls = owner.store.read, iter([reading])

    async def slow(*args: Any) -> Any:
        for call in calls:
            await call
        return await read(*args)

    monkeypatch.setattr(owner.store, "read", slow)
    last = StreamPosition("e1", 0)
    joins = [
        asyncio.ensure_future(owner.host.join("room", "alice", ref(), True, last, "", 7))
        for _ in range(2)
    ]
    assert (await joins[1]).members == ["alice"]
    reading.set_exception(OSError("disk on fire"))
    with pytest.raises(Unavailable):
        await joins[0]
    owner.tick(2 * GRACE)
    assert await owner.host.members("room") == ["alice"]
    assert owner.ordered("hub.undo") == []


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
    assert owner.ordered("hub.joined")[1][1][-4] == joined.resume
    owner.host.lost("room", "alice", ref(1, "c1"), None)  # the former connection ends
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


async def test_a_session_that_takes_another_uid_leaves_its_first_one(owner: Owner) -> None:
    """Its frontend's word of it comes by another way than its token, and may come later."""
    await owner.join("alice", ref(1))
    first = owner.tokens[0]
    await owner.join("bob", ref(1))
    owner.host.lost("room", "alice", ref(1), first)
    owner.tick(GRACE + 1)
    assert owner.told == [("alice", True), ("bob", True), ("alice", False)]


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
    assert owner.ordered("hub.joined")[0][1][-4] == "mine.2"
    assert owner.host.channels["room"].presence.sessions("alice") == {ref(2, "c2")}


async def test_a_claim_says_by_which_attempt_its_session_came(owner: Owner) -> None:
    await owner.announce({"room": [claim("alice", 2, resume="mine.2")]})
    await owner.announce({"room": [claim("alice", 1, since=9.0, resume="mine.1")]}, "c2")
    assert owner.ordered("hub.evict") == [("c2", (1, "room", True))]
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
    owner.host.lost("room", "alice", ref(1), None)
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
    owner.host.lost("room", "alice", ref(), None)
    owner.host.lost("unknown", "alice", ref(), None)
    owner.tick(GRACE - 0.1)
    assert owner.told == [("alice", True)]
    owner.tick(0.2)
    assert owner.told == [("alice", True), ("alice", False)]
    assert owner.host.channels == {}


async def test_a_leave_that_cannot_be_ordered(owner: Owner) -> None:
    """Its client goes on until its frontend can be told; the caller may see to that sooner."""
    await owner.join("alice", ref())
    del owner.connected["c1"]
    with pytest.raises(Unavailable):
        await owner.host.leave("room", "alice", ref())
    assert await owner.host.members("room") == []


async def test_a_join_of_a_session_that_is_gone_ends_at_once(owner: Owner) -> None:
    owner.silent = True
    gone, other, elsewhere = (
        owner.start("alice", ref(1)),
        owner.start("bob", ref(2)),
        asyncio.ensure_future(owner.join("alice", ref(1), "bar")),
    )
    await eventually(lambda: len(owner.tokens) == 3)
    owner.host.lost("room", "alice", ref(1), b"")  # it left, and comes again
    assert not gone.done()
    owner.host.lost("room", "alice", ref(1), None)
    with pytest.raises(Unavailable, match="session 1 is gone"):
        await gone
    for token in owner.tokens:
        owner.host.on_token(token)
    assert (await other).members == ["bob"]
    assert (await elsewhere).members == ["alice"]


async def test_a_leave_that_was_lost_is_ordered_again_when_the_session_is_claimed(
    owner: Owner,
) -> None:
    """By the announce that follows when its frontend has a link again."""
    await owner.join("alice", ref(1))
    await owner.join("bob", ref(2))
    await owner.host.leave("room", "alice", ref(1))
    await owner.announce({"room": [claim("alice", 1), claim("bob", 2)]})
    assert await owner.host.members("room") == ["bob"]
    assert owner.ordered("hub.leave") == 2 * [("c1", (1, "room", "chat-1"))]
    assert owner.host.counts["departures_repeated"] == 1
    await owner.join("alice", ref(1))
    await owner.announce({"room": [claim("alice", 1), claim("bob", 2)]})
    assert await owner.host.members("room") == ["bob", "alice"]


async def test_who_was_put_out_of_an_empty_room_stays_out(owner: Owner) -> None:
    await owner.join("alice", ref(1))
    await owner.host.leave("room", "alice", ref(1))
    owner.tick()
    assert owner.host.channels == {}
    await owner.announce({"room": [claim("alice", 1)]})
    assert await owner.host.members("room") == []


async def test_a_join_whose_undoing_was_lost_stays_undone(owner: Owner) -> None:
    owner.silent = True
    join = owner.start("alice", ref(1))
    await eventually(lambda: owner.tokens)
    owner.host.on_token(owner.tokens[0])
    join.cancel()
    await asyncio.gather(join, return_exceptions=True)
    await owner.announce({"room": [claim("alice", 1)]})
    assert owner.ordered("hub.undo") == 2 * [("c1", (1, "room", owner.tokens[0]))]
    assert await owner.host.members("room") == []


async def test_an_order_that_died_with_its_link_puts_nobody_out(owner: Owner) -> None:
    await owner.join("alice", ref())
    owner.silent = True
    again = owner.start("alice", ref())
    await eventually(lambda: len(owner.tokens) == 2)
    owner.host.frontend_lost("c1", "life1")
    life = owner.connected.pop("c1")
    with pytest.raises(Unavailable, match="c1 is gone"):
        await again
    owner.connected["c1"] = life
    await owner.announce({"room": [claim("alice")]})
    owner.tick(2 * GRACE)
    assert await owner.host.members("room") == ["alice"]
    assert owner.told == [("alice", True)]


async def test_leaves_of_a_channel_that_has_moved_are_anothers_to_tell(owner: Owner) -> None:
    await owner.join("alice", ref(1))
    await owner.host.leave("room", "alice", ref(1))
    owner.change_ring("chat-2")
    owner.change_ring("chat-1")  # and it came in again at chat-2
    await owner.announce({"room": [claim("alice", 1)]})
    assert await owner.host.members("room") == ["alice"]
    assert len(owner.ordered("hub.leave")) == 1


async def test_a_frontend_that_has_a_list_is_told_what_has_changed_since(owner: Owner) -> None:
    """Else 500 people who come in cost 500 lists of up to 500 names."""
    for number, uid in enumerate(["alice", "bob", "carol"]):
        await owner.join(uid, ref(number))
    known = owner.host.channels["room"].presence.version
    await owner.host.leave("room", "bob", ref(1))
    owner.silent = True
    joining = owner.start("dave", ref(4))
    await eventually(lambda: len(owner.tokens) == 4)
    owner.host.on_token(owner.tokens[-1] + b" %d" % known)
    assert (await joining).members == ["alice", "carol", "dave"]
    told = [args[-3:] for _, args in owner.ordered("hub.joined")]
    assert told[-1] == (["dave"], True, ["bob"])
    assert told[0] == (["alice"], False, [])


@pytest.mark.parametrize("known", [b" 7", b" 99999999999999", b" much", b" -1", b" "])
async def test_a_list_that_is_not_ours_is_replaced_by_all_of_it(owner: Owner, known: bytes) -> None:
    await owner.join("alice", ref())
    owner.silent = True
    joining = owner.start("bob", ref(2))
    await eventually(lambda: len(owner.tokens) == 2)
    owner.host.on_token(owner.tokens[-1] + known)
    await joining
    assert owner.ordered("hub.joined")[-1][1][-3:] == (["alice", "bob"], False, [])


async def test_who_wants_differences_is_ordered_in_so(owner: Owner) -> None:
    await owner.host.join("room", "alice", ref(), True, None, "", 0, True)
    assert owner.ordered("hub.join")[0][1][-1] is True


# Destroying


async def test_a_channel_that_is_destroyed_is_empty_and_nobody_is_told(owner: Owner) -> None:
    await owner.join("alice", ref(1))
    await owner.join("bob", ref(1, "c2"))
    await owner.join("lost", ref(3))
    owner.host.lost("room", "lost", ref(3), None)
    told = len(owner.told)
    await owner.host.destroy("room")
    assert owner.ordered("hub.leave") == [
        ("c1", (1, "room", "chat-1")),
        ("c2", (1, "room", "chat-1")),
    ]
    owner.tick(GRACE)
    assert (owner.told[told:], owner.host.channels) == ([], {})
    await owner.host.destroy("room")
    assert (await owner.join("carol", ref(4))).members == ["carol"]


async def test_a_frontend_that_cannot_be_told_of_the_end_hears_of_it_later(owner: Owner) -> None:
    await owner.join("alice", ref())
    life = owner.connected.pop("c1")
    await owner.host.destroy("room")
    owner.connected["c1"] = life
    await owner.announce({"room": [claim("alice")]})
    assert owner.ordered("hub.leave") == [("c1", (1, "room", "chat-1"))]
    assert await owner.host.count("room") == 0


async def test_a_loss_that_comes_after_the_next_join_does_not_mean_it(owner: Owner) -> None:
    """It was told of an earlier attempt of the same session, by a link that held it up."""
    for _ in range(2):
        await owner.join("alice", ref(1))
    first, second = owner.tokens
    for order in (first, b"another owner/7"):
        owner.host.lost("room", "alice", ref(1), order)
        owner.tick(GRACE)
        assert await owner.host.members("room") == ["alice"]
    owner.host.lost("room", "alice", ref(1), second)
    owner.tick(GRACE)
    assert owner.told == [("alice", True), ("alice", False)]
