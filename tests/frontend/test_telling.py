"""Who came and who went, as the members of a channel are told."""

from __future__ import annotations

import asyncio

import pytest

from tests.frontend.audience import Stage, change, connection_of, heard


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def turn() -> None:
    """Let what was scheduled for the end of this turn run."""
    await asyncio.sleep(0)


async def test_the_changes_of_a_frame_reach_each_in_one_write(stage: Stage) -> None:
    alice = stage.enter("alice")
    zoe = stage.enter("zoe", differences=True)
    stage.crowd(change(2, "bob"), change(3, "carol"), change(4, "bob", False), change(5, "dave"))
    await turn()
    assert heard(alice) == ["+carol", "+dave"]
    assert heard(zoe) == ["diff +carol +dave"]
    assert [len(connection_of(session).writes) for session in (alice, zoe)] == [1, 1]


async def test_one_change_is_a_difference_too(stage: Stage) -> None:
    zoe = stage.enter("zoe", differences=True)
    stage.presence(2, "bob")
    stage.presence(3, "bob", False)
    await turn()
    assert heard(zoe) == ["diff +bob", "diff -bob"]


async def test_who_does_not_ask_for_them_is_sent_no_differences(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.presence(2, "bob", package="")
    await turn()
    assert heard(alice) == [], "the application has no push for it"


async def test_differences_are_told_without_a_push_of_the_application(stage: Stage) -> None:
    zoe = stage.enter("zoe", differences=True)
    stage.presence(2, "bob", package="")
    await turn()
    assert heard(zoe) == ["diff +bob"]


@pytest.mark.parametrize("differences", [False, True])
async def test_who_came_and_went_within_a_frame_did_neither(
    stage: Stage, differences: bool
) -> None:
    alice = stage.enter("alice", differences=differences)
    stage.crowd(change(2, "bob"), change(3, "bob", False))
    await turn()
    assert heard(alice) == []
    assert (stage.lobby.roster.uids, stage.lobby.roster.version) == ({"alice"}, 3)


async def test_nobody_is_told_of_oneself(stage: Stage) -> None:
    first = stage.enter("zoe", differences=True)
    second = stage.enter("zoe", differences=True)
    alice = stage.enter("alice", uids=["zoe", "alice"])
    stage.crowd(change(2, "zoe", False), change(3, "bob"))
    await turn()
    assert heard(first) == heard(second) == ["diff +bob"]
    assert heard(alice) == ["-zoe", "+bob"]


async def test_newcomers_of_a_frame_are_told_what_came_after_them(stage: Stage) -> None:
    alice = stage.enter("alice", differences=True)
    bob = stage.enter("bob", version=2, uids=["alice", "bob"], differences=True)
    carol = stage.enter("carol", version=3, uids=["alice", "bob", "carol"])
    dave = stage.join("dave", origin=7, differences=True)
    stage.joined(dave, version=4, uids=["alice", "bob", "carol", "dave"])
    stage.crowd(*(change(n, uid) for n, uid in enumerate(["bob", "carol", "dave", "eve"], 2)))
    stage.answer(dave, 7)
    await turn()
    assert heard(alice) == ["diff +bob +carol +dave +eve"]
    assert heard(bob) == ["diff +carol +dave +eve"]
    assert heard(carol) == ["+dave", "+eve"]
    assert heard(dave) == ["answer 7", "diff +eve"]
    assert stage.lobby.apart == {}


async def test_what_is_held_for_who_is_not_admitted_is_held_against_its_list(
    stage: Stage,
) -> None:
    stage.enter("alice")
    zoe = stage.join("zoe", origin=7, differences=True)
    stage.crowd(change(2, "bob"), change(3, "carol"), change(4, "bob", False))
    stage.joined(zoe, version=3, uids=["alice", "bob", "carol", "zoe"])
    stage.answer(zoe, 7)
    assert heard(zoe) == ["answer 7", "diff -bob"]


async def test_what_is_told_stands_behind_what_was_said_before(stage: Stage) -> None:
    alice = stage.enter("alice", differences=True)
    stage.enter("bob", version=3, uids=["alice", "eve", "bob"])
    stage.publish(1, "one")
    stage.crowd(change(2, "eve"), change(3, "bob"))
    stage.publish(2, "two")
    await turn()
    assert heard(alice) == ["one", "diff +eve +bob", "two"]


async def test_what_is_lost_between_frames_is_asked_for_and_told_together(stage: Stage) -> None:
    zoe = stage.enter("zoe", differences=True)
    stage.crowd(change(4, "dave"), change(5, "eve"))
    assert stage.compared == [stage.lobby]
    assert (stage.lobby.roster.version, stage.lobby.roster.heard) == (1, 5)
    assert stage.hub.counters["presence_gaps"] == 1
    missed = [change(n, uid) for n, uid in enumerate(["bob", "carol", "dave", "eve"], 2)]
    stage.hub.rosters.compared(stage.lobby, 5, missed, 1, 5)
    await turn()
    assert heard(zoe) == ["diff +bob +carol +dave +eve"]


async def test_a_frame_may_be_known_in_part(stage: Stage) -> None:
    zoe = stage.enter("zoe", version=3, uids=["bob", "carol", "zoe"], differences=True)
    stage.crowd(change(2, "bob"), change(3, "carol"), change(4, "dave"))
    await turn()
    assert heard(zoe) == ["diff +dave"]
    assert stage.hub.counters["old_presence"] == 2
