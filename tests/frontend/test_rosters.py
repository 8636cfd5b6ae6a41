"""Members are told who comes and goes: what they do not know, once, and whatever was lost."""

from __future__ import annotations

import asyncio

import pytest

from tests.frontend.audience import EPOCH, Stage, change, heard
from zchat.rooms.stream import StreamPosition


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def turn() -> None:
    """Let what was queued in this turn be written."""
    await asyncio.sleep(0)


async def test_nobody_is_told_of_themselves(stage: Stage) -> None:
    alice = stage.enter("alice")
    bob, again = stage.enter("bob"), stage.enter("bob")
    stage.presence(2, "bob")
    await turn()
    assert heard(alice) == ["+bob"]
    assert heard(bob) == heard(again) == []


async def test_a_change_is_told_once(stage: Stage) -> None:
    alice = stage.enter("alice")
    for version in (2, 3, 3, 2, 4):
        stage.presence(version, f"v{version}")
    stage.presence(5, "elsewhere", epoch="e0")
    await turn()
    assert heard(alice) == ["+v2", "+v3", "+v4"]
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
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 0), version=3)
    stage.presence(2, "bob")
    stage.presence(3, "carol")
    stage.hub.rosters.compared(stage.lobby, 3, [change(2, "bob"), change(3, "carol")], 1, 3)
    await turn()
    assert heard(alice) == ["+bob", "+carol"]
    assert not stage.lobby.roster.behind


async def test_a_change_without_a_push_only_counts(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.presence(2, "bob", package="")
    stage.presence(2, "bob")
    await turn()
    assert heard(alice) == []


async def test_changes_keep_their_place_among_publications(stage: Stage) -> None:
    alice = stage.enter("alice")
    bob = stage.join("bob", origin=1)
    stage.joined(bob)
    stage.publish(1, "one")
    stage.presence(2, "carol")
    stage.publish(2, "two")
    stage.answer(bob, 1)
    await turn()
    assert heard(alice) == ["one", "+carol", "two"]
    assert heard(bob) == ["answer 1", "one", "+carol", "two"]


# Changes that were lost


async def test_after_a_lost_change_the_rest_comes_from_the_owner(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.presence(2, "bob")
    stage.presence(4, "dave")  # the third is lost
    stage.presence(5, "eve")
    await turn()
    assert heard(alice) == ["+bob"]
    assert stage.compared == [stage.lobby, stage.lobby]
    missed = [change(3, "carol"), change(4, "dave"), change(5, "eve")]
    stage.hub.rosters.compared(stage.lobby, 5, missed, 2, 5)
    stage.presence(6, "bob", False)
    await turn()
    assert heard(alice) == ["+bob", "+carol", "+dave", "+eve", "-bob"]
    assert stage.hub.counters["presence_gaps"] == 2


async def test_a_change_that_came_while_the_owner_was_asked_is_asked_for_too(stage: Stage) -> None:
    stage.enter("alice")
    stage.presence(3, "carol")
    stage.presence(4, "dave")
    stage.hub.rosters.compared(stage.lobby, 3, [change(2, "bob"), change(3, "carol")], 1, 3)
    assert stage.lobby.roster.behind
    stage.hub.rosters.compared(stage.lobby, 4, [change(4, "dave")], 3, 4)
    assert not stage.lobby.roster.behind


async def test_an_answer_for_a_roster_that_has_moved_is_used_only_if_it_goes_on_from_there(
    stage: Stage,
) -> None:
    alice = stage.enter("alice")
    stage.presence(2, "bob")
    stage.hub.rosters.compared(
        stage.lobby, 9, [change(9, "eve")], 1, 9
    )  # the difference to what was
    assert (stage.lobby.roster.version, stage.lobby.roster.behind) == (2, False)
    missed = [change(2, "bob"), change(3, "carol")]
    stage.hub.rosters.compared(stage.lobby, 3, missed, 1, 3)
    await turn()
    assert heard(alice) == ["+bob", "+carol"]


# Lists that are not the roster


async def test_who_came_in_with_a_later_list_is_told_what_is_missing_in_it(stage: Stage) -> None:
    """carol left with 2 and came back with 3; both were lost, and bob came in between."""
    alice = stage.enter("alice", version=1, uids=["alice", "carol"])
    bob = stage.enter("bob", version=2, uids=["alice", "bob"])
    late = stage.join("late", origin=1)
    stage.joined(late, version=2, uids=["alice", "late"])
    eve = stage.enter("eve", version=4, uids=["alice", "carol", "eve"])
    stage.presence(4, "eve")
    missed = [change(2, "carol", False), change(3, "carol"), change(4, "eve")]
    stage.hub.rosters.compared(stage.lobby, 4, missed, 1, 4)
    stage.answer(late, 1)
    await turn()
    assert heard(alice) == ["+eve"], "carol is where she was"
    assert heard(bob) == ["+carol", "+eve"]
    assert heard(late) == ["answer 1", "+carol", "+eve"]
    assert heard(eve) == []
    assert stage.lobby.apart == {}


async def test_a_new_owner_tells_what_differs_and_nobody_hears_twice(stage: Stage) -> None:
    """bob has the new owner's list, which lacks carol: she was claimed after it."""
    alice = stage.enter("alice", version=9, uids=["alice", "carol", "dave"])
    stage.hub.unsettle(stage.lobby)
    stage.presence(101, "bob")
    bob = stage.enter("bob", version=101, uids=["alice", "dave", "bob"])
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 0), version=101)
    assert stage.lobby.roster.version == 0
    assert stage.compared[-1] is stage.lobby
    assert stage.lobby.doubtful == {"carol"}
    told = [change(102, "dave", False), change(102, "bob"), change(102, "carol")]
    stage.hub.rosters.compared(stage.lobby, 102, told, 0, 101)
    await turn()
    assert heard(alice) == ["-dave", "+bob"]
    assert heard(bob) == ["-dave", "+carol"]
    assert stage.lobby.roster.uids == {"alice", "bob", "carol"}
    assert (stage.lobby.apart, stage.lobby.is_behind) == ({}, False)


async def test_what_an_owner_had_told_only_a_newcomer_dies_with_it(stage: Stage) -> None:
    """carol had come and dave had gone, which nobody else heard of; the next owner disagrees."""
    alice = stage.enter("alice", version=4, uids=["alice", "dave"])
    bob = stage.enter("bob", version=7, uids=["alice", "bob", "carol"])
    stage.hub.unsettle(stage.lobby)
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 0), version=100)
    assert stage.lobby.doubtful == {"carol", "dave"}
    told = [change(100, "carol", False), change(100, "bob"), change(100, "dave")]
    stage.hub.rosters.compared(stage.lobby, 100, told, 0, 100)
    await turn()
    assert heard(alice) == ["+bob"]
    assert heard(bob) == ["-carol", "+dave"]
    assert not stage.lobby.is_behind


async def test_a_late_list_of_the_old_owner_is_compared_with_the_new_one(stage: Stage) -> None:
    alice = stage.enter("alice", version=4, uids=["alice"])
    bob = stage.join("bob", origin=1)
    stage.hub.unsettle(stage.lobby)
    stage.lobby.owner = "chat-server-2"
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 0), version=100)
    stage.hub.rosters.compared(stage.lobby, 100, [change(100, "carol")], 0, 100)
    stage.presence(101, "dave")
    assert not stage.lobby.is_behind
    stage.compared.clear()
    stage.joined(bob, version=990, uids=["alice", "bob", "carol", "eve"])
    assert stage.lobby.doubtful == {"eve"}
    assert stage.compared == [stage.lobby]
    stage.hub.rosters.compared(stage.lobby, 101, [change(101, "eve", False)], 101, 101)
    stage.answer(bob, 1)
    await turn()
    assert heard(alice) == ["+carol", "+dave"]
    assert heard(bob) == ["answer 1", "+dave", "-eve"]


async def test_the_first_members_list_may_be_the_old_owners(stage: Stage) -> None:
    """The new owner answered before it: then there was nobody here to tell anything."""
    bob = stage.join("bob", origin=1)
    stage.lobby.owner = "chat-server-2"
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 0), version=100)
    stage.hub.rosters.compared(stage.lobby, 100, [change(100, "carol")], 0, 100)
    stage.joined(bob, version=50, uids=["bob", "carol", "eve"])
    stage.hub.rosters.compared(stage.lobby, 100, [change(100, "eve", False)], 100, 100)
    stage.answer(bob, 1)
    await turn()
    assert heard(bob) == ["answer 1", "-eve"]


async def test_who_is_let_in_again_gets_the_new_list_and_then_what_follows_it(
    stage: Stage,
) -> None:
    """Its first request was answered with an error, and it was in all the same."""
    alice = stage.join("alice", origin=1)
    stage.joined(alice, 0, version=1, uids=["alice"])
    stage.answer(alice, 1)
    stage.presence(2, "bob")
    stage.publish(1, "one")
    stage.join("alice", session=alice, origin=2)
    stage.presence(3, "carol")
    stage.publish(2, "two")
    stage.joined(alice, 2, version=4, uids=["alice", "bob", "carol", "dave"])
    stage.presence(4, "dave")
    stage.presence(5, "eve")
    await turn()
    assert heard(alice) == ["answer 1", "+bob", "one"]
    stage.answer(alice, 2)
    await turn()
    assert heard(alice)[3:] == ["answer 2", "two", "+eve"]
    assert (stage.lobby.apart, set(stage.lobby.live)) == ({}, {alice.id})


async def test_who_is_not_let_in_again_goes_on(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.join("alice", session=alice, origin=2)
    stage.presence(2, "carol")
    stage.publish(1, "one")
    stage.answer(alice, 2)
    stage.publish(2, "two")
    await turn()
    assert heard(alice) == ["answer 2", "+carol", "one", "two"]


async def test_changes_before_the_channel_has_its_place_are_asked_for(stage: Stage) -> None:
    alice = stage.join("alice")
    stage.presence(6, "bob")
    stage.joined(alice, 2, version=5)
    assert stage.compared == [stage.lobby]
    stage.hub.rosters.compared(stage.lobby, 6, [change(6, "bob")], 5, 6)
    await turn()
    assert heard(alice) == ["+bob"]
