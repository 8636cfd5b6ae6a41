"""The copy of a session that handlers see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from zchat.errors import RequestError
from zchat.framework.sessions.backend_session import BackendSession, StaleSession
from zchat.frontend.session import Snapshot
from zchat.rooms.presence import SessionRef

REF = SessionRef("c1", "life", 7)


class Frontend:
    """Takes calls, and refuses them when told to; has newer settings when told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, tuple[Any, ...]]] = []
        self.refuses = False
        self.version = 3
        self.newest: dict[str, Any] | None = None

    async def call(self, server: str, method: str, args: Sequence[Any], /) -> Any:
        if self.refuses:
            raise RequestError("gone")
        self.calls.append((server, method, tuple(args)))
        if method != "session.push":
            return None
        if self.newest is not None:
            newest, self.newest = self.newest, None
            return [False, self.version, newest]
        self.version += 1
        return [True, self.version, {key: value for key, (_, value) in args[1].items()}]


@pytest.fixture
def frontend() -> Frontend:
    return Frontend()


@pytest.fixture
def session(frontend: Frontend) -> BackendSession:
    settings = {"rid": "lobby", "n": 1}
    snapshot = Snapshot("c1", "life", 7, "alice", settings, "1.2.3.4", "example", 3)
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
        ("c1", "session.push", (REF, {"rid": (3, "garden"), "unknown": (3, None)})),
        ("c1", "session.push", (REF, {"new": (3, [1])})),
    ]


async def test_what_was_pushed_is_not_stale_when_pushed_again(
    session: BackendSession, frontend: Frontend
) -> None:
    session.set("n", 2)
    await session.push()
    session.set("n", 3)
    await session.push("n")
    assert frontend.calls[-1] == ("c1", "session.push", (REF, {"n": (4, 3)}))


async def test_what_is_not_pushed_stays_as_old_as_it_is(
    session: BackendSession, frontend: Frontend
) -> None:
    session.set("rid", "garden")
    session.set("n", 2)
    await session.push("n")
    assert session.get("rid") == "garden"
    await session.push()
    assert frontend.calls[-1] == ("c1", "session.push", (REF, {"rid": (3, "garden")}))


async def test_a_stale_push_brings_the_newer_settings(
    session: BackendSession, frontend: Frontend
) -> None:
    session.set("n", 2)
    session.set("mine", True)
    frontend.newest, frontend.version = {"n": 7, "rid": "hall"}, 9
    with pytest.raises(StaleSession, match="newer settings than those pushed: n") as caught:
        await session.push("n")
    assert caught.value.settings == {"n": 7}
    assert caught.value.body() == {"code": 409, "error": caught.value.message}
    assert [session.get(key) for key in ("n", "rid", "mine")] == [7, "hall", True]
    session.set("n", 8)
    await session.push("n")
    assert frontend.calls[-1] == ("c1", "session.push", (REF, {"n": (9, 8)}))


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
        ("c1", "session.unbind", (REF, "alice")),
        ("c1", "session.bind", (REF, "bob")),
        ("c1", "session.kick", (REF, "bye")),
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
