"""Each event has its line."""

from __future__ import annotations

import pytest

from zchat.testing.events import (
    Acked,
    Counted,
    Ended,
    Entered,
    Event,
    Fault,
    HistoryLost,
    Left,
    Lost,
    PeopleSeen,
    Received,
    Refused,
    Sent,
    describe,
)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Sent(0.0, "ann", "r", "x"), "r  ann sends x to all"),
        (Sent(0.0, "ann", "r", "x", ("bob",)), "r  ann sends x to bob"),
        (Acked(0.0, "ann", "r", "x", "e", 3), "r  ann is acknowledged x at e:3"),
        (Refused(0.0, "ann", "r", "x", "no bob"), "r  ann is refused x: no bob"),
        (Received(0.0, "bob", "r", "e", 3, "x", "ann"), "r  bob is shown e:3 x from ann"),
        (Entered(0.0, "bob", "r", "e", 3), "r  bob is in, behind e:3"),
        (Entered(0.0, "bob", "r", "e", 3, True), "r  bob is in, behind e:3, recovered: true"),
        (Left(0.0, "bob", "r"), "r  bob leaves"),
        (Lost(0.0, "bob", "r"), "r  bob is cut off"),
        (Ended(0.0, "bob", "r", "kicked"), "r  bob is out: kicked"),
        (HistoryLost(0.0, "bob", "r", "e", 3, 7), "r  bob is told that e:4 to 6 is lost"),
        (PeopleSeen(0.0, "bob", "r", ("ann", "bob")), "r  bob sees 2: ann, bob"),
        (Fault(0.0, "kill", "chat-server-1"), "*  kill chat-server-1"),
        (Counted(0.0, "repaired", 4), "*  repaired + 4"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_line_for_people(event: Event, line: str) -> None:
    assert describe(event) == line
