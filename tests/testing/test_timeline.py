"""Which events are shown with a problem."""

from __future__ import annotations

from zchat.testing.events import Counted, Event, Fault, Lost, Received, Sent
from zchat.testing.timeline import BESIDE, with_timelines
from zchat.testing.verdict import Kind, Problem


def lines(problem: Problem, events: list[Event]) -> list[str]:
    [found] = with_timelines([problem], events)
    return [line.strip() for line in found.timeline]


def test_the_publication_the_client_and_the_faults_beside() -> None:
    events: list[Event] = [
        Counted(100.0, "repaired", 1),
        Fault(101.0, "kill", "long-ago"),
        Sent(120.0, "ann", "r", "x"),
        Received(120.5, "cho", "r", "e", 1, "x", "ann"),
        Received(120.6, "cho", "r", "e", 2, "y", "ann"),
        Received(120.7, "bob", "elsewhere", "e", 1, "z", "ann"),
        Fault(121.0, "kill", "chat-server-1"),
        Lost(122.0, "bob", "r"),
    ]
    assert lines(Problem(Kind.LOST, "", "r", "bob", "x", 120.0), events) == [
        "20.000  r  ann sends x to all",
        "20.500  r  cho is shown e:1 x from ann",
        "21.000  *  kill chat-server-1",
        "22.000  r  bob is cut off",
    ]


def test_few_of_the_clients_own() -> None:
    events: list[Event] = [
        Received(float(n), "bob", "r", "e", n, f"m{n}", "ann") for n in range(100)
    ]
    shown = lines(Problem(Kind.TWICE, "", "r", "bob", "m50", 50.0), events)
    assert len(shown) == 2 * BESIDE
    assert "e:50 m50" in shown[BESIDE]


def test_a_problem_of_no_room_has_none() -> None:
    assert lines(Problem(Kind.VOID, "too few"), [Lost(1.0, "bob", "r")]) == []
