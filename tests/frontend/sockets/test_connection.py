"""Connections: their limits, their time-outs, and how they end. Over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from socket import SO_LINGER, SOL_SOCKET

import pytest

from tests.frontend.wire import (
    ACK,
    HANDSHAKE,
    HEARTBEAT,
    NOTIFY,
    Door,
    Peer,
    door,
    masked,
    until,
)
from zchat.config.settings import Client, Limits
from zchat.frontend.sockets.connection import Connection
from zchat.frontend.sockets.disconnect import KICKED, SLOW_READER
from zchat.frontend.sockets.frames import PING, frame
from zchat.frontend.sockets.outbox import UNSENT_BYTES
from zchat.protocol import package
from zchat.protocol.handshake import ServerHandshake
from zchat.protocol.message import Message

FLOOD = Limits(messages_per_second=1 << 30, messages_burst=1 << 30)


def kicked_with(item: package.Package) -> str:
    assert item.type is package.KICK
    reason: str = json.loads(item.body)["reason"]
    return reason


async def one(opened: Door) -> Connection:
    """The server's end of the only connection."""
    await until(lambda: opened.opened)
    (connection,) = opened.opened
    return connection


# What is known of a client


async def test_a_connection_opens_when_the_handshake_is_confirmed() -> None:
    async with door() as opened:
        peer = await opened.upgraded()
        await peer.send(masked(HANDSHAKE))
        await peer.package()
        assert opened.opened == []
        await peer.send(masked(ACK))
        connection = await one(opened)
        assert connection.user == {"n": 1}
        assert connection.remote_address == "127.0.0.1"
        assert connection.host == "chat.example"
        assert connection.session is None
        assert connection.disconnect is None


# Time


async def test_who_never_shakes_hands_is_let_go() -> None:
    async with door(client=Client(handshake_timeout=10)) as opened:
        peer = await opened.upgraded()
        opened.after(9)
        assert len(opened.connections.sockets) == 1
        opened.after(10.5)
        code, _ = await peer.goodbye()
        assert code == 4000
        assert opened.counters == {"handshake_timeout": 1}
        assert opened.closed == []  # it never opened


async def test_a_handshake_without_its_confirmation_runs_into_the_same_limit() -> None:
    async with door(client=Client(handshake_timeout=10)) as opened:
        peer = await opened.upgraded()
        await peer.send(masked(HANDSHAKE))
        await peer.package()
        opened.after(10.5)
        assert (await peer.goodbye())[0] == 4000


async def test_a_silent_client_is_gone_after_two_intervals_and_some_slack() -> None:
    async with door(handshake=ServerHandshake(heartbeat=30)) as opened:
        peer = await opened.working()
        await one(opened)
        opened.after(61)
        assert opened.counters == {}
        opened.after(63)
        code, _ = await peer.goodbye()  # the close frame comes without a kick (pomelo wire 9.3)
        assert code == 4001
        assert [why.name for _, why in opened.closed] == ["heartbeat_timeout"]


async def test_a_heartbeat_is_answered_and_moves_the_limit() -> None:
    now = 1000.0
    async with door(handshake=ServerHandshake(heartbeat=30)) as opened:
        opened.connections.clock = lambda: now
        peer = await opened.working()
        await one(opened)
        now = 1060.0
        await peer.send(masked(HEARTBEAT))
        assert (await peer.package()).type is package.HEARTBEAT
        now = 1100.0
        await peer.send(masked(NOTIFY))  # data is no heartbeat
        await until(lambda: opened.messages)
        opened.connections.tick(1121.9)
        assert opened.counters == {}
        opened.connections.tick(1122.5)
        assert opened.counters == {"heartbeat_timeout": 1}


async def test_a_heartbeat_whose_answer_is_too_much_does_not_move_the_end() -> None:
    async with door(
        handshake=ServerHandshake(heartbeat=30), limits=Limits(outbox_bytes=50_000)
    ) as opened:
        slow = await opened.working(receive_buffer=4096)
        connection = await one(opened)
        connection.enqueue(b"x" * 8_000_000)
        while connection.disconnect is None:
            connection.receive(masked(HEARTBEAT))
        assert connection.disconnect == SLOW_READER
        opened.after(31)
        assert not opened.connections.sockets
        slow.close()


async def test_without_heartbeats_nobody_times_out() -> None:
    async with door(handshake=ServerHandshake(heartbeat=None)) as opened:
        peer = await opened.upgraded()
        await peer.send(masked(HANDSHAKE) + masked(ACK))
        connection = await one(opened)
        opened.after(1e6)
        assert connection.disconnect is None


async def test_a_client_that_ignores_the_farewell_is_dropped() -> None:
    async with door() as opened:
        peer = await opened.working()
        connection = await one(opened)
        connection.kick("bye")
        assert kicked_with(await peer.package()) == "bye"
        await peer.send(masked(NOTIFY))  # still there, not closing
        opened.after(4)
        assert len(opened.connections.sockets) == 1
        opened.after(6)
        assert not opened.connections.sockets
        assert opened.messages == []
        assert opened.counters == {"kicked": 1}


# Limits


async def test_too_many_messages() -> None:
    limits = Limits(messages_per_second=10, messages_burst=20)
    async with door(limits=limits) as opened:
        peer = await opened.working()
        await one(opened)
        for _ in range(40):
            await peer.send(masked(NOTIFY))
        assert kicked_with(await peer.package()) == "too many messages per second"
        assert (await peer.goodbye())[0] == 4003
        assert opened.counters == {"too_many_messages": 1}
        assert len(opened.messages) <= 20


@pytest.mark.parametrize(
    "flood",
    [
        masked(b"", PING) * 30,
        masked(NOTIFY * 30),  # one frame, many packages
        masked(HEARTBEAT * 30),
    ],
)
async def test_what_counts_as_a_message(flood: bytes) -> None:
    limits = Limits(messages_per_second=10, messages_burst=20)
    async with door(limits=limits) as opened:
        peer = await opened.working()
        await one(opened)
        await peer.send(flood)
        await until(lambda: opened.closed)
        assert opened.counters == {"too_many_messages": 1}


async def test_too_many_bytes() -> None:
    limits = Limits(bytes_per_second=10_000, bytes_burst=20_000)
    async with door(limits=limits) as opened:
        peer = await opened.working()
        await one(opened)
        await peer.send(masked(b"x" * 30_000, first=0x02))  # a fragment: no message is complete
        assert kicked_with(await peer.package()) == "too many bytes per second"
        assert (await peer.goodbye())[0] == 4004
        assert opened.counters == {"too_many_bytes": 1}


async def test_a_client_that_keeps_to_the_rates_stays() -> None:
    now = 1000.0
    limits = Limits(messages_per_second=10, messages_burst=20)
    async with door(limits=limits) as opened:
        opened.connections.clock = lambda: now
        peer = await opened.working()
        for _ in range(100):
            await peer.send(masked(NOTIFY))
            await until(lambda: opened.messages)
            opened.messages.clear()
            now += 0.11
        assert opened.counters == {}


async def fill(connection: Connection, peer: Peer, data: bytes) -> int:
    """Sends to a client that does not read until its end; returns how many bytes."""
    sent = 0
    for _ in range(10_000):
        if connection.disconnect is not None:
            return sent
        connection.enqueue(data)
        sent += len(data)
        await asyncio.sleep(0)
    raise AssertionError("the client was never cut off")


async def test_a_slow_reader_is_cut_off_told_and_nobody_else_waits() -> None:
    limits = Limits(outbox_bytes=50_000)
    async with door(limits=limits) as opened:
        slow = await opened.working(receive_buffer=4096)
        connection = await one(opened)
        quick = await opened.working()
        filler = frame(package.encode(package.DATA, b"\x06\x06onChat" + b"x" * 8000))
        sent = await fill(connection, slow, filler)
        assert opened.counters == {"slow_reader": 1}
        await until(lambda: opened.closed)
        assert opened.closed[0] == (connection, SLOW_READER)
        assert connection.waiting < 50_000 + 70_000

        await quick.send(masked(NOTIFY))
        await until(lambda: opened.messages)
        quick.close()

        received = 0
        while (item := await slow.package()).type is package.DATA:
            received += len(item.body) + 8
        assert kicked_with(item) == SLOW_READER.reason
        assert await slow.goodbye() == (4002, SLOW_READER.reason)
        assert 0 < received < sent  # whole packages up to the cut, then the farewell
        slow.close()
        await until(lambda: not opened.connections.sockets)


async def test_the_kernel_holds_little_of_what_a_slow_reader_gets() -> None:
    """Or the farewell would come behind megabytes, long after the connection is given up."""
    async with door(limits=Limits(outbox_bytes=50_000)) as opened:
        slow = await opened.working(receive_buffer=4096)
        connection = await one(opened)
        filler = frame(package.encode(package.DATA, b"\x06\x06onChat" + b"x" * 8000))
        sent = await fill(connection, slow, filler)
        assert sent - 50_000 < UNSENT_BYTES + 2 * 65536  # the kernel counts in whole segments


async def test_a_slow_reader_that_resumes_is_told_why() -> None:
    async with door(limits=Limits(outbox_bytes=50_000)) as opened:
        slow = await opened.working(receive_buffer=4096)
        connection = await one(opened)
        filler = frame(package.encode(package.DATA, b"\x06\x06onChat" + b"x" * 8000))
        await fill(connection, slow, filler)
        opened.after(25)
        while (item := await slow.package()).type is package.DATA:
            assert len(item.body) == 8008  # no frame is cut
        assert kicked_with(item) == SLOW_READER.reason
        assert await slow.goodbye() == (4002, SLOW_READER.reason)


async def test_a_slow_reader_that_never_resumes_is_dropped() -> None:
    async with door(limits=Limits(outbox_bytes=50_000)) as opened:
        slow = await opened.working(receive_buffer=4096)
        connection = await one(opened)
        await fill(connection, slow, frame(NOTIFY * 1000))
        opened.after(31)
        assert not opened.connections.sockets


async def test_a_slow_reader_of_pongs_is_bounded_too() -> None:
    limits = Limits(
        outbox_bytes=20_000,
        messages_per_second=1 << 30,
        messages_burst=1 << 30,
        bytes_per_second=1 << 30,
        bytes_burst=1 << 30,
    )
    async with door(limits=limits) as opened:
        peer = await opened.working(receive_buffer=4096)
        connection = await one(opened)
        pings = masked(b"x" * 125, PING) * 200
        while connection.disconnect is None:
            await peer.send(pings)
            await asyncio.sleep(0)
        assert opened.counters == {"slow_reader": 1}


# Ends


async def test_a_kick_says_why_and_closes() -> None:
    async with door() as opened:
        peer = await opened.working()
        connection = await one(opened)
        connection.send(NOTIFY)
        connection.kick("you again?")
        connection.kick("twice")
        connection.send(NOTIFY)
        assert opened.closed == []  # never from within a call
        assert (await peer.package()).body == NOTIFY[4:]
        assert kicked_with(await peer.package()) == "you again?"
        assert await peer.goodbye() == (4500, "you again?")
        assert opened.closed == [(connection, KICKED.because("you again?"))]
        peer.close()
        await until(lambda: not opened.connections.sockets)


async def test_a_client_that_is_not_working_gets_no_kick_package() -> None:
    async with door() as opened:
        peer = await opened.upgraded()
        await until(lambda: opened.connections.sockets)
        (connection,) = opened.connections.sockets
        connection.kick("too early")
        assert await peer.goodbye() == (4500, "too early")


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_just_goes(reset: bool) -> None:
    async with door() as opened:
        peer = await opened.working()
        await one(opened)
        if reset:
            peer.sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        await until(lambda: opened.closed)
        assert [why.name for _, why in opened.closed] == ["connection_lost"]
        assert not opened.connections.sockets


async def test_sending_to_a_client_that_reset_its_connection() -> None:
    async with door() as opened:
        peer = await opened.working()
        connection = await one(opened)
        peer.sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        connection.send(NOTIFY)
        connection.kick("bye")
        await until(lambda: not opened.connections.sockets)
        assert len(opened.closed) == 1


async def test_a_client_that_resets_in_place_of_saying_goodbye() -> None:
    async with door() as opened:
        peer = await opened.working()
        (await one(opened)).kick("bye")
        assert kicked_with(await peer.package()) == "bye"
        peer.sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        await until(lambda: not opened.connections.sockets)
        assert opened.counters == {"kicked": 1}


async def test_a_handler_that_raises_ends_only_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(connection: Connection, received: Message) -> None:
        raise LookupError("a bug")

    async with door() as opened:
        opened.connections.on_message = fail
        peer = await opened.working()
        other = await opened.working()
        with caplog.at_level(logging.ERROR, "zchat.access"):
            await peer.send(masked(NOTIFY))
            code, reason = await peer.goodbye()
        assert (code, reason) == (1011, "internal error")
        assert "a bug" in caplog.text
        await other.send(masked(HEARTBEAT))
        assert (await other.package()).type is package.HEARTBEAT
