"""What a member has, what is held for it, and what it is told of who comes and goes."""

from __future__ import annotations

import pytest

from tests.frontend.audience import change
from zchat.frontend.standing import Held, Standing
from zchat.rooms.stream import StreamPosition


def held(epoch: str, offset: int) -> Held:
    return epoch, offset, None, b"%d" % offset


def held_change(version: int, uid: str, joined: bool = True, epoch: str = "e") -> Held:
    told = change(version, uid, joined, epoch=epoch)
    return epoch, 0, told, told.package


def shown(joined: Standing) -> list[str]:
    return [entry[3].decode() for entry in joined.held or ()]


def test_who_is_not_admitted_wants_nothing() -> None:
    assert not Standing("alice").wants(held("e", 1))
    assert not Standing("alice").wants(held_change(1, "bob"))


def test_a_member_wants_what_came_after_it() -> None:
    joined = Standing("alice")
    joined.position, joined.version = StreamPosition("e", 5), 3
    assert joined.wants(held("e", 6))
    assert joined.wants(held_change(4, "bob"))
    assert not any(joined.wants(held(*entry)) for entry in [("e", 5), ("e", 1), ("f", 6)])


def test_a_new_epoch_is_all_for_who_was_there() -> None:
    joined = Standing("alice")
    joined.position, joined.version = StreamPosition("e", 5), 3
    entries = [("e", 5), ("e", 6), ("f", 1), ("g", 9)]
    joined.held = [*(held(*entry) for entry in entries), held_change(4, "bob")]
    joined.begin("f")
    assert (joined.position, joined.version) == (StreamPosition("f", 0), 0)
    assert shown(joined) == ["6", "1", "+bob"]
    assert all(joined.wants(entry) for entry in joined.held)


def test_the_same_epoch_changes_nothing() -> None:
    not_admitted, joined = Standing("alice"), Standing("alice")
    not_admitted.begin("e")
    assert not_admitted.position is None
    joined.position, joined.version, joined.held = StreamPosition("e", 5), 3, [held("e", 1)]
    joined.begin("e")
    assert (joined.position, joined.version) == (StreamPosition("e", 5), 3)
    assert joined.held == [held("e", 1)]


# What its client knows of the others


def test_of_what_was_held_only_what_the_list_lacks_is_told() -> None:
    joined = Standing("alice")
    joined.held = [
        held_change(3, "bob"),
        held("e", 6),
        held_change(4, "bob", False),
        held_change(5, "carol"),
        held_change(6, "carol", False),
    ]
    joined.take_list(["alice", "carol"], 3, {"alice", "dave"})
    assert shown(joined) == ["6", "-carol"]
    assert (joined.version, joined.differs) == (3, {"dave"})


def test_versions_of_another_owner_say_nothing() -> None:
    joined = Standing("alice")
    joined.held = [held_change(3, "bob"), held_change(4, "carol")]
    joined.take_list(["alice", "carol"], 0, {"bob", "carol"})
    assert shown(joined) == ["+bob"]
    assert joined.differs == set()


@pytest.mark.parametrize(
    ("version", "uid", "joined", "known", "told", "differs"),
    [
        (5, "eve", True, False, True, {"bob"}),  # news
        (5, "eve", False, False, False, {"bob"}),  # it knows, as the roster does
        (5, "bob", True, False, False, set()),  # it knew that bob is here, and the roster did not
        (5, "bob", False, False, True, set()),  # bob is not here after all
        (2, "eve", True, False, False, {"bob", "eve"}),  # in its list eve has gone again
        (2, "bob", True, False, False, set()),  # its list has it, the roster has it now
        (2, "bob", False, False, False, {"bob"}),
        (3, "bob", False, False, True, set()),
        (5, "alice", False, True, False, {"bob"}),  # nobody is told of themselves
    ],
)
def test_a_change_is_told_to_who_does_not_know(
    version: int,
    uid: str,
    joined: bool,
    known: bool,
    told: bool,
    differs: set[str],
) -> None:
    alice = Standing("alice")
    alice.take_list(["alice", "bob"], 3, {"alice"})
    assert alice.differs == {"bob"}
    assert alice.take(change(version, uid, joined), known) is told
    assert alice.differs == differs


def test_in_doubt_its_list_is_of_no_version() -> None:
    not_admitted, joined = Standing("alice"), Standing("alice")
    for one in (not_admitted, joined):
        one.version, one.held = 3, [held("e", 6), held_change(4, "bob")]
    joined.position, joined.differs = StreamPosition("e", 5), {"carol"}
    for one in (not_admitted, joined):
        one.doubt()
    assert shown(not_admitted) == ["6"], "its list is still to come"
    assert (shown(joined), joined.version, joined.differs) == (["6", "+bob"], 0, {"carol"})
