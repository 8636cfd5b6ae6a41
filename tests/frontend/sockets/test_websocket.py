"""WebSocket connections over real sockets: good clients, odd clients, hostile ones."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.frontend.wire import (
    ACK,
    HANDSHAKE,
    HEARTBEAT,
    NOTIFY,
    door,
    masked,
    until,
)
from zchat.config.settings import Limits
from zchat.frontend.sockets.frames import BINARY, CLOSE, PING, PONG, TEXT, frame
from zchat.protocol import message, package
from zchat.protocol.dictionary import EMPTY
from zchat.protocol.handshake import ServerHandshake

PUSH = message.data_push("onChat", b'{"msg":"hi"}', EMPTY)


async def test_packages_go_both_ways() -> None:
    async with door() as opened:
        peer = await opened.working()
        await until(lambda: opened.opened)
        await peer.send(masked(NOTIFY))
        await until(lambda: opened.messages)
        connection, received = opened.messages[0]
        assert (received.route, received.body) == ("a.b", b"{}")
        connection.send(PUSH)
        assert await peer.frame() == (BINARY, PUSH)
        connection.enqueue(frame(PUSH) * 2)
        assert [await peer.frame() for _ in range(2)] == [(BINARY, PUSH)] * 2
        peer.close()
        await until(lambda: opened.closed)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_package_may_come_as_text(opcode: int) -> None:
    async with door() as opened:
        peer = await opened.working()
        await peer.send(masked(b"", TEXT))  # ignored (pomelo wire 4.4)
        await peer.send(masked(NOTIFY, opcode))
        await until(lambda: opened.messages)


async def test_an_empty_binary_message_ends_the_connection() -> None:
    async with door() as opened:
        peer = await opened.working()
        await peer.send(masked(b""))
        code, _ = await peer.goodbye()
        assert code == 1002


async def test_bytes_cut_anywhere_are_understood() -> None:
    chance = random.Random(3)
    data = masked(NOTIFY[:4], first=0x02) + masked(b"?", PING) + masked(NOTIFY[4:], first=0x80)
    async with door() as opened:
        peer = await opened.working()
        stream = data * 20
        while stream:
            size = chance.randrange(1, 12)
            await peer.send(stream[:size])
            stream = stream[size:]
            await asyncio.sleep(0)
        await until(lambda: len(opened.messages) == 20)
        assert [await peer.frame() for _ in range(20)] == [(PONG, b"?")] * 20


async def test_many_messages_in_one_segment_are_answered_in_order() -> None:
    requests = [
        package.encode(package.DATA, b"\x00%c\x03a.b%d" % (number, number)) for number in range(100)
    ]
    async with door() as opened:
        peer = await opened.working()
        await peer.send(b"".join(map(masked, requests)))
        await until(lambda: len(opened.messages) == 100)
        assert [received.id for _, received in opened.messages] == list(range(100))
        for connection, received in opened.messages:
            connection.send(message.data_response(received.id, received.body))
        answers = [await peer.frame() for _ in range(100)]
        assert answers == [
            (BINARY, message.data_response(number, b"%d" % number)) for number in range(100)
        ]


async def test_the_closing_handshake_begun_by_the_client() -> None:
    async with door() as opened:
        peer = await opened.working()
        await peer.send(masked(b"\x0f\xa0done", CLOSE) + masked(NOTIFY))
        assert await peer.goodbye() == (4000, "")
        peer.close()
        await until(lambda: not opened.connections.sockets)
        assert opened.messages == []
        ((_, why),) = opened.closed
        assert (why.name, why.reason) == ("client_closed", "4000 done")


async def test_a_close_frame_without_a_code_is_answered_alike() -> None:
    async with door() as opened:
        peer = await opened.upgraded()
        await peer.send(masked(b"", CLOSE))
        assert await peer.frame() == (CLOSE, b"")
        assert await peer.rest() == b""


@pytest.mark.parametrize(
    ("data", "code", "name"),
    [
        (frame(NOTIFY), 1002, "malformed"),  # not masked
        (b"\xff" * 50, 1002, "malformed"),
        (masked(b"\xff\xfe", TEXT), 1007, "malformed"),
        (masked(b"x" * 70_000), 1009, "message_too_big"),
        (masked(b"\x09\x00\x00\x00"), 1002, "malformed"),  # package type 9
        (masked(b"\x04\x00\x00\x09ab"), 1002, "malformed"),  # cut short
        (masked(package.encode(package.KICK, b"{}")), 1002, "malformed"),
    ],
)
async def test_malformed_bytes_end_that_connection_and_no_other(
    data: bytes, code: int, name: str
) -> None:
    async with door() as opened:
        other = await opened.working()
        peer = await opened.working()
        await peer.send(data)
        said, reason = await peer.goodbye()  # and no kick package before it (pomelo wire 15.1)
        assert said == code
        assert reason
        assert opened.counters == {name: 1}
        ((_, why),) = opened.closed
        assert (why.name, why.code, why.reason) == (name, code, reason)
        await other.send(masked(NOTIFY))
        await until(lambda: opened.messages)


async def test_good_messages_before_bad_bytes_are_handled() -> None:
    async with door() as opened:
        peer = await opened.working()
        await peer.send(masked(NOTIFY) + b"\xff\xff")
        assert (await peer.goodbye())[0] == 1002
        assert len(opened.messages) == 1


async def test_the_largest_package_fits_and_one_byte_more_does_not() -> None:
    async with door(handshake=ServerHandshake(limit=1000)) as opened:
        peer = await opened.working()
        body = b"\x02\x03a.b" + b"1" * 995
        assert len(body) == 1000
        await peer.send(masked(package.encode(package.DATA, body)))
        await until(lambda: opened.messages)
        await peer.send(masked(package.encode(package.DATA, body + b"1")))
        assert (await peer.goodbye())[0] == 1009


async def test_a_refused_handshake_is_answered_before_the_close() -> None:
    async with door() as opened:
        peer = await opened.upgraded()
        await peer.send(masked(package.encode(package.HANDSHAKE, b"no json")))
        assert (await peer.package()).body == b'{"code":500}'
        assert (await peer.goodbye())[0] == 1000  # as in the reference (pomelo wire 6.4)
        assert opened.counters == {"handshake_refused": 1}
        assert not opened.opened
        assert not opened.closed


async def test_the_handshake_answer_is_overtaken_by_nothing() -> None:
    async with door() as opened:
        opened.connections.on_open = lambda connection: connection.send(PUSH)
        peer = await opened.upgraded()
        await peer.send(masked(HANDSHAKE) + masked(ACK))
        assert (await peer.package()).type is package.HANDSHAKE
        assert (await peer.package()).type is package.HEARTBEAT
        assert await peer.frame() == (BINARY, PUSH)


async def test_pings_are_answered_in_every_state() -> None:
    async with door() as opened:
        peer = await opened.upgraded()
        await peer.send(masked(b"one", PING))
        assert await peer.frame() == (PONG, b"one")
        await peer.send(masked(HANDSHAKE) + masked(b"two", PING) + masked(b"", PONG))
        assert (await peer.package()).type is package.HANDSHAKE
        assert await peer.frame() == (PONG, b"two")


async def test_random_bytes_never_leave_the_connection_or_the_loop() -> None:
    chance = random.Random(11)
    complaints: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    limits = Limits(bytes_per_second=1 << 30, bytes_burst=1 << 30)
    async with door(limits=limits) as opened:
        for _ in range(60):
            peer = await (opened.working if chance.random() < 0.5 else opened.upgraded)()
            noise = chance.randbytes(chance.randrange(1, 400))
            wrapped = (
                masked(noise, chance.choice([BINARY, TEXT])) if chance.random() < 0.7 else noise
            )
            await peer.send(wrapped)
            peer.close()
        await until(lambda: not opened.connections.sockets)
    assert complaints == []
    assert sum(opened.counters.values()) == 60


async def test_heartbeats_in_a_burst_are_answered() -> None:
    async with door() as opened:
        peer = await opened.working()
        for _ in range(3):
            await peer.send(masked(HEARTBEAT))
            assert (await peer.package()).type is package.HEARTBEAT
