"""Who was put out, and by which order."""

from __future__ import annotations

import pytest

from zchat.framework.channels import departures as module
from zchat.framework.channels.departures import Departure, Departures
from zchat.rooms.presence import SessionRef

ORDER = Departure("hub.leave", (1, "room", "chat-1"))


def ref(session: int = 1) -> SessionRef:
    return SessionRef("connector-1", "life", session)


@pytest.fixture
def departures() -> Departures:
    return Departures()


def test_the_last_order_counts(departures: Departures) -> None:
    undo = Departure("hub.undo", (1, "room", b"token"))
    departures.add("room", ref(), ORDER)
    departures.add("room", ref(), undo)
    assert departures.get("room", ref()) == undo
    assert departures.get("other", ref()) is departures.get("room", ref(2)) is None
    assert len(departures) == 1


def test_who_is_let_in_again_has_not_left(departures: Departures) -> None:
    departures.add("room", ref(), ORDER)
    for _ in range(2):
        departures.forget("room", ref())
    assert departures.get("room", ref()) is None


def test_only_the_latest_are_remembered(
    departures: Departures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 2)
    for session in (1, 2, 1, 3):
        departures.add("room", ref(session), ORDER)
    assert [departures.get("room", ref(n)) is not None for n in (1, 2, 3)] == [True, False, True]


def test_those_of_channels_that_move_are_forgotten(departures: Departures) -> None:
    departures.add("room", ref(), ORDER)
    departures.add("other", ref(), ORDER)
    departures.keep(lambda name: name == "other")
    assert departures.get("room", ref()) is None
    assert departures.get("other", ref()) == ORDER
