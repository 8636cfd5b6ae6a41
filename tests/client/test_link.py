from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.client.fake_server import (
    DICTIONARY,
    NO_ANSWER,
    FakeServer,
    GreetingHandshake,
    QuickHandshake,
)
from tests.support.timing import eventually
from zchat.client import link as link_module
from zchat.client.link import Ending, Link
from zchat.client.transport import Disconnected
from zchat.errors import ProtocolError, TimedOut, Unavailable
from zchat.protocol import message, package
from zchat.protocol.body import JSON
from zchat.protocol.connection import ClientConnection
from zchat.protocol.handshake import HandshakeRequest, ServerHandshake

ECHO = "test.testHandler.echo"
HUNG = "test.testHandler.hang"


class Owner:
    """Has one link, and remembers what it was told."""

    def __init__(self, max_pending: int = 100) -> None:
        self.pushes: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self.link = Link(
            ClientConnection(user={"n": 1}),
            JSON,
            on_push=lambda route, data: self.pushes.put_nowait((route, data)),
            on_end=self.ended.set_result,
            limit=100_000,
            max_pending=max_pending,
        )


@asynccontextmanager
async def opened(server: FakeServer, **options: int) -> AsyncIterator[Owner]:
    owner = Owner(**options)
    try:
        await owner.link.open(server.url, 5.0)
        yield owner
    finally:
        await owner.link.close()


@pytest.mark.parametrize(
    ("code", "kick", "reconnect"),
    [
        (None, None, True),
        (1000, None, True),
        (1001, None, True),
        (1006, None, True),
        (1011, None, True),
        (1013, None, True),
        (1002, None, False),
        (1009, None, False),
        (4000, None, True),
        (4499, "slow reader", True),
        (4500, "go away", False),
        (4500, None, False),
        (None, "go away", False),
        (1000, "go away", False),
    ],
)
def test_which_endings_invite_to_come_back(
    code: int | None, kick: str | None, reconnect: bool
) -> None:
    ending = Ending.from_close(code, "why", kick)
    assert ending == Ending(kick or "why", reconnect, kick is not None, code)


async def test_handshake(server: FakeServer) -> None:
    server.handshake = GreetingHandshake(heartbeat=7, dictionary=DICTIONARY)
    owner = Owner()
    accepted = await owner.link.open(server.url, 5.0)
    assert (accepted.heartbeat, accepted.user) == (7, {"hello": {"n": 1}})
    assert accepted.dictionary.version == DICTIONARY.version
    await owner.link.close()
    assert not owner.ended.done()


async def test_requests_are_answered_in_any_order(server: FakeServer) -> None:
    async with opened(server) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        late = owner.link.request(HUNG, {}, 5.0)
        assert await owner.link.request(ECHO, {"a": "😀"}, 5.0) == {"a": "😀"}
        (connection,) = server.connections
        connection.say(message.data_response(1, b'{"b":2}'))
        assert await late == {"b": 2}
        assert [received.id for received in server.messages] == [1, 2]


async def test_notify(server: FakeServer) -> None:
    async with opened(server) as owner:
        owner.link.notify(ECHO, {"a": 1})
        await server.until(lambda: len(server.messages) == 1)
        assert server.messages[0].body == b'{"a":1}'


async def test_known_routes_travel_as_codes(server: FakeServer) -> None:
    async with opened(server) as owner:
        assert await owner.link.request(ECHO, {}, 5.0) == {}
        connection = owner.link._connection
        assert connection.dictionary.field(ECHO)[0] == 1


async def test_several_packages_in_one_message(server: FakeServer) -> None:
    async with opened(server) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        answers = [owner.link.request(HUNG, {}, 5.0) for _ in range(2)]
        await server.until(lambda: len(server.messages) == 2)
        server.connections[0].say(
            message.data_response(2, b"[2]")
            + message.data_push("onNews", b"{}", DICTIONARY)
            + message.data_response(1, b"[1]")
            + message.data_push("onOther", b"{}", DICTIONARY)
        )
        assert await asyncio.gather(*answers) == [[1], [2]]
        assert await owner.pushes.get() == ("onNews", b"{}")
        assert await owner.pushes.get() == ("onOther", b"{}")


async def plainly(answer: asyncio.Future[object]) -> object:
    return await answer


async def in_a_task(answer: asyncio.Future[object]) -> object:
    return await asyncio.create_task(plainly(answer))


async def gathered(answer: asyncio.Future[object]) -> object:
    (body,) = await asyncio.gather(plainly(answer))
    return body


@pytest.mark.parametrize("ask", [plainly, in_a_task, gathered])
@pytest.mark.parametrize("packets", [1, 4])
async def test_an_answer_is_seen_before_the_pushes_behind_it(
    server: FakeServer, ask: Callable[[asyncio.Future[object]], Awaitable[object]], packets: int
) -> None:
    async with opened(server) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        order: list[object] = []
        owner.link._on_push = lambda route, data: order.append(route)

        async def request() -> None:
            order.append(await ask(owner.link.request(HUNG, {}, 5.0)))

        asking = asyncio.gather(request(), request())
        await server.until(lambda: len(server.messages) == 2)
        packages = [
            message.data_push("onA", b"{}", DICTIONARY),
            message.data_response(1, b"1"),
            message.data_push("onB", b"{}", DICTIONARY),
            message.data_response(2, b"2"),
            message.data_push("onC", b"{}", DICTIONARY),
        ]
        size = -(-len(packages) // packets)
        for first in range(0, len(packages), size):
            owner.link._receive(b"".join(packages[first : first + size]))
        await asking
        await eventually(lambda: len(order) == 5)
        assert order == ["onA", 1, "onB", 2, "onC"]


async def test_answers_in_a_row_do_not_wait_for_each_other(server: FakeServer) -> None:
    async with opened(server) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        answers = [owner.link.request(HUNG, {}, 5.0) for _ in range(3)]
        await server.until(lambda: len(server.messages) == 3)
        owner.link._receive(b"".join(message.data_response(n, b"{}") for n in (3, 1, 2)))
        assert all(answer.done() for answer in answers)


async def test_what_waits_for_an_awaiter_is_bounded(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "MAX_HELD", 3)
    async with opened(server) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        answer = owner.link.request(HUNG, {}, 5.0)
        await server.until(lambda: len(server.messages) == 1)
        push = message.data_push("onNews", b"{}", DICTIONARY)
        owner.link._receive(message.data_response(1, b"{}") + 2 * push)
        assert owner.pushes.empty()
        owner.link._receive(push)
        assert (answer.done(), owner.pushes.qsize()) == (True, 3)


async def test_what_waits_for_an_awaiter_is_not_lost_with_the_connection(
    server: FakeServer,
) -> None:
    async with opened(server) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        answers = [owner.link.request(HUNG, {}, 5.0) for _ in range(2)]
        await server.until(lambda: len(server.messages) == 2)
        owner.link._receive(
            message.data_response(1, b"1")
            + message.data_push("onNews", b"{}", DICTIONARY)
            + message.data_response(2, b"2")
            + package.encode(package.KICK, b'{"reason":"enough"}')
        )
        owner.link._closed(None, "")
        assert await asyncio.gather(*answers) == [1, 2]
        assert owner.pushes.qsize() == 1
        assert await owner.ended == Ending("enough", reconnect=False, kicked=True)


async def test_request_without_an_answer_times_out(server: FakeServer) -> None:
    async with opened(server) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        with pytest.raises(TimedOut, match=rf"no answer to {HUNG} within 0.01 s"):
            await owner.link.request(HUNG, {}, 0.01)
        # Its late answer is nobody's; the next request is not disturbed.
        server.connections[0].say(message.data_response(1, b"{}"))
        assert await owner.link.request(ECHO, {"a": 1}, 5.0) == {"a": 1}


async def test_cancelled_request(server: FakeServer) -> None:
    async with opened(server) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        answered, expired = owner.link.request(HUNG, {}, 5.0), owner.link.request(HUNG, {}, 0.01)
        answered.cancel()
        expired.cancel()
        await server.until(lambda: len(server.messages) == 2)
        server.connections[0].say(message.data_response(1, b"{}"))
        assert await owner.link.request(ECHO, {}, 5.0) == {}
        with pytest.raises(TimedOut):
            await owner.link.request(HUNG, {}, 0.02)
        assert owner.link._pending == {}


async def test_answer_that_is_not_json(server: FakeServer) -> None:
    async with opened(server) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        answer = owner.link.request(HUNG, {}, 5.0)
        await server.until(lambda: len(server.messages) == 1)
        server.connections[0].say(message.data_response(1, b"nope"))
        with pytest.raises(ProtocolError, match="not JSON"):
            await answer


async def test_pending_requests_are_bounded(server: FakeServer) -> None:
    async with opened(server, max_pending=2) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        waiting = [owner.link.request(HUNG, {}, 5.0) for _ in range(2)]
        with pytest.raises(Unavailable, match="2 requests wait"):
            owner.link.request(ECHO, {}, 5.0)
        await owner.link.close()
        for answer in waiting:
            with pytest.raises(Disconnected, match="closed by this client, before the answer"):
                await answer


async def test_body_that_json_cannot_hold_is_not_sent(server: FakeServer) -> None:
    async with opened(server) as owner:
        with pytest.raises(TypeError):
            owner.link.request(ECHO, object(), 5.0)
        assert owner.link._pending == {}
        assert await owner.link.request(ECHO, {}, 5.0) == {}


async def test_lost_connection_fails_what_waits(server: FakeServer) -> None:
    async with opened(server) as owner:
        server.handlers[HUNG] = lambda body: NO_ANSWER
        answer = owner.link.request(HUNG, {}, 5.0)
        await server.until(lambda: len(server.messages) == 1)
        server.connections[0].drop()
        with pytest.raises(Disconnected, match=f"connection lost, before the answer to {HUNG}"):
            await answer
        assert await owner.ended == Ending("connection lost", reconnect=True)
        with pytest.raises(Disconnected, match="connection lost"):
            owner.link.request(ECHO, {}, 5.0)


@pytest.mark.parametrize(("code", "reconnect"), [(4002, True), (4500, False)])
async def test_kick(server: FakeServer, code: int, reconnect: bool) -> None:
    async with opened(server) as owner:
        await owner.link.request(ECHO, {}, 5.0)
        server.connections[0].kick("because", code)
        assert await owner.ended == Ending("because", reconnect, kicked=True, code=code)


async def test_kick_by_a_server_that_does_not_close(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "KICK_PATIENCE", 0.01)
    async with opened(server) as owner:
        server.connections[0].say(package.encode(package.KICK))
        assert await owner.ended == Ending("connection lost", reconnect=False, kicked=True)


async def test_heartbeats_follow_the_servers(server: FakeServer) -> None:
    server.handshake = QuickHandshake(0.2)
    async with opened(server) as owner:
        await server.until(lambda: server.heartbeats >= 2)
        assert owner.link.ending is None


async def test_silent_server_is_given_up(server: FakeServer) -> None:
    server.handshake = QuickHandshake(0.02)
    async with opened(server) as owner:
        server.silent = True
        assert await owner.ended == Ending("heartbeat timeout", reconnect=True)


class Clock:
    """Stands in for the loop of a link whose check for silence is called by hand."""

    def __init__(self, owner: Owner, heartbeat: float) -> None:
        self.now = 1000.0
        self.due: list[float] = []
        owner.link._loop = self  # type: ignore[assignment]
        owner.link._heartbeat = heartbeat
        owner.link._alive_at = self.now
        owner.link._set_check(2 * heartbeat, owner.link._check)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: object) -> Clock:
        self.due.append(self.now + delay)
        return self

    def when(self) -> float:
        return self.due[-1]

    def cancel(self) -> None:
        pass


async def test_any_traffic_keeps_the_link(server: FakeServer) -> None:
    async with opened(server) as owner:
        clock = Clock(owner, heartbeat=10.0)
        clock.now = 1015.0
        owner.link._receive(message.data_push("onNews", b"{}", DICTIONARY))
        clock.now = 1020.0
        owner.link._check()
        assert clock.due == [1020.0, 1035.0]
        clock.now = 1035.0
        owner.link._check()
        assert await owner.ended == Ending("heartbeat timeout", reconnect=True)


async def test_a_client_held_up_reads_before_it_gives_up(server: FakeServer) -> None:
    async with opened(server) as owner:
        clock = Clock(owner, heartbeat=10.0)
        clock.now = 1026.0  # six seconds after the check was due
        owner.link._check()
        assert clock.due == [1020.0, 1032.0]
        clock.now = 1032.0
        owner.link._check()
        assert await owner.ended == Ending("heartbeat timeout", reconnect=True)


async def test_refused_handshake(server: FakeServer) -> None:
    server.handshake = ServerHandshake(check_client=lambda kind, version: False)
    owner = Owner()
    with pytest.raises(Disconnected, match="refused with code 501") as caught:
        await owner.link.open(server.url, 5.0)
    assert not caught.value.reconnect
    await owner.link.close()
    assert not owner.ended.done()


async def test_handshake_that_takes_too_long(server: FakeServer) -> None:
    server.silent = True
    owner = Owner()
    with pytest.raises(Disconnected, match="no handshake"):
        await owner.link.open(server.url, 0.05)
    owner.link.abort()
    assert owner.link.ending == Ending("dropped by this client", reconnect=False)


@pytest.mark.parametrize("data", [b"\x09\0\0\0", b"\x04\0\0\x02\x00\x01", b"\x02\0\0\0"])
async def test_server_that_breaks_the_protocol(server: FakeServer, data: bytes) -> None:
    async with opened(server) as owner:
        server.connections[0].say(data)
        ending = await owner.ended
        assert ending.reconnect
        assert "breaks the protocol" in ending.reason


async def test_bytes_after_the_end_are_ignored(server: FakeServer) -> None:
    async with opened(server) as owner:
        owner.link.abort()
        owner.link._receive(message.data_push("onNews", b"{}", DICTIONARY))
        assert owner.pushes.empty()
        with pytest.raises(Disconnected, match="dropped by this client"):
            owner.link.notify(ECHO, {})


async def test_gone_before_the_handshake(server: FakeServer) -> None:
    server.silent = True
    owner = Owner()
    opening = asyncio.create_task(owner.link.open(server.url, 5.0))
    await server.until(lambda: len(server.requests) == 1)
    server.connections[0].drop()
    with pytest.raises(Disconnected, match="connection lost"):
        await opening


async def test_handshake_that_cannot_be_confirmed(server: FakeServer) -> None:
    owner = Owner()
    owner.link._receive(server.handshake.answer(HandshakeRequest()))
    assert owner.link.ending == Ending("not connected", reconnect=True)


async def test_heartbeat_that_cannot_be_sent(server: FakeServer) -> None:
    async with opened(server) as owner:
        owner.link._transport.abort()
        owner.link._beat()
        assert await owner.ended == Ending("the connection is gone", reconnect=True)
