"""Hooks for sessions: who runs them, and what their faults do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.support.logs import ExpectedLogs
from zchat import BackendSession
from zchat.config.topology import Server
from zchat.framework.sessions.hooks import SessionEvents, SessionHooks
from zchat.frontend.session import Snapshot

SNAPSHOT = Snapshot("c1", "life", 7, "alice", {"rid": "lobby"}, "", "")
CONNECTOR = Server("c1", "connector", "127.0.0.1", 1, 2, frontend=True, client_port=3)
AREA = Server("a1", "area", "127.0.0.1", 1, 2)


class Heard:
    """What hooks were told."""

    def __init__(self) -> None:
        self.hooks = SessionHooks()
        self.said: list[tuple[str, str, str]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    async def tell(self, server: Server) -> list[tuple[str, str, str]]:
        """What is said there when a session is bound and closes."""
        events = SessionEvents(self.hooks, server, _unused, self.spawn)
        events.bound(SNAPSHOT)
        events.closed(SNAPSHOT, "kicked")
        await asyncio.gather(*self.tasks)
        said, self.said = self.said, []
        assert events.wanted is bool(said)
        return said

    def plain(self, session: BackendSession) -> None:
        self.said.append(("plain", session.uid, session.get("rid")))

    async def slow(self, session: BackendSession, reason: str) -> None:
        await asyncio.sleep(0)
        self.said.append(("slow", session.uid, reason))


async def _unused(server: str, method: str, args: Any, /) -> None:
    raise AssertionError("called")


async def test_without_types_they_run_on_frontends() -> None:
    heard = Heard()
    heard.hooks.bound.append((frozenset(), heard.plain))
    heard.hooks.closed.append((frozenset(), heard.slow))
    assert await heard.tell(CONNECTOR) == [("plain", "alice", "lobby"), ("slow", "alice", "kicked")]
    assert await heard.tell(AREA) == []
    assert heard.hooks.types == frozenset()


async def test_with_types_they_run_there_only() -> None:
    heard = Heard()
    heard.hooks.bound.append((frozenset({"area"}), heard.plain))
    assert await heard.tell(AREA) == [("plain", "alice", "lobby")]
    assert await heard.tell(CONNECTOR) == []
    assert heard.hooks.types == {"area"}


def test_copies_are_their_own() -> None:
    heard = Heard()
    copied = heard.hooks.copy()
    copied.bound.append((frozenset(), heard.plain))
    assert heard.hooks.bound == []


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_hook_that_fails_concerns_nobody_else(
    is_async: bool, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.app", "fails failed: session c1/7")
    heard = Heard()

    def fails(session: BackendSession) -> None:
        raise KeyError("oops")

    async def async_fails(session: BackendSession) -> None:
        fails(session)

    hook = async_fails if is_async else fails
    heard.hooks.bound += [(frozenset(), hook), (frozenset(), heard.plain)]
    assert await heard.tell(CONNECTOR) == [("plain", "alice", "lobby")]
