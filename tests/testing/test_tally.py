"""What is new in the servers' answers."""

from __future__ import annotations

from typing import Any

from zchat.testing.events import Counted, Event, Fault
from zchat.testing.tally import Tally


def answer(server_id: str, pid: int = 1, generation: int = 3, **counters: int) -> dict[str, Any]:
    return {
        "id": server_id,
        "reachable": True,
        "pid": pid,
        "generation": generation,
        "counters": counters,
    }


def test_the_first_reading_is_the_beginning() -> None:
    assert Tally().take(1.0, [answer("a", repaired=7)]) == []


def test_what_was_counted_since() -> None:
    tally = Tally()
    tally.take(1.0, [answer("a", repaired=7), answer("b")])
    answers = [answer("a", repaired=9, other=5), answer("b", appends_fenced=1)]
    assert tally.take(2.0, answers) == [
        Counted(2.0, "repaired", 2),
        Counted(2.0, "refused_appends", 1),
    ]
    assert tally.take(3.0, answers) == []


def test_a_new_process_counts_from_zero() -> None:
    tally = Tally()
    tally.take(1.0, [answer("a", repaired=7)])
    expected: list[Event] = [Fault(2.0, "restart", "a"), Counted(2.0, "repaired", 3)]
    assert tally.take(2.0, [answer("a", pid=2, repaired=3)]) == expected


def test_the_ring_changes() -> None:
    tally = Tally()
    tally.take(1.0, [answer("a"), answer("b", generation=2)])
    assert tally.take(2.0, [answer("a"), answer("b")]) == []
    assert tally.take(3.0, [answer("a", generation=5)]) == [Counted(3.0, "owner_changes", 2)]
    assert tally.take(4.0, [answer("b", generation=4)]) == []


def test_who_does_not_answer() -> None:
    silent = {"id": "a", "reachable": False, "error": "no answer"}
    tally = Tally()
    assert tally.take(1.0, [silent]) == []
    tally.take(2.0, [answer("a", repaired=1)])
    tally.take(3.0, [silent])
    assert tally.take(4.0, [answer("a", repaired=2)]) == [Counted(4.0, "repaired", 1)]
