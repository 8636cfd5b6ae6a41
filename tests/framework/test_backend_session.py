"""The copy of a session that handlers see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from zchat.errors import RequestError
from zchat.framework.backend_session import BackendSession
from zchat.frontend.session import Snapshot
from zchat.rooms.presence import SessionRef


class Frontend:
    """Takes calls, and refuses them when told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, tuple[Any, ...]]] = []
        self.refuses = False

    async def call(self, server: str, method: str, args: Sequence[Any], /) -> None:
        if self.refuses:
            raise RequestError("gone")
        self.calls.append((server, method, tuple(args)))


@pytest.fixture
def frontend() -> Frontend:
    return Frontend()


@pytest.fixture
def session(frontend: Frontend) -> BackendSession:
    snapshot = Snapshot("c1", "life", 7, "alice", {"rid": "lobby", "n": 1}, "1.2.3.4", "example")
    return BackendSession(snapshot, frontend.call)


def test_what_the_snapshot_says(session: BackendSession) -> None:
    assert (session.id, session.frontend, session.uid) == (7, "c1", "alice")
    assert (session.address, session.host) == ("1.2.3.4", "example")
    assert session.ref == SessionRef("c1", "life", 7)
    assert (session.get("rid"), session.get("unknown")) == ("lobby", None)


async def test_settings_are_the_copys_until_pushed(
    session: BackendSession, frontend: Frontend
) -> None:
    session.set("rid", "garden")
    session.set("new", [1])
    assert session.get("rid") == "garden"
    assert frontend.calls == []
    await session.push("rid", "unknown")
    await session.push()
    assert frontend.calls == [
        ("c1", "session.push", (7, {"rid": "garden", "unknown": None})),
        ("c1", "session.push", (7, {"rid": "garden", "n": 1, "new": [1]})),
    ]


def test_copies_do_not_share_their_settings(frontend: Frontend) -> None:
    snapshot = Snapshot("c1", "life", 7, "", {"a": 1}, "", "")
    one, other = BackendSession(snapshot, frontend.call), BackendSession(snapshot, frontend.call)
    one.set("a", 2)
    assert (other.get("a"), snapshot.settings) == (1, {"a": 1})


async def test_binding_and_unbinding(session: BackendSession, frontend: Frontend) -> None:
    await session.unbind("alice")
    assert session.uid == ""
    await session.bind("bob")
    assert session.uid == "bob"
    await session.kick("bye")
    assert frontend.calls == [
        ("c1", "session.unbind", (7, "alice")),
        ("c1", "session.bind", (7, "bob")),
        ("c1", "session.kick", (7, "bye")),
    ]


async def test_what_the_frontend_refuses_changes_nothing(
    session: BackendSession, frontend: Frontend
) -> None:
    frontend.refuses = True
    with pytest.raises(RequestError, match="gone"):
        await session.bind("bob")
    with pytest.raises(RequestError, match="gone"):
        await session.unbind("alice")
    assert session.uid == "alice"
