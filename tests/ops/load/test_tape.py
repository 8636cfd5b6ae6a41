"""What people were shown, and how late."""

from __future__ import annotations

import pytest

from zchat.ops.load import tape as module
from zchat.ops.load.plan import Plan
from zchat.ops.load.tape import NOTHING, Publication, Tape, publication_of

PLAN = Plan("b", people=1, rooms=1, rate=10.0, seconds=2.0, warmup=1.0)
START = 100.0


def publication(message: int) -> Publication:
    return Publication(PLAN.id(message), "e", message + 1, "bp0")


@pytest.fixture
def tape() -> Tape:
    tape = Tape(PLAN)
    tape.start(START)
    return tape


def test_latency_counts_from_the_intended_time(tape: Tape) -> None:
    tape.count(tape.shown(publication(15)), START + 1.5 + 0.004)
    tape.count(tape.shown(publication(25)), START + 2.5 + 0.2)
    first, second, _ = tape.delivered
    assert first.percentile(100) == pytest.approx(4, rel=0.01)
    assert second.percentile(100) == pytest.approx(200, rel=0.01)
    assert tape.received == 2


def test_the_warm_up_is_not_measured(tape: Tape) -> None:
    shown = tape.shown(publication(9))
    tape.count(shown, START + 5)
    assert shown.slot == -1
    assert [len(histogram) for histogram in tape.delivered] == [0, 0, 0]
    assert tape.received == 1
    assert not tape.measures(9)
    assert tape.measures(10)


def test_one_publication_has_one_number(tape: Tape) -> None:
    assert [tape.shown(publication(n)).number for n in (3, 4, 3)] == [0, 1, 0]
    assert tape.publications == [publication(3), publication(4)]


def test_what_is_of_no_load_has_a_number_and_no_latency(tape: Tape) -> None:
    shown = tape.shown(Publication("else", "e", 1, "ann"))
    tape.count(shown, START + 1)
    assert (shown.number, shown.slot) == (0, -1)


def test_packages_are_known_again(tape: Tape) -> None:
    learned = tape.learn(b"package", publication(12))
    assert tape.known[b"package"] is learned
    assert tape.learn(b"somebody came", None) is NOTHING


def test_when_full_it_forgets(tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 2)
    for number in range(3):
        tape.learn(b"%d" % number, publication(number))
    assert list(tape.known) == [b"2"]
    assert len(tape.publications) == 3


def test_arrivals_count_by_when_they_come(tape: Tape) -> None:
    for now in (START + 0.9, START + 1.0, START + 2.1, START + 9.0):
        tape.count_arrivals(5, now)
    assert tape.arrived == [5, 5, 0]


def test_a_push_tells_of_a_publication() -> None:
    body = {"id": "i", "epoch": "e", "offset": 7, "from": "ann"}
    assert publication_of(body, "ann") == Publication("i", "e", 7, "ann")
