"""A channel with members on this frontend."""

from __future__ import annotations

import pytest

from tests.frontend.audience import LOBBY, OWNER, Stage
from zchat.frontend.local_channel import LocalChannel, Readers
from zchat.frontend.session import Base


def test_a_new_one_knows_nothing() -> None:
    local = LocalChannel(LOBBY, OWNER)
    assert (local.name, local.owner, local.placed, local.memberships) == (LOBBY, OWNER, False, [])
    assert local.follower.position is None
    assert local.roster.behind


async def test_its_members_are_those_who_join_and_those_who_are_live() -> None:
    stage = Stage()
    stage.enter("alice")
    stage.join("bob")
    assert [membership.uid for membership in stage.lobby.memberships] == ["bob", "alice"]


async def test_it_is_behind_only_while_it_has_a_place() -> None:
    stage = Stage()
    stage.enter("alice")
    states = [stage.lobby.is_behind]
    stage.lobby.roster.hear(9)
    states.append(stage.lobby.is_behind)
    stage.hub.unsettle(stage.lobby)
    assert [*states, stage.lobby.is_behind] == [False, True, False]


async def test_an_owner_need_not_tell_what_is_known_of_its_list() -> None:
    stage = Stage()
    stage.join("bob")
    assert stage.lobby.base(OWNER, b"t") is None, "nobody here has a list"
    stage.enter("alice", version=7)
    assert stage.lobby.base(OWNER, b"t") == Base(b"t", 7, frozenset({"alice"}))
    assert stage.lobby.base("another", b"t") is None
    stage.hub.unsettle(stage.lobby)
    assert stage.lobby.base(OWNER, b"t") is None, "it may count anew"


@pytest.mark.parametrize("others", [3, 100])
async def test_members_are_found_by_their_uids(others: int) -> None:
    """In a small room by looking at each, in a large one by an index, which follows them."""
    stage = Stage()
    alice = [stage.enter("alice"), stage.enter("alice")]
    for number in range(others):
        stage.enter(f"person{number}")

    def found(*uids: str) -> frozenset[int]:
        return stage.lobby.readers(uids).sessions

    assert found("alice", "nobody") == {session.id for session in alice}
    bob = stage.join("bob")
    assert found("bob", "alice") == {bob.id, *(session.id for session in alice)}
    stage.hub.leave(alice[0], LOBBY)
    assert found("alice") == {alice[1].id}
    stage.hub.leave(alice[1], LOBBY)
    assert found("alice") == frozenset()
    assert found("bob") == {bob.id}


def test_readers_are_some_or_all_but_some() -> None:
    some, others = Readers(frozenset({1, 2})), Readers(frozenset({1, 2}), but=True)
    assert [session in some for session in (1, 2, 3)] == [True, True, False]
    assert [session in others for session in (1, 2, 3)] == [False, False, True]
