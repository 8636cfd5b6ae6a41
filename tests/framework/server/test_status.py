"""One table of a server and its parts."""

from __future__ import annotations

from typing import Any

from zchat.framework.server.status import with_parts


class Part:
    def __init__(self, **status: Any) -> None:
        self._status = status

    def status(self) -> dict[str, Any]:
        return self._status


def test_counters_add_up_and_those_at_zero_are_left_out() -> None:
    first = Part(channels=3, counters={"lost": 1, "held": 0})
    second = Part(sessions=7, counters={"lost": 2, "answered_429": 4})
    assert with_parts({"id": "chat-1"}, {"lost": 1, "refused": 0}, [first, None, second]) == {
        "id": "chat-1",
        "channels": 3,
        "sessions": 7,
        "counters": {"answered_429": 4, "lost": 4},
    }
    assert first.status()["counters"]["lost"] == 1


def test_a_server_without_parts() -> None:
    assert with_parts({"id": "chat-1"}, {}, [None]) == {"id": "chat-1", "counters": {}}
