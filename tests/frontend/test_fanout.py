"""Writes of a turn, what is held, and its bound."""

from __future__ import annotations

import asyncio

import pytest

from tests.frontend.audience import LOBBY, OWNER, Stage, connection_of, heard
from zchat.frontend.disconnect import SLOW_READER


@pytest.fixture
def stage() -> Stage:
    return Stage()


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


async def test_channels_of_a_turn_do_not_mix(stage: Stage) -> None:
    alice, bob = stage.enter("alice"), stage.enter("bob", channel="kitchen")
    stage.publish(1, "one")
    stage.publish(1, "uno", channel="kitchen")
    stage.publish(2, "two")
    await turn()
    assert (heard(alice), heard(bob)) == (["one", "two"], ["uno"])
