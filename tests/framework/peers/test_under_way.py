"""What runs for others: each call is answered once, whatever happens in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.logs import ExpectedLogs
from tests.support.timing import MS, eventually
from zchat.cluster.envelope import Call
from zchat.errors import RequestError, TimedOut
from zchat.framework.peers.context import NOBODY, Origin, caller, current, encode_origin
from zchat.framework.peers.methods import Methods, decode, encode
from zchat.framework.peers.under_way import UnderWay
from zchat.rooms.presence import AlreadyMember

PEER = SimpleNamespace(server_id="connector-1")


class Link:
    """Keeps the answers."""

    def __init__(self) -> None:
        self.answers: list[tuple[Any, ...]] = []

    def reply(self, peer: object, request_id: int, body: bytes) -> None:
        self.answers.append((request_id, decode(body)))

    def fail(self, peer: object, request_id: int, code: int, message: str, **fields: Any) -> None:
        self.answers.append((request_id, code, message, fields))


class Server:
    """One that offers a few methods."""

    def __init__(self) -> None:
        self.told: list[int] = []
        methods = Methods()
        for name in ("who", "refuse", "stumble", "hang"):
            methods.add(name, getattr(self, name))
        methods.add_cast("tell", self.tell)
        self.under_way = UnderWay("chat-1", methods)
        self.link = Link()

    async def who(self) -> tuple[str, Origin]:
        return caller.get(), current.get()

    async def refuse(self) -> None:
        raise AlreadyMember("refused", path="x", peer="y")

    async def stumble(self) -> None:
        raise ValueError("over it")

    async def hang(self) -> None:
        await asyncio.Event().wait()

    def tell(self, number: int) -> None:
        self.told.append(number)

    async def answer(self, method: str, origin: bytes = b"", budget: int = 5000) -> tuple[Any, ...]:
        call = Call(7, method, encode(()), budget, origin or encode_origin(NOBODY))
        await asyncio.create_task(self.under_way.answer(self.link, PEER, call))
        (answer,) = self.link.answers
        return answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    yield server
    await server.under_way.close()


async def test_a_method_knows_for_whom_it_runs(server: Server) -> None:
    origin = Origin("connector-1", 3, 9)
    number, (who, found) = await server.answer("who", encode_origin(origin))
    assert (number, who, Origin(*found)) == (7, "connector-1", origin)


async def test_an_error_is_told_with_its_fields_and_its_server(server: Server) -> None:
    number, code, message, fields = await server.answer("refuse")
    assert (number, code, message) == (7, 409, "refused")
    assert (fields["path"], "peer" in fields) == ("x", False)
    error = RequestError.of(code, message, fields)
    assert (type(error), error.server) == (AlreadyMember, "chat-1")


async def test_what_is_no_request_error_is_told_to_the_log_only(
    server: Server, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "stumble from .* failed")
    assert (await server.answer("stumble"))[1:3] == (500, "internal error")


async def test_an_origin_that_cannot_be_read_is_answered(
    server: Server, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "who from .* cannot be answered")
    assert (await server.answer("who", b"\xc1"))[1:3] == (500, "internal error")


async def test_what_takes_too_long_is_ended(server: Server) -> None:
    assert (await server.answer("hang", budget=int(20 * MS * 1000)))[1] == TimedOut.code


async def test_casts_that_are_wrong_are_the_logs_to_tell(
    server: Server, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "from connector-1: no cast nothing")
    expected_logs("zchat.cluster", "from connector-1: arguments of tell")
    for method, args in (("nothing", ()), ("tell", ("x",)), ("tell", (1,))):
        server.under_way.cast(method, encode(args), "connector-1")
    assert server.told == [1]


async def test_closing_ends_what_is_under_way(server: Server) -> None:
    call = Call(7, "hang", encode(()), 5000, encode_origin(NOBODY))
    server.under_way.spawn(server.under_way.answer(server.link, PEER, call), "hang")
    server.under_way.spawn(asyncio.sleep(0), "short")
    await eventually(lambda: len(server.under_way) == 1)
    for _ in range(2):
        await server.under_way.close()
    assert len(server.under_way) == 0
    assert server.link.answers == []
