"""The hub: who gets what, from when on, in which order, and how often."""

from __future__ import annotations

import asyncio

import pytest

from tests.frontend.audience import (
    EPOCH,
    LOBBY,
    OWNER,
    Stage,
    connection_of,
    heard,
    items_of,
)
from tests.support.logs import ExpectedLogs
from zchat.frontend.disconnect import SLOW_READER
from zchat.rooms.follower import Run
from zchat.rooms.stream import Published, StreamPosition, encode_frame


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def turn() -> None:
    """Let what was scheduled for the end of this turn run."""
    await asyncio.sleep(0)


# Coming in


async def test_a_join_subscribes_and_then_sends_its_token(stage: Stage) -> None:
    alice = stage.join("alice")
    assert stage.subscriber.asked == [
        ("subscribe", LOBBY),
        ("token", f"token {alice.id}".encode()),
    ]
    bob = stage.join("bob")
    assert stage.subscriber.asked[2:] == [("token", f"token {bob.id}".encode())]


async def test_a_newcomer_gets_the_answer_and_then_exactly_what_follows_its_position(
    stage: Stage,
) -> None:
    alice = stage.join("alice", origin=7)
    stage.publish(4, "four", "five")  # it may come before the owner's word
    assert stage.joined(alice, 4)
    stage.publish(6, "six")
    await turn()
    assert heard(alice) == []
    stage.answer(alice, 7)
    stage.publish(7, "seven")
    await turn()
    assert heard(alice) == ["answer 7", "five", "six", "seven"]


async def test_an_answer_before_the_owners_word_does_not_lose_anything(stage: Stage) -> None:
    alice = stage.join("alice", origin=7)
    stage.publish(1, "one")
    stage.answer(alice, 7)  # the join was too slow for its request
    stage.publish(2, "two")
    await turn()
    assert heard(alice) == ["answer 7"]
    stage.joined(alice, 1)
    await turn()
    assert heard(alice) == ["answer 7", "two"]


async def test_an_answer_to_another_request_changes_nothing(stage: Stage) -> None:
    alice = stage.join("alice", origin=7)
    alice.in_flight = {6, 7}
    stage.joined(alice, 0)
    stage.publish(1, "one")
    stage.answer(alice, 6)
    await turn()
    assert heard(alice) == ["answer 6"]
    stage.answer(alice, 7)
    assert heard(alice) == ["answer 6", "answer 7", "one"]


async def test_a_newcomer_behind_older_members_gets_nothing_from_before_it(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    bob = stage.join("bob")
    stage.joined(bob, 3)  # our follower is at 1: two and three are still on their way
    stage.publish(2, "two")
    stage.publish(3, "three")
    stage.publish(4, "four")
    await turn()
    assert heard(alice) == ["one", "two", "three", "four"]
    assert heard(bob) == ["four"]


async def test_a_newcomer_gets_all_of_a_batch_that_follows_its_position(stage: Stage) -> None:
    alice = stage.enter("alice")
    bob = stage.join("bob")
    stage.joined(bob, 2)
    stage.publish(1, "one", "two", "three", "four")
    await turn()
    assert heard(alice) == ["one", "two", "three", "four"]
    assert heard(bob) == ["three", "four"]


async def test_frames_of_a_turn_are_not_doubled_for_who_goes_live_in_it(stage: Stage) -> None:
    alice = stage.enter("alice")
    bob = stage.join("bob", origin=1)
    stage.joined(bob, 0)
    stage.publish(1, "one")
    stage.answer(bob, 1)
    stage.publish(2, "two")
    await turn()
    assert heard(alice) == ["one", "two"]
    assert heard(bob) == ["answer 1", "one", "two"]


async def test_being_admitted_twice_counts_once(stage: Stage) -> None:
    """Two requests of one client may join it twice, and the second answer has a later position."""
    alice = stage.join("alice", origin=1)
    stage.join("alice", session=alice, origin=2)
    stage.joined(alice, 0)
    stage.publish(1, "one")
    stage.joined(alice, 1)
    stage.answer(alice, 1)
    assert heard(alice) == ["answer 1", "one"]
    stage.answer(alice, 2)
    await turn()
    assert heard(alice) == ["answer 1", "one", "answer 2"]
    assert len(stage.lobby.live) == 1


async def test_a_live_member_that_joins_again_stays_live(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.join("alice", session=alice, origin=5)
    stage.publish(1, "one")
    await turn()
    assert heard(alice) == ["one"]
    assert stage.joined(alice, 1)
    stage.publish(2, "two")
    await turn()
    assert heard(alice) == ["one", "two"]


async def test_another_uid_is_somebody_new(stage: Stage) -> None:
    session = stage.enter("alice")
    stage.join("bob", session=session)
    assert stage.lost == [(LOBBY, "alice", OWNER)]
    stage.publish(1, "before bob")
    stage.joined(session, 1)
    stage.publish(2, "for alice", to=["alice"])
    stage.publish(3, "for bob", to=["bob"])
    await turn()
    assert heard(session) == ["for bob"]


async def test_a_session_is_in_several_channels(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.join("alice", "kitchen", session=alice, origin=3)
    stage.joined(alice, 0, channel="kitchen")
    stage.publish(1, "in the kitchen", channel="kitchen")
    stage.publish(1, "in the lobby")
    await turn()
    assert heard(alice) == ["in the lobby"]
    stage.answer(alice, 3)
    assert heard(alice) == ["in the lobby", "answer 3", "in the kitchen"]
    stage.close(alice)
    assert stage.lost == [(LOBBY, "alice", OWNER), ("kitchen", "alice", OWNER)]
    assert stage.subscriber.topics == set()


# Order, repeats, gaps, epochs


async def test_repeats_are_dropped(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one", "two")
    stage.publish(1, "one", "two")
    stage.publish(2, "two", "three")
    await turn()
    assert heard(alice) == ["one", "two", "three"]


async def test_a_gap_is_fetched_and_what_follows_it_waits(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    stage.publish(3, "three")
    await turn()
    assert heard(alice) == ["one"]
    assert stage.fetched == [stage.lobby]
    stage.hub.repair(stage.lobby, StreamPosition(EPOCH, 3), Run(2, items_of("two", "three")))
    stage.publish(4, "four")
    await turn()
    assert heard(alice) == ["one", "two", "three", "four"]
    assert len(stage.fetched) == 1


async def test_nobody_asks_for_what_does_not_miss(stage: Stage) -> None:
    stage.enter("alice", 5)
    stage.publish(6, "six")
    assert stage.fetched == []


async def test_a_joining_member_gets_what_was_fetched(stage: Stage) -> None:
    stage.enter("alice")
    bob = stage.join("bob", origin=1)
    stage.joined(bob, 0)
    stage.publish(2, "two")
    stage.hub.repair(stage.lobby, StreamPosition(EPOCH, 2), Run(1, items_of("one")))
    stage.answer(bob, 1)
    assert heard(bob) == ["answer 1", "one", "two"]


async def test_what_the_owner_has_no_more_keeps_nobody_waiting(stage: Stage) -> None:
    alice = stage.enter("alice")
    bob = stage.join("bob")
    stage.joined(bob, 5)
    stage.hub.repair(stage.lobby, StreamPosition(EPOCH, 5), Run(6, ()))
    assert set(stage.lobby.live) == {alice.id, bob.id}
    stage.publish(6, "six")
    await turn()
    assert heard(alice) == heard(bob) == ["six"]


async def test_frames_of_another_epoch_are_dropped(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "stranger", epoch="e0")
    stage.publish(1, "one")
    await turn()
    assert heard(alice) == ["one"]
    assert stage.lobby.follower.dropped == 1


async def test_where_the_owner_stands_shows_what_is_missing(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 1))
    assert stage.fetched == []
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 2))
    assert stage.fetched == [stage.lobby]
    stage.hub.repair(stage.lobby, StreamPosition(EPOCH, 2), Run(2, items_of("two")))
    await turn()
    assert heard(alice) == ["one", "two"]


async def test_a_moving_channel_holds_everything_until_it_is_placed(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    stage.lobby.follower.unplace()
    stage.publish(1, "new one", epoch="e2")
    stage.presence(1, "bob", epoch="e2")
    await turn()
    assert heard(alice) == ["one"]
    stage.hub.place(stage.lobby, StreamPosition("e2", 1))
    await turn()
    assert heard(alice) == ["one", "new one", "+bob"]


async def test_who_joined_in_an_epoch_that_ended_gets_all_of_the_next(stage: Stage) -> None:
    alice = stage.join("alice", origin=1)
    stage.joined(alice, 5, version=9)
    stage.publish(6, "six")
    stage.lobby.follower.unplace()
    stage.publish(1, "new one", epoch="e2")
    stage.hub.place(stage.lobby, StreamPosition("e2", 1))
    stage.presence(3, "bob", epoch="e2")
    stage.answer(alice, 1)
    stage.publish(2, "new two", epoch="e2")
    await turn()
    assert heard(alice) == ["answer 1", "six", "new one", "+bob", "new two"]


async def test_a_late_word_of_the_old_owner_is_put_right_by_the_new_one(stage: Stage) -> None:
    """It admitted a member just before the channel moved away; the next announce claims it."""
    stage.enter("alice")
    bob = stage.join("bob")
    stage.lobby.follower.unplace()
    stage.hub.place(stage.lobby, StreamPosition("e2", 0))
    stage.joined(bob, 3, version=8)
    stage.publish(1, "new one", epoch="e2")
    await turn()
    assert heard(bob) == []
    stage.hub.place(stage.lobby, StreamPosition("e2", 1))
    await turn()
    assert heard(bob) == ["new one"]


async def test_an_owner_in_its_next_life_may_admit_before_it_answers_an_announce(
    stage: Stage,
) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    bob = stage.join("bob")
    stage.joined(bob, 1, epoch="e2")
    stage.publish(2, "never journalled")
    stage.lobby.follower.unplace()
    stage.publish(2, "new two", epoch="e2")
    stage.hub.place(stage.lobby, StreamPosition("e2", 2))
    assert stage.fetched[-1] is stage.lobby
    run = Run(1, items_of("new one", "new two"))
    stage.hub.repair(stage.lobby, StreamPosition("e2", 2), run)
    await turn()
    assert heard(alice) == ["one", "never journalled", "new one", "new two"]
    assert heard(bob) == ["new two"]


async def test_unreadable_frames_are_counted_and_harm_nobody(
    stage: Stage, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.session", "channel lobby: not a stream frame")
    alice = stage.enter("alice")
    for payload in (b"", b"\xc1", b"\x91\x07", encode_frame([1, EPOCH, "first", []])):
        stage.hub.on_frame(LOBBY, payload)
    stage.hub.on_frame(LOBBY, encode_frame(Published(EPOCH, 1, ())))
    stage.publish(1, "one")
    await turn()
    assert heard(alice) == ["one"]
    assert stage.hub.counters["bad_frames"] == 4


async def test_frames_of_channels_just_left_are_dropped_and_counted(stage: Stage) -> None:
    stage.publish(1, "one")
    stage.close(stage.enter("alice"))
    stage.publish(1, "one")
    assert stage.hub.counters["late_frames"] == 2


# Audience


async def test_only_the_audience_hears(stage: Stage) -> None:
    alice, bob, carol = (stage.enter(name) for name in ("alice", "bob", "carol"))
    other_alice = stage.enter("alice")
    stage.publish(1, "one")
    stage.publish(2, "private", to=["alice", "bob"])
    stage.publish(3, "to nobody", to=[])
    stage.publish(4, "four")
    await turn()
    assert heard(alice) == heard(other_alice) == heard(bob) == ["one", "private", "four"]
    assert heard(carol) == ["one", "four"]
    assert stage.hub.counters["deliveries"] == 11


async def test_only_the_audience_is_held_for(stage: Stage) -> None:
    alice, bob = stage.join("alice", origin=1), stage.join("bob", origin=1)
    for session in (alice, bob):
        stage.joined(session, 0)
    stage.publish(1, "private", to=["bob"])
    for session in (alice, bob):
        stage.answer(session, 1)
    assert heard(alice) == ["answer 1"]
    assert heard(bob) == ["answer 1", "private"]


# Presence


async def test_nobody_is_told_of_themselves(stage: Stage) -> None:
    alice = stage.enter("alice")
    bob, again = stage.enter("bob"), stage.enter("bob")
    stage.presence(1, "bob")
    await turn()
    assert heard(alice) == ["+bob"]
    assert heard(bob) == heard(again) == []


async def test_a_change_is_told_once(stage: Stage) -> None:
    alice = stage.enter("alice")
    for version in (1, 2, 2, 1, 3):
        stage.presence(version, f"v{version}")
    stage.presence(4, "elsewhere", epoch="e0")
    await turn()
    assert heard(alice) == ["+v1", "+v2", "+v3"]
    assert stage.hub.counters["old_presence"] == 3


async def test_changes_that_an_answers_list_has_are_not_told(stage: Stage) -> None:
    alice = stage.enter("alice", version=1)
    bob = stage.join("bob", origin=1)
    stage.joined(bob, 0, version=3)  # its list has the changes 2 and 3, which are on their way
    stage.presence(2, "carol")
    stage.answer(bob, 1)
    stage.presence(3, "bob")
    stage.presence(4, "dave")
    await turn()
    assert heard(alice) == ["+carol", "+bob", "+dave"]
    assert heard(bob) == ["answer 1", "+dave"]


async def test_changes_on_their_way_are_told_although_an_announce_was_faster(stage: Stage) -> None:
    alice = stage.enter("alice", version=1)
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 0))
    stage.presence(2, "bob")
    stage.presence(3, "carol")
    await turn()
    assert heard(alice) == ["+bob", "+carol"]


async def test_changes_before_the_channel_has_its_place_wait(stage: Stage) -> None:
    alice = stage.join("alice")
    stage.presence(4, "old")
    stage.presence(5, "alice")
    stage.presence(6, "bob")
    stage.joined(alice, 2, version=5)
    await turn()
    assert heard(alice) == ["+bob"]


async def test_changes_that_wait_are_bounded(stage: Stage) -> None:
    stage.join("alice")
    for version in range(1, 1003):
        stage.presence(version, "somebody")
    assert len(stage.lobby.early) == 1000
    assert stage.hub.counters["early_full"] == 2


async def test_a_change_without_a_push_only_counts(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.presence(1, "bob", package="")
    stage.presence(1, "bob")
    await turn()
    assert heard(alice) == []


async def test_changes_keep_their_place_among_publications(stage: Stage) -> None:
    alice = stage.enter("alice")
    bob = stage.join("bob", origin=1)
    stage.joined(bob)
    stage.publish(1, "one")
    stage.presence(1, "carol")
    stage.publish(2, "two")
    stage.answer(bob, 1)
    await turn()
    assert heard(alice) == ["one", "+carol", "two"]
    assert heard(bob) == ["answer 1", "one", "+carol", "two"]


# Going


async def test_the_last_to_leave_unsubscribes(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.enter("bob")
    stage.hub.leave(alice, LOBBY)
    stage.hub.leave(alice, LOBBY)
    stage.publish(1, "one")
    await turn()
    assert heard(alice) == []
    assert heard(bob) == ["one"]
    stage.hub.leave(bob, LOBBY)
    assert stage.hub.channels == {}
    assert stage.subscriber.asked[-1] == ("unsubscribe", LOBBY)
    assert alice.memberships is None
    assert stage.lost == []


async def test_who_leaves_gets_what_came_before(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.enter("bob")
    stage.publish(1, "one")
    stage.hub.leave(alice, LOBBY)
    stage.publish(2, "two")
    await turn()
    assert heard(alice) == ["one"]
    assert heard(bob) == ["one", "two"]


@pytest.mark.parametrize("admitted", [False, True])
@pytest.mark.parametrize("how", ["leave", "close"])
async def test_who_goes_while_joining_is_gone(stage: Stage, how: str, admitted: bool) -> None:
    alice = stage.join("alice", origin=1)
    if admitted:
        stage.joined(alice)
    stage.publish(1, "one")
    if how == "leave":
        stage.hub.leave(alice, LOBBY)
    else:
        stage.close(alice)
    assert stage.lost == ([] if how == "leave" else [(LOBBY, "alice", OWNER)])
    assert not stage.joined(alice, 1)
    stage.answer(alice, 1)
    stage.publish(2, "two")
    await turn()
    assert heard(alice) == ["answer 1"]
    assert stage.hub.channels == {}


async def test_who_comes_back_in_the_same_turn_is_new(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    stage.hub.leave(alice, LOBBY)
    stage.join("alice", session=alice)
    stage.publish(2, "two")
    stage.joined(alice, 2)
    stage.publish(3, "three")
    await turn()
    assert heard(alice) == ["one", "three"]


async def test_joins_that_died_with_their_owner_are_undone(stage: Stage) -> None:
    alice, bob, carol = stage.enter("alice"), stage.join("bob"), stage.join("carol")
    stage.hub.join(carol, LOBBY, "carol", "chat-server-2", b"of another owner", 0)
    stage.hub.abandon(OWNER)
    assert {m.uid for m in stage.lobby.memberships} == {"alice", "carol"}
    assert not stage.joined(bob, 0)
    assert stage.lost == []
    stage.publish(1, "one")
    await turn()
    assert heard(alice) == ["one"]


async def test_closing_without_a_channel_is_nothing(stage: Stage) -> None:
    session = stage.open()
    stage.close(session)
    stage.hub.leave(session, LOBBY)
    stage.hub.answered(session)
    assert stage.lost == []


# Limits and costs


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
    stage.presence(1, "person4")
    await turn()
    assert {len(connection_of(person).writes) for person in people} == {1}
    assert len(heard(people[3])) == 12
    # Whoever gets the same is given the very same bytes, which then wait once in memory.
    assert len({id(connection_of(person).writes[0]) for person in people}) == 3


async def test_channels_of_a_turn_do_not_mix(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.enter("bob", channel="kitchen")
    stage.publish(1, "one")
    stage.publish(1, "uno", channel="kitchen")
    stage.publish(2, "two")
    await turn()
    assert (heard(alice), heard(bob)) == (["one", "two"], ["uno"])


async def test_tokens_are_repeated_to_their_owner_while_they_are_waited_for(stage: Stage) -> None:
    alice, bob, carol = stage.enter("alice"), stage.join("bob"), stage.join("carol")
    stage.hub.join(carol, LOBBY, "carol", "chat-server-2", b"of another owner", 0)
    stage.join("alice", session=alice)  # live, and ordered in again
    stage.subscriber.asked.clear()
    stage.hub.repeat_tokens(OWNER)
    assert {token for _, token in stage.subscriber.asked} == {
        f"token {alice.id}".encode(),
        f"token {bob.id}".encode(),
    }
    for session in (alice, bob):
        stage.joined(session)
    stage.subscriber.asked.clear()
    stage.hub.repeat_tokens(OWNER)
    assert stage.subscriber.asked == []
