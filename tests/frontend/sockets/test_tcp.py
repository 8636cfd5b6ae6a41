"""Packages over TCP, on the port of WebSocket."""

from __future__ import annotations

import json
import socket
from itertools import accumulate, pairwise

import pytest

from tests.frontend.wire import (
    ACK,
    HANDSHAKE,
    HEARTBEAT,
    NOTIFY,
    TcpPeer,
    door,
    masked,
    request,
    until,
)
from tests.protocol.vectors import Case, case_bytes, cases, identity
from zchat.config.settings import Limits
from zchat.frontend.sockets.connection import Connection
from zchat.frontend.sockets.disconnect import KICKED, SLOW_READER
from zchat.frontend.sockets.frames import frame, payloads
from zchat.protocol import message, package
from zchat.protocol.dictionary import EMPTY
from zchat.protocol.handshake import HandshakeRequest, ServerHandshake

PUSH = message.data_push("onChat", b'{"msg":"hi"}', EMPTY)


async def test_both_transports_on_one_port() -> None:
    async with door() as opened:
        tcp = await opened.connect_tcp()
        await tcp.shake()
        websocket = await opened.working()
        await tcp.send(NOTIFY)
        await until(lambda: len(opened.messages) == 1)
        await websocket.send(masked(NOTIFY))
        await until(lambda: len(opened.messages) == 2)
        assert [said.route for _, said in opened.messages] == ["a.b", "a.b"]
        (first, _), (second, _) = opened.messages
        assert first.user == second.user == {"n": 1}
        assert (first.remote_address, first.host) == ("127.0.0.1", "127.0.0.1")
        assert second.host == "chat.example"


async def test_a_request_that_is_cut_after_its_first_byte() -> None:
    async with door() as opened:
        peer = await opened.connect()
        whole = request()
        await peer.send(whole[:1])
        await until(lambda: opened.acceptor._openings)
        await peer.send(whole[1:] + masked(HANDSHAKE))
        assert (await peer.response())[0] == 101
        assert (await peer.package()).type is package.HANDSHAKE


async def test_byte_by_byte() -> None:
    async with door() as opened:
        peer = await opened.connect_tcp()
        stream = HANDSHAKE + ACK + HEARTBEAT + NOTIFY
        for place in range(len(stream)):
            await peer.send(stream[place : place + 1])
        got = [(await peer.package()).type for _ in range(3)]
        assert got == [package.HANDSHAKE, package.HEARTBEAT, package.HEARTBEAT]
        await until(lambda: opened.messages)


async def test_what_many_get_is_bare_here() -> None:
    async with door() as opened:
        tcp = await opened.connect_tcp()
        await tcp.shake()
        websocket = await opened.working()
        large = package.encode(package.DATA, b"\x06\x06onChat" + b"x" * 70_000)
        for connection in opened.opened:
            connection.deliver(frame(PUSH))
            connection.defer(frame(PUSH * 20))
            connection.enqueue(frame(PUSH * 30))
            connection.deliver(frame(large))
            connection.send(PUSH)
        expected = PUSH + PUSH * 50 + large + PUSH
        assert await tcp.read(len(expected)) == expected
        assert [len((await websocket.frame())[1]) for _ in range(5)] == [
            len(PUSH),
            20 * len(PUSH),
            30 * len(PUSH),
            len(large),
            len(PUSH),
        ]


async def test_headers_are_taken_off_once_for_all_members() -> None:
    async with door() as opened:
        for _ in range(2):
            await (await opened.connect_tcp()).shake()
        await until(lambda: len(opened.opened) == 2)
        shared = opened.connections
        data = frame(PUSH)
        assert shared.unframed(data) == PUSH
        assert shared.unframed(data) is shared.unframed(data)
        assert shared.unframed(frame(b"other")) == b"other"
        assert payloads(data * 3) == PUSH * 3


@pytest.mark.parametrize("case", cases("stream", "tcp"), ids=identity)
async def test_streams_of_the_reference(case: Case) -> None:
    """What the reference closes is closed here, and nothing else is."""
    data, ends = case_bytes(case), list(accumulate(case["chunk_lengths"]))
    kicks = any(item["type"] == package.KICK for item in case["packages"])
    async with door(handshake=ServerHandshake(limit=package.MAX_BODY)) as opened:
        peer = await opened.connect_tcp()
        for start, end in pairwise([0, *ends]):
            await peer.send(data[start:end])
        if case["closed_by_server"] or kicks:
            assert await peer.rest(reset=True) == b""
            assert opened.counters == {"malformed": 1}
        elif not is_cut(case):  # whatever it was, the connection works
            await peer.send(HANDSHAKE)
            assert (await peer.package()).type is package.HANDSHAKE
            assert opened.counters == {}
        else:
            await until(lambda: opened.connections.sockets)
            assert opened.counters == {}


def is_cut(case: Case) -> bool:
    """Whether the stream ends within a package."""
    return "ends in the middle" in case["name"] or "announced" in case["name"]


async def test_good_packages_before_bad_bytes_are_handled() -> None:
    async with door() as opened:
        peer = await opened.connect_tcp()
        await peer.shake()
        await peer.send(NOTIFY + b"\x09\x00\x00\x00" + NOTIFY)
        assert await peer.rest() == b""
        assert len(opened.messages) == 1
        assert opened.counters == {"malformed": 1}
        assert opened.closed[0][1].reason == "package type 9; expected 1-5"


async def test_a_body_beyond_the_limit_closes_at_its_header() -> None:
    async with door(handshake=ServerHandshake(limit=1000)) as opened:
        peer = await opened.connect_tcp()
        await peer.shake()
        await peer.send(b"\x04\x00\x03\xe9")
        assert await peer.rest() == b""
        assert opened.counters == {"message_too_big": 1}


async def test_a_refused_handshake_is_answered_and_closed() -> None:
    async with door() as opened:
        peer = await opened.connect_tcp()
        await peer.send(package.encode(package.HANDSHAKE, b"nonsense"))
        answer = await peer.package()
        assert json.loads(answer.body) == {"code": 500}
        assert await peer.rest() == b""
        assert opened.counters == {"handshake_refused": 1}


async def test_a_kick_says_the_code_that_a_close_frame_would() -> None:
    async with door() as opened:
        peer = await opened.connect_tcp()
        await peer.shake()
        opened.opened[0].kick("because")
        told = await peer.package()
        assert (told.type, json.loads(told.body)) == (
            package.KICK,
            {"reason": "because", "code": KICKED.code},
        )
        assert await peer.rest() == b""
        await until(lambda: opened.closed)
        peer.close()


async def test_time_limits() -> None:
    async with door() as opened:
        silent, half, idle = [await opened.connect_tcp() for _ in range(3)]
        await half.send(HANDSHAKE[:3])
        await idle.shake()
        await until(lambda: len(opened.connections.sockets) == 2)
        opened.after(10.5)
        assert await silent.rest() == b""
        assert await half.rest() == b""
        assert opened.counters == {"handshake_timeout": 2}
        opened.after(70)
        assert await idle.rest() == b""
        assert opened.counters["heartbeat_timeout"] == 1
        await idle.send(b"")


async def test_messages_are_counted_one_by_one() -> None:
    async with door(limits=Limits(messages_per_second=10, messages_burst=20)) as opened:
        peer = await opened.connect_tcp()
        await peer.shake()
        await peer.send(NOTIFY * 30)
        told = await peer.package()
        assert json.loads(told.body)["code"] == 4003
        assert await peer.rest(reset=True) == b""
        assert opened.counters == {"too_many_messages": 1}


async def test_a_slow_reader_is_cut_off_and_told() -> None:
    async with door(limits=Limits(outbox_bytes=50_000)) as opened:
        slow = await opened.connect_tcp(receive_buffer=4096)
        await slow.shake()
        connection = opened.opened[0]
        data = frame(package.encode(package.DATA, b"\x06\x06onChat" + b"x" * 8000))
        await fill(connection, data)
        assert opened.counters == {"slow_reader": 1}
        assert connection.waiting < 50_000 + 70_000
        while (item := await slow.package()).type is package.DATA:
            assert len(item.body) == 8008
        assert json.loads(item.body) == {"reason": SLOW_READER.reason, "code": 4002}
        assert await slow.rest() == b""


async def fill(connection: Connection, data: bytes) -> None:
    for _ in range(10_000):
        if connection.disconnect is not None:
            return
        connection.enqueue(data)
        connection.flush()
    raise AssertionError("the client was never cut off")


async def test_a_full_house_closes_without_a_word() -> None:
    async with door(capacity=1) as opened:
        inside = await opened.connect_tcp()
        await inside.shake()
        refused = await opened.connect_tcp()
        await refused.send(HANDSHAKE)
        assert await refused.rest(reset=True) == b""
        assert opened.counters == {"too_many_connections": 1}
        inside.close()
        await until(lambda: not opened.connections.sockets)
        await (await opened.connect_tcp()).shake()


async def test_small_packages_go_out_at_once() -> None:
    """Nagle's delay is off: sockets inherit that from the one that listens."""
    async with door() as opened:
        await (await opened.connect_tcp()).shake()
        (connection,) = opened.opened
        assert connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_application_decides_while_the_client_waits() -> None:
    asked: list[tuple[Connection, HandshakeRequest]] = []
    async with door(
        handshake=ServerHandshake(heartbeat=30, asks=True),
        on_handshake=lambda connection, request: asked.append((connection, request)),
    ) as opened:
        peers: list[TcpPeer] = [await opened.connect_tcp() for _ in range(3)]
        for peer in peers:
            await peer.send(HANDSHAKE)
        await until(lambda: len(asked) == 3)
        (welcome, first), (refused, _), (late, third) = asked
        assert welcome.user == first.user == {"n": 1}
        welcome.accept(first, "alice", {"hello": 1})
        refused.refuse("no such person")
        answers = {json.loads((await peer.package()).body)["code"] for peer in peers[:2]}
        assert answers == {200, 500}
        opened.after(10.5)
        late.accept(third, "late", None)
        late.refuse("late")
        assert await peers[2].rest() == b""
        assert opened.counters == {"handshake_refused": 1, "handshake_timeout": 2}
