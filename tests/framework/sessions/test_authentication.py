"""Who a client is, as the application says; on real connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.frontend.wire import HANDSHAKE, Door, TcpPeer, door, until
from tests.support.logs import ExpectedLogs
from tests.support.timing import MS
from zchat.errors import RequestError
from zchat.framework.sessions.authentication import Authentication
from zchat.framework.sessions.entrance import Authenticate, Handshake
from zchat.protocol import package
from zchat.protocol.handshake import ServerHandshake


class Desk:
    """An open door with somebody at it."""

    def __init__(self, opened: Door, authentication: Authentication) -> None:
        self.opened = opened
        self.counters = authentication.counters

    async def knock(self) -> TcpPeer:
        peer = await self.opened.connect_tcp()
        await peer.send(HANDSHAKE)
        return peer

    async def told(self) -> dict[str, Any]:
        """What somebody who knocks is answered."""
        answer = await (await self.knock()).package()
        assert answer.type is package.HANDSHAKE
        told: dict[str, Any] = json.loads(answer.body)
        return told

    @property
    def uids(self) -> list[str]:
        return [connection.uid for connection in self.opened.connections.sockets]


@asynccontextmanager
async def desk(
    authenticate: Authenticate, *, timeout: float = 10.0, limit: int = 100
) -> AsyncIterator[Desk]:
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    authentication = Authentication(authenticate, spawn, timeout=timeout, limit=limit)
    asks = ServerHandshake(heartbeat=30, asks=True)
    async with door(handshake=asks, on_handshake=authentication.ask) as opened:
        yield Desk(opened, authentication)
    for task in list(tasks):
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


@pytest.mark.parametrize(
    ("identity", "uid", "user"),
    [
        ("alice", "alice", None),
        ({"hello": 1}, "", {"hello": 1}),
        (("alice", {"hello": 1}), "alice", {"hello": 1}),
        (None, "", None),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
async def test_who_it_is(identity: Any, uid: str, user: Any, waits: bool) -> None:
    seen: list[Handshake] = []

    def at_once(handshake: Handshake) -> Any:
        seen.append(handshake)
        return identity

    async def later(handshake: Handshake) -> Any:
        await asyncio.sleep(0)
        return at_once(handshake)

    async with desk(later if waits else at_once) as here:
        told = await here.told()
        assert (told["code"], told.get("user")) == (200, user)
        assert here.uids == [uid]
        assert seen == [Handshake({"n": 1}, "js-websocket", None, "127.0.0.1", "127.0.0.1")]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_refusal(waits: bool) -> None:
    def refuses(handshake: Handshake) -> Any:
        raise RequestError("no such person")

    async def refuses_later(handshake: Handshake) -> Any:
        return refuses(handshake)

    async with desk(refuses_later if waits else refuses) as here:
        assert await here.told() == {"code": 500}
        await until(lambda: here.opened.counters)
        assert here.opened.counters == {"handshake_refused": 1}
        assert here.counters == {"handshakes_refused": 1}


def fails(handshake: Handshake) -> str:
    raise KeyError("user")


async def fails_later(handshake: Handshake) -> str:
    return fails(handshake)


def says_nonsense(handshake: Handshake) -> Any:
    return 42


def says_nobody(handshake: Handshake) -> str:
    return ""


def says_what_json_cannot(handshake: Handshake) -> Any:
    return {"when": object()}


@pytest.mark.parametrize(
    "function", [fails, fails_later, says_nonsense, says_nobody, says_what_json_cannot]
)
async def test_a_fault_is_logged_and_refuses(
    function: Callable[[Handshake], Any], expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.app", "authenticate failed for 127.0.0.1")
    async with desk(function) as here:
        assert await here.told() == {"code": 500}


async def test_time_runs_out(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.app", "authenticate failed for 127.0.0.1")

    async def never(handshake: Handshake) -> None:
        await asyncio.Event().wait()

    async with desk(never, timeout=10 * MS) as here:
        assert await here.told() == {"code": 500}


async def test_too_many_undecided_are_refused() -> None:
    decided = asyncio.Event()

    async def waits(handshake: Handshake) -> str:
        await decided.wait()
        return "alice"

    async with desk(waits, limit=2) as here:
        first, second = [await here.knock() for _ in range(2)]
        await until(lambda: len(here.opened.connections.sockets) == 2)
        await asyncio.sleep(0)
        first.close()  # it is undecided all the same
        assert await here.told() == {"code": 500}
        assert here.counters == {"handshakes_refused": 1}
        decided.set()
        assert json.loads((await second.package()).body)["code"] == 200
        assert (await here.told())["code"] == 200
