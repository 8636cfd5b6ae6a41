"""The table of reasons: every entry can be sent, counted and told apart."""

from __future__ import annotations

from zchat.frontend.sockets import disconnect
from zchat.frontend.sockets.disconnect import (
    CONNECTION_LOST,
    KICKED,
    SLOW_READER,
    TLS_FAILED,
    Disconnect,
)
from zchat.frontend.sockets.frames import close_frame, read_close

TABLE = [entry for entry in vars(disconnect).values() if isinstance(entry, Disconnect)]


def test_names_are_unique_and_fit_metrics() -> None:
    names = [entry.name for entry in TABLE]
    assert len(names) == len(set(names)) > 10
    assert all(name.isidentifier() and name.islower() for name in names)


def test_every_code_that_is_sent_may_be_sent() -> None:
    for entry in TABLE:
        if entry not in (CONNECTION_LOST, TLS_FAILED):
            assert read_close(close_frame(entry.code, entry.reason)[2:]) == (
                entry.code,
                entry.reason,
            )


def test_the_ranges_of_our_codes_say_whether_to_come_back() -> None:
    for entry in TABLE:
        if entry.code >= 4000:
            assert entry.reconnect == (entry.code < 4500), entry


def test_no_kick_where_the_reference_sends_none() -> None:
    silent = {"heartbeat_timeout", "malformed", "server_stopping", "too_many_connections"}
    assert all(not entry.kick for entry in TABLE if entry.name in silent)
    assert KICKED.kick
    assert SLOW_READER.kick


def test_a_reason_of_its_own_changes_nothing_else() -> None:
    mine = KICKED.because("you know why")
    assert mine == Disconnect("kicked", 4500, "you know why", reconnect=False, kick=True)
    assert str(mine) == "kicked (4500): you know why"
    assert KICKED.reason == "kick"
