"""A frontend's own handlers answer its own clients, once each, and in time.

What clients see of it is in `test_requests`, for both kinds of requests at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.support.timing import eventually
from zchat.framework.handlers.dispatcher import Dispatcher, Surroundings
from zchat.framework.handlers.filters import filters_of, serial
from zchat.framework.handlers.loader import Found
from zchat.framework.handlers.local_requests import LocalRequests
from zchat.framework.sessions.backend_session import BackendSession
from zchat.frontend.session import SessionTable
from zchat.protocol.message import Message, MessageType
from zchat.route import Route

DEADLINE = 60.0


class Connection:
    """What a session's copy says of its client."""

    remote_address = "192.0.2.1"
    host = "chat.example"


class DoorHandler:
    """One handler that answers when it is let, one that does so alone, and one that fails."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.began: list[int] = []

    async def wait(self, msg: dict[str, int], session: BackendSession) -> dict[str, int]:
        self.began.append(msg["n"])
        await self.released.wait()
        return msg

    @serial
    async def alone(self, msg: dict[str, int], session: BackendSession) -> dict[str, int]:
        return await self.wait(msg, session)

    async def push(self, msg: dict[str, int], session: BackendSession) -> Any:
        session.set("n", msg["n"])
        await session.push("n")
        return {}


class Bench:
    """Requests of one session, and what became of them."""

    def __init__(self) -> None:
        self.handler = DoorHandler()
        self.now = 0.0
        self.answers: list[dict[str, Any]] = []
        self.failed: list[tuple[int, int]] = []
        self.called: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.session = SessionTable("connector-1", "life").open(Connection())  # type: ignore[arg-type]
        found = [
            Found(Route("x", "doorHandler", name), DoorHandler, name, Path("door_handler.py"), 7)
            for name in ("wait", "alone", "push")
        ]
        around = Surroundings(filters=lambda found: filters_of(getattr(found.cls, found.method)))
        self.requests = LocalRequests(
            Dispatcher(found, lambda _: self.handler, around),
            self.call,
            self.spawn,
            lambda session, request: self.failed.append((session, request)),
            deadline=DEADLINE,
            clock=lambda: self.now,
        )

    async def call(self, server: str, method: str, args: Any, /) -> Any:
        self.called.append(method)
        return True, 1, {}

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work, name=name))

    def ask(self, method: str, number: int) -> None:
        body = json.dumps({"n": number}).encode()
        message = Message(number, MessageType.REQUEST, f"x.doorHandler.{method}", body)
        self.requests.take(
            self.session, message, lambda answer: self.answers.append(json.loads(answer))
        )

    async def ended(self) -> None:
        await asyncio.gather(*self.tasks)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_handler_answers(bench: Bench) -> None:
    bench.ask("push", 1)
    await bench.ended()
    assert (bench.answers, bench.failed, bench.called) == ([{}], [], ["session.push"])
    bench.requests.tick(10 * DEADLINE)
    assert bench.answers == [{}]


async def test_serial_ones_run_one_at_a_time(bench: Bench) -> None:
    for number in (1, 2):
        bench.ask("alone", number)
        bench.ask("wait", 10 * number)
    await eventually(lambda: len(bench.handler.began) == 3)
    assert 2 not in bench.handler.began
    bench.handler.released.set()
    await bench.ended()
    assert bench.handler.began[-1] == 2
    assert sorted(answer["n"] for answer in bench.answers) == [1, 2, 10, 20]


async def test_what_does_not_end_is_answered_all_the_same(bench: Bench) -> None:
    bench.ask("wait", 1)
    await eventually(lambda: bench.handler.began == [1])
    bench.now = 30.0
    bench.ask("wait", 2)
    await eventually(lambda: bench.handler.began == [1, 2])
    bench.requests.tick(DEADLINE)
    assert bench.answers == []
    bench.requests.tick(DEADLINE + 1)
    assert [answer["code"] for answer in bench.answers] == [504]
    assert bench.failed == [(bench.session.id, 1)]
    bench.handler.released.set()
    await bench.ended()
    assert [answer.get("n") for answer in bench.answers] == [None, 1, 2]  # the first of 1 counts


async def test_who_fails_is_told(bench: Bench) -> None:
    bench.ask("nowhere", 7)
    await bench.ended()
    assert [answer["code"] for answer in bench.answers] == [500]
    assert bench.failed == [(bench.session.id, 7)]
