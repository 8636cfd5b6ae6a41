"""Events are values: alike if they say the same, unchangeable, and light where there are many."""

from __future__ import annotations

import gc
from typing import get_args

import pytest

from zchat.protocol import events
from zchat.protocol.events import ClientEvent, Event, Heartbeat, Kicked, Push, Received, Response
from zchat.protocol.message import NOTIFY, Message


def test_every_event_is_of_one_end_and_a_heartbeat_of_both() -> None:
    server, client = set(get_args(Event)), set(get_args(ClientEvent))
    assert server & client == {Heartbeat}
    own = {
        kind for kind in vars(events).values() if getattr(kind, "__module__", "") == events.__name__
    }
    assert own == server | client


def test_events_are_values() -> None:
    assert Response(1, b"{}") == Response(1, b"{}")
    assert Response(1, b"{}") != Response(2, b"{}")
    assert Kicked("bye") == Kicked("bye", None)
    with pytest.raises(AttributeError, match="immutable"):
        Response(1, b"{}").id = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "event",
    [
        Heartbeat(),
        Received(Message(0, NOTIFY, "area.h.tell", b"{}")),
        Response(1, b"{}"),
        Push("onNews", b"{}"),
    ],
)
def test_what_comes_with_every_message_is_not_the_collectors(event: object) -> None:
    assert not gc.is_tracked(event)
