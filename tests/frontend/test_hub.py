"""The hub: who gets what, from when on, in which order, and how often."""

from __future__ import annotations

import asyncio

import pytest

from tests.frontend.audience import (
    EPOCH,
    LOBBY,
    OWNER,
    Stage,
    change,
    connection_of,
    heard,
    items_of,
)
from tests.support.logs import ExpectedLogs
from zchat.frontend.session import Session
from zchat.frontend.sockets.disconnect import OUTRUN
from zchat.rooms.follower import Run
from zchat.rooms.stream import Published, Pushed, StreamPosition, encode_frame


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
    assert heard(alice) == ["answer 1"]
    stage.answer(alice, 2)
    await turn()
    assert heard(alice) == ["answer 1", "answer 2", "one"]
    assert len(stage.lobby.live) == 1


async def test_an_owners_word_ends_the_waiting_for_its_own_token_only(stage: Stage) -> None:
    alice = stage.join("alice", origin=1)
    stage.hub.join(alice, LOBBY, "alice", OWNER, b"second", 2)
    stage.joined(alice)
    stage.subscriber.asked.clear()
    stage.hub.repeat_tokens(OWNER)
    assert stage.subscriber.asked == [("token", b"second")]
    stage.joined(alice, token=b"second")
    stage.hub.repeat_tokens(OWNER)
    assert len(stage.subscriber.asked) == 1


async def test_whose_owners_word_was_lost_is_told_to_come_back(stage: Stage) -> None:
    """Its request was answered by a later link: it would never hear anything."""
    alice, bob = stage.join("alice", origin=1), stage.join("bob", origin=1)
    carol, dan = stage.join("carol"), stage.join("dan")
    stage.answer(alice, 1)
    stage.joined(carol)
    stage.hub.leave(dan, LOBBY)
    stage.now += 5.9
    stage.hub.tick()
    assert connection_of(alice).closes == 0
    stage.now += 0.2
    for _ in range(2):
        stage.hub.tick()
    assert connection_of(alice).disconnect == OUTRUN
    assert stage.hub.counters["joins_unheard"] == 1
    assert [connection_of(who).closes for who in (alice, bob, carol, dan)] == [1, 0, 0, 0]


async def test_who_was_let_in_by_a_request_that_fails_is_put_out(stage: Stage) -> None:
    alice = stage.enter("alice", channel="den")
    stage.join("alice", session=alice, origin=7)
    stage.joined(alice)
    stage.publish(1, "one")
    stage.hub.refused(alice, 6)
    assert stage.lost == []
    stage.hub.refused(alice, 7)
    stage.answer(alice, 7)
    stage.hub.refused(stage.open(), 7)
    await turn()
    assert heard(alice) == ["answer 7"]
    assert stage.lost == [(LOBBY, "alice", OWNER)]
    assert set(alice.memberships or ()) == {"den"}
    assert not stage.joined(alice), "its owner's word comes late"


async def test_a_member_that_fails_to_come_in_once_more_is_told_to_come_back(stage: Stage) -> None:
    """Put out, it would believe that it is in: the request was of a member."""
    alice, bob = stage.enter("alice"), stage.enter("bob")
    stage.join("alice", session=alice, origin=8)
    stage.hub.refused(alice, 8)
    stage.join("bob", session=bob, origin=9)
    stage.joined(bob)
    stage.answer(bob, 9)
    stage.hub.refused(bob, 9)
    assert [connection_of(who).closes for who in (alice, bob)] == [1, 0]
    assert stage.hub.counters["outrun"] == 1


async def test_who_is_ordered_in_for_a_request_that_has_failed_stays_out(stage: Stage) -> None:
    alice = stage.open()
    stage.hub.refused(alice, 7)
    assert not stage.hub.join(alice, LOBBY, "alice", OWNER, b"token", 7)
    assert not alice.memberships
    alice.in_flight = {7}
    assert stage.hub.join(alice, LOBBY, "alice", OWNER, b"token", 7)


async def test_a_list_that_comes_after_the_answer_is_nobodys(stage: Stage) -> None:
    """The request was done twice, and the answer was that of the first time."""
    alice = stage.join("alice", origin=1)
    stage.joined(alice, 0, version=1, uids=["alice"])
    stage.answer(alice, 1)
    stage.hub.join(alice, LOBBY, "alice", OWNER, b"token", 1)
    stage.joined(alice, 0, version=2, uids=["alice", "bob"])
    stage.presence(2, "bob")
    await turn()
    assert heard(alice) == ["answer 1", "+bob"]


async def test_of_two_joins_for_one_request_the_later_is_answered(stage: Stage) -> None:
    """The answer of the first one was lost between servers; the second one has all up to there."""
    alice = stage.join("alice", origin=1)
    stage.joined(alice, 0)
    stage.publish(1, "one")
    stage.join("alice", session=alice, origin=1)
    stage.joined(alice, 1)
    stage.publish(2, "two")
    stage.answer(alice, 1)
    await turn()
    assert heard(alice) == ["answer 1", "two"]


async def test_a_live_member_that_joins_again_is_held_up_until_the_answer(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    stage.join("alice", session=alice, origin=5)
    stage.publish(2, "two")
    await turn()
    assert heard(alice) == ["one"]
    assert stage.joined(alice, 2)
    stage.publish(3, "three")
    stage.answer(alice, 5)
    await turn()
    assert heard(alice) == ["one", "answer 5", "two", "three"]


async def test_a_live_member_that_is_joined_by_somebody_else_stays_live(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.join("alice", session=alice)
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


# Places and epochs


async def test_where_the_owner_stands_shows_what_is_missing(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 1))
    assert stage.fetched == []
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 2))
    assert stage.fetched == [stage.lobby]
    stage.hub.publications.repair(stage.lobby, StreamPosition(EPOCH, 2), Run(2, items_of("two")))
    await turn()
    assert heard(alice) == ["one", "two"]


async def test_a_moving_channel_holds_everything_until_it_is_placed(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    stage.hub.unsettle(stage.lobby)
    stage.publish(1, "new one", epoch="e2")
    stage.presence(1, "bob", epoch="e2")
    await turn()
    assert heard(alice) == ["one"]
    stage.hub.place(stage.lobby, StreamPosition("e2", 1))
    await turn()
    assert heard(alice) == ["one", "lost e2 0-1", "new one"]
    assert stage.compared == [stage.lobby]


async def test_who_joined_in_an_epoch_that_ended_gets_all_of_the_next(stage: Stage) -> None:
    alice = stage.join("alice", origin=1)
    stage.joined(alice, 5, version=9)
    stage.publish(6, "six")
    stage.hub.unsettle(stage.lobby)
    stage.publish(1, "new one", epoch="e2")
    stage.hub.place(stage.lobby, StreamPosition("e2", 1))
    stage.hub.rosters.compared(stage.lobby, 3, [change(3, "bob", epoch="e2")], 0, 0)
    stage.answer(alice, 1)
    stage.publish(2, "new two", epoch="e2")
    await turn()
    assert heard(alice) == ["answer 1", "six", "lost e2 0-1", "new one", "+bob", "new two"]


async def test_a_late_word_of_the_old_owner_is_put_right_by_the_new_one(stage: Stage) -> None:
    """It admitted a member just before the channel moved away; the next announce claims it."""
    stage.enter("alice")
    bob = stage.join("bob")
    stage.hub.unsettle(stage.lobby)
    stage.hub.place(stage.lobby, StreamPosition("e2", 0))
    stage.joined(bob, 3, version=8)
    stage.publish(1, "new one", epoch="e2")
    await turn()
    assert heard(bob) == []
    stage.hub.place(stage.lobby, StreamPosition("e2", 1))
    await turn()
    assert heard(bob) == ["new one", "lost e2 0-1"]


async def test_an_owner_in_its_next_life_may_admit_before_it_answers_an_announce(
    stage: Stage,
) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "one")
    bob = stage.join("bob")
    stage.joined(bob, 1, epoch="e2")
    stage.publish(2, "never journalled")
    stage.hub.unsettle(stage.lobby)
    stage.publish(2, "new two", epoch="e2")
    stage.hub.place(stage.lobby, StreamPosition("e2", 2))
    assert stage.fetched[-1] is stage.lobby
    run = Run(1, items_of("new one", "new two"))
    stage.hub.publications.repair(stage.lobby, StreamPosition("e2", 2), run)
    await turn()
    assert heard(alice) == ["one", "never journalled", "lost e2 0-1", "new one", "new two"]
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


@pytest.mark.parametrize("met", ["when it was ordered in", "by an announce since"])
async def test_who_is_let_in_behind_what_was_passed_on_comes_back(stage: Stage, met: str) -> None:
    """The owner did not know that it was none any more; the next one has published since."""
    if met == "when it was ordered in":
        stage.enter("alice", 4)
        stage.publish(5, "five")
    bob = stage.join("bob", origin=1)
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 5))
    carol = stage.join("carol")
    assert not stage.joined(bob, 4)
    assert connection_of(bob).disconnect == OUTRUN
    assert bob.memberships is None
    assert stage.joined(carol, 5)
    assert stage.hub.counters["outrun"] == 1


async def test_who_is_let_in_in_a_former_epoch_comes_back(stage: Stage) -> None:
    """What was published in this one before we met it is for it as well."""
    bob = stage.join("bob", origin=1)
    stage.hub.place(stage.lobby, StreamPosition("e2", 1))
    assert stage.joined(bob, 4)
    stage.hub.place(stage.lobby, StreamPosition("e2", 1))
    assert connection_of(bob).disconnect == OUTRUN


async def test_who_is_let_in_where_another_epoch_ended_is_not_outrun(stage: Stage) -> None:
    stage.enter("alice", 5)
    bob = stage.join("bob")
    assert stage.joined(bob, 0, epoch="e2")
    assert connection_of(bob).disconnect is None


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


async def test_followers_are_counted_even_when_their_channels_are_gone(stage: Stage) -> None:
    alice = stage.enter("alice", channel="kitchen")
    stage.enter("bob")
    for channel in (LOBBY, "kitchen"):
        stage.publish(1, "one", channel=channel)
        stage.publish(1, "one", channel=channel)
        stage.publish(1, "stranger", epoch="e0", channel=channel)
    stage.hub.publications.repair(stage.lobby, StreamPosition(EPOCH, 5), Run(6, ()))
    stage.hub.leave(alice, "kitchen")
    totals = stage.hub.totals()
    assert [totals[f"items_{what}"] for what in ("dropped", "repeated", "lost")] == [2, 2, 4]
    assert stage.hub.totals() == totals


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
    dan = stage.join("dan", origin=7)
    stage.hub.abandon(OWNER)
    closed = [connection_of(who).disconnect for who in (alice, bob, carol, dan)]
    assert closed == [None, OUTRUN, None, None]
    assert {m.uid for m in stage.lobby.memberships} == {"alice", "carol"}
    assert not stage.joined(bob, 0)
    assert stage.lost == []
    stage.publish(1, "one")
    await turn()
    assert heard(alice) == ["one"]


async def test_an_undone_join_is_not_the_one_that_another_owner_ordered_since(stage: Stage) -> None:
    alice, bob = stage.join("alice"), stage.join("bob")
    stage.hub.join(alice, LOBBY, "alice", "chat-3", b"a later token", 0)
    for session in (alice, bob):
        stage.hub.undo(session, LOBBY, f"token {session.id}".encode())
        stage.hub.undo(session, "elsewhere", b"token")
    assert stage.joined(alice, owner="chat-3")
    assert not stage.joined(bob)
    stage.hub.undo(alice, LOBBY, b"a later token")  # given up after it was admitted
    assert not alice.memberships


async def test_closing_without_a_channel_is_nothing(stage: Stage) -> None:
    session = stage.open()
    stage.close(session)
    stage.hub.leave(session, LOBBY)
    stage.hub.answered(session)
    assert stage.lost == []


# Tokens


async def test_tokens_are_repeated_to_their_owner_while_they_are_waited_for(stage: Stage) -> None:
    alice, bob, carol = stage.enter("alice"), stage.join("bob"), stage.join("carol")
    assert stage.subscriber.asked[-1] == ("token", b"token 3 1"), "with the list that is known"
    stage.hub.join(carol, LOBBY, "carol", "chat-server-2", b"of another owner", 0)
    stage.join("alice", session=alice)  # live, and ordered in again
    stage.subscriber.asked.clear()
    stage.hub.repeat_tokens(OWNER)
    assert {token for _, token in stage.subscriber.asked} == {
        f"token {alice.id}".encode(),
        f"token {bob.id} 1".encode(),
    }
    for session in (alice, bob):
        stage.joined(session)
    stage.subscriber.asked.clear()
    stage.hub.repeat_tokens(OWNER)
    assert stage.subscriber.asked == []


# Lists in parts


async def test_a_newcomers_list_goes_on_from_the_roster_that_there_was(stage: Stage) -> None:
    alice = stage.enter("alice", version=4, uids=["alice", "eve"])
    bob = stage.join("bob")
    assert stage.subscriber.asked[-1] == ("token", b"token 2 4")
    stage.presence(5, "carol")
    stage.presence(6, "eve", False)
    stage.joined(bob, version=6, uids=["carol", "bob"], gone=["eve"])
    stage.presence(7, "bob")
    stage.presence(8, "eve")
    await turn()
    assert heard(alice) == ["+carol", "-eve", "+bob", "+eve"]
    assert heard(bob) == ["+eve"]
    assert stage.lobby.apart == {}
    (membership,) = (bob.memberships or {}).values()
    assert membership.base is None


async def test_a_part_of_a_list_is_for_the_order_that_asked_for_it(stage: Stage) -> None:
    """bob left while his order was under way, and was ordered in again."""
    stage.enter("alice")
    bob = stage.join("bob")
    stage.hub.leave(bob, LOBBY)
    stage.hub.join(bob, LOBBY, "bob", OWNER, b"second", 0)
    assert stage.joined(bob, uids=["bob"], gone=[]), "an answer to come says more"
    (membership,) = (bob.memberships or {}).values()
    assert position_of(bob) is None
    stage.joined(bob, uids=["bob"], gone=[], token=b"second")
    assert position_of(bob) == StreamPosition(EPOCH, 0)
    assert membership.differs == set()


def position_of(session: Session) -> StreamPosition | None:
    (membership,) = (session.memberships or {}).values()
    return membership.position


# Pushes that are no publications


async def test_a_push_is_for_live_members_and_has_no_place(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.enter("bob", uids=["alice", "bob"])
    carol = stage.join("carol", origin=7)
    for audience in (None, ("bob", "carol")):
        stage.hub.on_frame(LOBBY, encode_frame(Pushed(b"ping", audience)))
    stage.joined(carol, uids=["alice", "bob", "carol"])
    stage.answer(carol, 7)
    await turn()
    assert heard(alice) == ["ping"]
    assert heard(bob) == ["ping", "ping"]
    assert heard(carol) == ["answer 7"]
