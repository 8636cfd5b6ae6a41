"""The journal against what was acknowledged; more of it is in test_checker.py."""

from __future__ import annotations

from zchat.testing.audit import audit
from zchat.testing.events import Acked, Journalled, Sent
from zchat.testing.ledger import Ledger


def ledger() -> Ledger:
    """a1 and a2 are acknowledged, a3 is not."""
    ledger = Ledger("r")
    for offset in (1, 2, 3):
        id_ = f"a{offset}"
        ledger.sent[id_] = Sent(0.0, "ann", "r", id_)
        if offset < 3:
            ledger.acked[id_] = Acked(1.0, "ann", "r", id_, "e", offset)
            ledger.claim(id_, "e", offset, 1.0, "ann")
    return ledger


def texts(*entries: Journalled, kept: int | None = None) -> list[str]:
    problems, _ = audit({"r": ledger()}, entries, kept)
    return [problem.text for problem in problems]


def entry(offset: int, id_: str = "", sender: str = "ann", epoch: str = "e") -> Journalled:
    return Journalled("r", epoch, offset, id_ or f"a{offset}", sender)


def test_exactly_the_acknowledged_or_one_more() -> None:
    assert audit({"r": ledger()}, [entry(1), entry(2)], None) == ([], 0)
    assert audit({"r": ledger()}, [entry(1), entry(2), entry(3)], None) == ([], 1)


def test_what_is_not_there() -> None:
    assert texts(entry(1)) == ["r a2 at e:2"]
    assert texts(entry(2), kept=1) == []
    assert texts() == ["r a1 at e:1", "r a2 at e:2"]


def test_what_is_there_and_should_not() -> None:
    assert texts(entry(1), entry(2), entry(3, "x")) == [
        "the journal of r has x from ann, which nobody sent so"
    ]
    assert texts(entry(1), entry(2, sender="bob")) == [
        "the journal of r has a2 from bob, which nobody sent so"
    ]


def test_another_place_than_the_acknowledged() -> None:
    assert texts(entry(1), entry(2, epoch="f")) == ["r a2 is at e:2, and at f:2 for the journal"]


def test_one_numbering() -> None:
    assert texts(entry(1), entry(2), entry(4, "a3")) == ["the journal of r goes on at 4 behind 2"]
    assert texts(entry(1), entry(2), entry(3, "a2")) == [
        "the journal of r has a2 again at 3",
        "r a2 is at e:2, and at e:3 for the journal",
    ]
