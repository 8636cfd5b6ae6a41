"""A channel with members on this frontend."""

from __future__ import annotations

from tests.frontend.audience import LOBBY, OWNER, Stage
from zchat.frontend.local_channel import LocalChannel


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
