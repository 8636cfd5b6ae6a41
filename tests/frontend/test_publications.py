"""Publications come in order and once, and what cannot be had any more is told in its place."""

from __future__ import annotations

import asyncio

import pytest

from tests.frontend.audience import EPOCH, Stage, heard, items_of
from zchat.rooms.follower import Run
from zchat.rooms.stream import StreamPosition


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def turn() -> None:
    """Let what was queued in this turn be written."""
    await asyncio.sleep(0)


# Order, repeats, gaps


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
    stage.hub.publications.repair(
        stage.lobby, StreamPosition(EPOCH, 3), Run(2, items_of("two", "three"))
    )
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
    stage.hub.publications.repair(stage.lobby, StreamPosition(EPOCH, 2), Run(1, items_of("one")))
    stage.answer(bob, 1)
    assert heard(bob) == ["answer 1", "one", "two"]


async def test_what_the_owner_has_no_more_keeps_nobody_waiting(stage: Stage) -> None:
    alice = stage.enter("alice")
    bob = stage.join("bob")
    stage.joined(bob, 5)
    stage.hub.publications.repair(stage.lobby, StreamPosition(EPOCH, 5), Run(6, ()))
    assert set(stage.lobby.live) == {alice.id, bob.id}
    stage.publish(6, "six")
    await turn()
    assert heard(alice) == ["lost e1 0-6", "six"]
    assert heard(bob) == ["six"]  # it came in after what is lost


async def test_frames_of_another_epoch_are_dropped(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.publish(1, "stranger", epoch="e0")
    stage.publish(1, "one")
    await turn()
    assert heard(alice) == ["one"]
    assert stage.lobby.follower.dropped == 1


# Holes


async def test_a_hole_is_told_in_its_place(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.join("bob", origin=1)
    stage.joined(bob, 1)
    carol = stage.join("carol", origin=1)
    stage.publish(1, "one")
    stage.publish(5, "five")
    stage.joined(carol, 4)
    stage.hub.publications.repair(
        stage.lobby, StreamPosition(EPOCH, 5), Run(4, items_of("four", "five"))
    )
    for session in (bob, carol):
        stage.answer(session, 1)
    await turn()
    assert heard(alice) == ["one", "lost e1 1-4", "four", "five"]
    assert heard(bob) == ["answer 1", "lost e1 1-4", "four", "five"]
    assert heard(carol) == ["answer 1", "five"]
    assert stage.hub.counters["history_lost"] == 1


async def test_a_hole_at_the_end_is_told(stage: Stage) -> None:
    alice = stage.enter("alice", 3)
    stage.hub.publications.repair(stage.lobby, StreamPosition(EPOCH, 9), Run(10, ()))
    await turn()
    assert heard(alice) == ["lost e1 3-10"]


async def test_a_new_epoch_is_told_to_those_who_were_there_before(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.join("bob", origin=1)
    carol = stage.join("carol", origin=1)
    stage.joined(bob)
    stage.hub.unsettle(stage.lobby)
    stage.joined(carol, 0, epoch="e2")
    stage.hub.place(stage.lobby, StreamPosition("e2", 0))
    stage.hub.place(stage.lobby, StreamPosition("e2", 0))
    dave = stage.enter("dave", epoch="e2")
    for session in (bob, carol):
        stage.answer(session, 1)
    await turn()
    assert heard(alice) == ["lost e2 0-1"]
    assert heard(bob) == ["answer 1", "lost e2 0-1"]
    assert heard(carol) == ["answer 1"]
    assert heard(dave) == []
    assert stage.hub.counters["history_lost"] == 1


async def test_an_epoch_may_begin_after_an_offset_and_is_told_once(stage: Stage) -> None:
    """Its numbers go on from where the last one's ended."""
    alice, bob = stage.enter("alice", 4), stage.join("bob", origin=1)
    stage.joined(bob, 4)
    stage.hub.unsettle(stage.lobby)
    stage.publish(6, "six", epoch="e2")
    stage.hub.place(stage.lobby, StreamPosition("e2", 6))
    carol = stage.enter("carol", 6, epoch="e2")
    stage.hub.unsettle(stage.lobby)
    stage.hub.place(stage.lobby, StreamPosition("e2", 6))
    assert stage.fetched[-1] is stage.lobby
    stage.hub.publications.repair(stage.lobby, StreamPosition("e2", 6), Run(5, items_of("five")))
    stage.hub.publications.repair(stage.lobby, StreamPosition("e2", 6), Run(6, items_of("six")))
    stage.publish(7, "seven", epoch="e2")
    stage.answer(bob, 1)
    await turn()
    assert heard(alice) == ["lost e2 0-5", "five", "six", "seven"]
    assert heard(bob) == ["answer 1", "lost e2 0-5", "five", "six", "seven"]
    assert heard(carol) == ["seven"]
    assert stage.hub.counters["history_lost"] == 1


async def test_an_epoch_without_publications_is_told_once(stage: Stage) -> None:
    alice = stage.enter("alice", 4)
    stage.hub.unsettle(stage.lobby)
    stage.hub.place(stage.lobby, StreamPosition("e2", 4))
    stage.hub.publications.repair(stage.lobby, StreamPosition("e2", 4), Run(5, ()))
    stage.publish(5, "five", epoch="e2")
    await turn()
    assert heard(alice) == ["lost e2 0-5", "five"]


async def test_an_owner_that_goes_on_in_its_epoch_has_lost_nothing(stage: Stage) -> None:
    alice = stage.enter("alice")
    stage.hub.unsettle(stage.lobby)
    stage.hub.place(stage.lobby, StreamPosition(EPOCH, 0))
    await turn()
    assert heard(alice) == []
