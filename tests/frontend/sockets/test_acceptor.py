"""The door: what HTTP requests get, and what happens when the house is full."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable

import pytest
from tornado.iostream import IOStream

from tests.frontend.wire import ACK, HANDSHAKE, NOTIFY, Door, door, masked, request, until
from zchat.config.settings import Client
from zchat.errors import ConfigError
from zchat.frontend.sockets.addresses import Addresses
from zchat.protocol import package


def odd(data: bytes) -> bytes:
    """The same request, which Tornado has to read: a header comes twice."""
    return data.replace(b"\r\n\r\n", b"\r\nX-Odd: 1\r\nX-Odd: 2\r\n\r\n", 1)


def same(data: bytes) -> bytes:
    return data


BOTH_WAYS = pytest.mark.parametrize("said", [same, odd])


async def ask(opened: Door, data: bytes) -> tuple[int, str, bytes]:
    """A request's response; the server must close after it."""
    peer = await opened.connect()
    await peer.send(data)
    answer = await peer.response()
    assert await peer.rest() == b""
    return answer


@BOTH_WAYS
@pytest.mark.parametrize("path", ["/", "/any/path?even=this"])
async def test_any_path_upgrades(path: str, said: Callable[[bytes], bytes]) -> None:
    async with door() as opened:
        peer = await opened.connect()
        await peer.send(said(request(path)))
        status, headers, _ = await peer.response()
        assert status == 101
        assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in headers


@BOTH_WAYS
async def test_frames_right_behind_the_request_are_not_lost(
    said: Callable[[bytes], bytes],
) -> None:
    async with door() as opened:
        peer = await opened.connect()
        await peer.send(said(request() + masked(HANDSHAKE)))
        assert (await peer.response())[0] == 101
        assert (await peer.package()).type is package.HANDSHAKE
        await peer.send(masked(ACK) + masked(NOTIFY))
        await until(lambda: opened.messages)


@pytest.mark.parametrize(
    ("data", "status", "error"),
    [
        (request(Upgrade=None), 426, "only WebSockets"),
        (request(Upgrade=None, method="POST", Content_Length="0"), 405, "only GET"),
        (request(method="POST", Content_Length="0"), 405, "begins with GET"),
        (request(Sec_WebSocket_Version="8"), 426, "version 13"),
        (request(Sec_WebSocket_Key="x"), 400, "Sec-WebSocket-Key"),
        (request(Host=""), 400, ""),
        (request(Host="x:" + "9" * 5000), 400, "Host"),
        (request(Connection=None), 400, "Connection"),
    ],
)
async def test_requests_that_are_refused(data: bytes, status: int, error: str) -> None:
    async with door() as opened:
        got, headers, body = await ask(opened, data)
        assert got == status
        if body:
            answer = json.loads(body)
            assert answer["code"] == status
            assert error in answer["error"]
            assert "application/json" in headers
        assert not opened.connections.sockets


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 20_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where there is none
    ],
)
async def test_bytes_that_are_no_request_are_closed(data: bytes) -> None:
    async with door() as opened:
        peer = await opened.connect()
        await peer.send(data)
        rest = await peer.rest(reset=True)  # a kernel that has unread bytes resets
        assert rest == b"" or rest.startswith(b"HTTP/1.1 4")
        await opened.working()  # nothing else noticed


async def test_health() -> None:
    async with door() as opened:
        opened.health |= {"connections": 3}
        plain = request("/healthz", Upgrade=None, Connection=None)
        status, headers, body = await ask(opened, plain)
        assert (status, json.loads(body)) == (200, {"status": "ok", "connections": 3})
        assert "Cache-Control: no-store" in headers
        opened.health["status"] = "degraded"
        assert (await ask(opened, plain))[0] == 200
        opened.health["status"] = "draining"
        status, _, body = await ask(opened, request("/healthz?x=1", Upgrade=None))
        assert (status, json.loads(body)["status"]) == (503, "draining")


async def test_health_without_its_body() -> None:
    async with door() as opened:
        peer = await opened.connect()
        await peer.send(request("/healthz", method="HEAD", Upgrade=None))
        rest = await peer.rest()
        assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
        assert rest.endswith(b"\r\n\r\n")


async def test_only_odd_requests_are_tornados(monkeypatch: pytest.MonkeyPatch) -> None:
    async with door() as opened:
        taken = []
        handle = opened.acceptor._http.handle_stream

        def noted(stream: IOStream, address: tuple[str, int]) -> None:
            taken.append(address)
            handle(stream, address)

        monkeypatch.setattr(opened.acceptor._http, "handle_stream", noted)
        for said in (same, odd):
            peer = await opened.connect()
            await peer.send(said(request()))
            assert (await peer.response())[0] == 101
        assert len(taken) == 1


async def test_pages_of_other_origins_are_refused_and_counted() -> None:
    async with door(origins=("https://chat.example",)) as opened:
        status, _, body = await ask(opened, request(Origin="https://evil.example"))
        assert (status, "origin" in json.loads(body)["error"]) == (403, True)
        assert opened.counters == {"forbidden_origin": 1}
        peer = await opened.connect()
        await peer.send(request(Origin="https://chat.example"))
        assert (await peer.response())[0] == 101


async def test_a_full_house_refuses_and_forgets_the_refused() -> None:
    async with door(capacity=2) as opened:
        inside = [await opened.working() for _ in range(2)]
        for _ in range(5):
            status, headers, body = await ask(opened, request())
            assert status == 503
            assert "Retry-After: 1" in headers
            assert json.loads(body)["code"] == 503
        assert opened.counters == {"too_many_connections": 5}
        inside.pop().close()
        await until(lambda: len(opened.connections.sockets) == 1)
        inside.append(await opened.working())  # the reference never gets here
        assert (await ask(opened, request()))[0] == 503


async def test_health_is_answered_in_a_full_house() -> None:
    async with door(capacity=1) as opened:
        await opened.working()
        assert (await ask(opened, request("/healthz", Upgrade=None)))[0] == 200


async def test_sockets_without_a_request_are_bounded() -> None:
    async with door(capacity=8) as opened:  # at least 64 may be opening
        silent = [await opened.connect() for _ in range(70)]
        await until(lambda: opened.counters.get("openings_lost", 0) == 6)
        assert [await peer.rest() for peer in silent[:6]] == [b""] * 6  # the oldest
        await silent[6].send(request())
        assert (await silent[6].response())[0] == 101
        assert opened.counters == {"openings_lost": 6}
        for peer in silent:
            peer.close()
        await until(lambda: not opened.acceptor._openings)
        await opened.working()


async def test_idle_sockets_lock_nobody_out() -> None:
    async with door(capacity=8) as opened:
        idle = [await opened.connect() for _ in range(300)]  # several turns' worth at once
        for _ in range(5):
            await opened.working()
            assert (await ask(opened, request("/healthz", Upgrade=None)))[0] == 200
            idle += [await opened.connect() for _ in range(10)]
        await until(lambda: opened.counters["openings_lost"] >= len(idle) - 64)
        assert len(opened.acceptor._openings) <= 64
        assert len(opened.connections.sockets) == 5  # who got in is no opening any more


async def test_a_request_that_never_ends_is_closed() -> None:
    async with door(client=Client(handshake_timeout=0.05)) as opened:
        peer = await opened.connect()
        await peer.send(request()[:-2])
        assert await peer.rest() == b""


async def test_the_time_for_the_request_counts_for_the_handshake() -> None:
    now = 1000.0
    async with door(client=Client(handshake_timeout=10)) as opened:
        opened.connections.clock = lambda: now
        peer = await opened.connect()
        await peer.send(request()[:-2])
        await until(lambda: opened.acceptor._openings)
        now = 1009.0
        await peer.send(b"\r\n")
        assert (await peer.response())[0] == 101
        opened.connections.tick(1010.5)
        assert opened.counters == {"handshake_timeout": 1}


async def test_a_client_that_leaves_in_the_middle_of_the_upgrade() -> None:
    async with door() as opened:
        for _ in range(20):
            peer = await opened.connect()
            await peer.send(request())
            peer.close()
        await opened.working()
        await until(lambda: len(opened.connections.sockets) == 1)


async def test_a_taken_port_says_who_asks() -> None:
    async with door() as opened:
        text = f"connector-server-1 cannot listen on 127.0.0.1:{opened.port}: address in use"
        with pytest.raises(ConfigError, match=re.escape(text)):
            opened.acceptor.bind("127.0.0.1", opened.port)


async def test_stopping_lets_nobody_in_and_sees_everybody_off() -> None:
    async with door() as opened:
        inside = await opened.working()
        halfway = await opened.connect()
        await halfway.send(request()[:-2])
        await until(lambda: opened.acceptor._openings)
        stopping = asyncio.create_task(opened.acceptor.stop(pace=1000, seconds=10))
        assert await inside.goodbye() == (1001, "server is stopping")
        await halfway.send(b"\r\n")
        assert (await halfway.response())[0] == 503
        with pytest.raises(ConnectionRefusedError):
            await opened.connect()
        inside.close()
        halfway.close()
        await stopping
        assert len(opened.closed) == 1
        await opened.acceptor.stop()  # again, and at once


async def test_blocked_addresses_are_closed_when_they_come() -> None:
    async with door(addresses=Addresses(["127.0.0.0/8"])) as opened:
        peer = await opened.connect()
        assert await peer.rest(reset=True) == b""
        assert opened.counters == {"blocked": 1}
        assert not opened.acceptor._openings


async def test_the_address_behind_a_proxy() -> None:
    async with door(addresses=Addresses((), ["127.0.0.1"])) as opened:
        peer = await opened.connect()
        await peer.send(request(X_Forwarded_For="6.6.6.6, 203.0.113.5"))
        assert (await peer.response())[0] == 101
        (connection,) = opened.connections.sockets
        assert connection.remote_address == "203.0.113.5"


async def test_a_blocked_address_behind_a_proxy() -> None:
    blocked = Addresses(["203.0.113.0/24"], ["127.0.0.1"])
    async with door(addresses=blocked) as opened:
        status, _, body = await ask(opened, request(X_Real_IP="203.0.113.5"))
        assert (status, json.loads(body)["code"]) == (403, 403)
        assert opened.counters == {"blocked": 1}


async def test_what_strangers_say_of_their_address_is_not_believed() -> None:
    async with door() as opened:
        peer = await opened.connect()
        await peer.send(request(X_Forwarded_For="203.0.113.5", X_Real_IP="203.0.113.5"))
        assert (await peer.response())[0] == 101
        (connection,) = opened.connections.sockets
        assert connection.remote_address == "127.0.0.1"
