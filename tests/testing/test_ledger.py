"""One place for each publication, one publication for each place."""

from __future__ import annotations

from math import inf

from zchat.testing.events import Sent
from zchat.testing.ledger import Ledger
from zchat.testing.verdict import Kind


def ledger() -> Ledger:
    """ann said 1 to all, 2 to bob, 3 to all."""
    ledger = Ledger("r")
    for offset, to in ((1, None), (2, ("bob",)), (3, None)):
        ledger.sent[f"a{offset}"] = Sent(0.0, "ann", "r", f"a{offset}", to)
        assert ledger.claim(f"a{offset}", "e", offset, 0.0, "ann") is None
    return ledger


def test_claims_agree() -> None:
    room = ledger()
    assert room.claim("a1", "e", 1, 0.0, "bob") is None
    clash = room.claim("a9", "e", 1, 0.0, "bob")
    moved = room.claim("a1", "e", 4, 0.0, "bob")
    assert clash is not None
    assert moved is not None
    assert (clash.kind, moved.kind) == (Kind.CLASH, Kind.MOVED)
    assert ("e", 4) not in room.places


def test_what_is_owed() -> None:
    room = ledger()
    assert sorted(room.owed("bob", "e", 0, inf)) == [1, 2, 3]
    assert sorted(room.owed("ann", "e", 0, inf)) == [1, 3]
    assert sorted(room.owed("bob", "e", 1, 2)) == [2]
    assert sorted(room.owed("bob", "f", 0, inf)) == []


def test_who_may_see_it() -> None:
    room = ledger()
    assert [room.may_see("a2", name) for name in ("ann", "bob", "cho")] == [True, True, False]
    assert room.may_see("a1", "cho")


def test_epochs_are_numbered_as_they_are_heard_of() -> None:
    room = Ledger("r")
    assert [room.number(epoch) for epoch in ("x", "b", "x", "a")] == [0, 1, 0, 2]
