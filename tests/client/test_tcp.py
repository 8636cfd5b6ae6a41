"""The client's TCP transport, against bare servers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.timing import eventually
from zchat.client import transport
from zchat.client.tcp import TcpTransport
from zchat.client.transport import MAX_UNSENT, Disconnected
from zchat.errors import Unavailable
from zchat.protocol import package

PUSH = package.encode(package.DATA, b"\x06\x06onChat{}")
BEAT = package.encode(package.HEARTBEAT)


class Probe:
    """A transport and what it said."""

    def __init__(self, limit: int = 1 << 20, ssl_context: ssl.SSLContext | None = None) -> None:
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed: asyncio.Future[tuple[int | None, str]] = (
            asyncio.get_running_loop().create_future()
        )
        self.transport = TcpTransport(
            self.messages.put_nowait,
            lambda code, reason: self.closed.set_result((code, reason)),
            limit,
            ssl_context,
        )


class Server:
    """Keeps what it hears; its writers are for tests to write to."""

    def __init__(self) -> None:
        self.heard = b""
        self.arrived = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.deaf = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if self.deaf:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        self.arrived.set()
        while data := await reader.read(65536):
            self.heard += data
        writer.close()

    async def writer(self) -> asyncio.StreamWriter:
        await self.arrived.wait()
        return self.writers[0]


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Server, str]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield server, f"{'tls' if context else 'tcp'}://127.0.0.1:{port}"
    finally:
        listening.close()
        for writer in server.writers:
            writer.transport.abort()
        await listening.wait_closed()


async def test_packages_both_ways_however_they_are_cut() -> None:
    async with serving() as (server, url):
        probe = Probe()
        await probe.transport.open(url, 5.0)
        writer = await server.writer()
        stream = PUSH + BEAT + PUSH
        for place in range(len(stream)):
            writer.write(stream[place : place + 1])
            await writer.drain()
        writer.write(stream)
        got = [await probe.messages.get() for _ in range(6)]
        assert got == [PUSH, BEAT, PUSH] * 2
        probe.transport.send(PUSH)
        probe.transport.send(BEAT)
        await probe.transport.close()
        assert await probe.closed == (None, "")
        await eventually(lambda: server.heard == PUSH + BEAT)


async def test_closed_by_the_server() -> None:
    async with serving() as (server, url):
        probe = Probe()
        await probe.transport.open(url, 5.0)
        (await server.writer()).close()
        assert await probe.closed == (None, "")
        with pytest.raises(Disconnected):
            probe.transport.send(PUSH)
        await probe.transport.close()


async def test_aborted() -> None:
    async with serving() as (_, url):
        probe = Probe()
        await probe.transport.open(url, 5.0)
        probe.transport.abort()
        assert await probe.closed == (None, "")
        probe.transport.abort()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"\x09\x00\x00\x00", "package type 9"),
        (b"\x04\x00\x01\x00", "the limit is 96"),
        (b"HTTP/1.1 400", "package type 72"),
    ],
)
async def test_bytes_that_are_no_packages(bad: bytes, why: str) -> None:
    async with serving() as (server, url):
        probe = Probe(limit=100)
        await probe.transport.open(url, 5.0)
        (await server.writer()).write(BEAT + bad + BEAT)
        code, reason = await probe.closed
        assert code is None
        assert why in reason
        assert probe.messages.get_nowait() == BEAT  # what came before it is good
        assert probe.messages.empty()


async def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        probe = Probe()
        with pytest.raises(Disconnected, match="cannot connect to tcp://"):
            await probe.transport.open(f"tcp://127.0.0.1:{bound.getsockname()[1]}", 5.0)
        with pytest.raises(Disconnected, match="not connected"):
            probe.transport.send(b"")
        probe.transport.abort()
        await probe.transport.close()


async def test_a_server_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CLOSE_TIMEOUT", 0.01)
    async with serving() as (server, url):
        server.deaf = True
        probe = Probe()
        await probe.transport.open(url, 5.0)
        await server.writer()

        def flood() -> None:
            for _ in range(100):
                probe.transport.send(b"x" * (MAX_UNSENT // 2))

        with pytest.raises(Unavailable, match="does not read"):
            flood()
        await probe.transport.close()
        await probe.closed


async def test_tls(tmp_path: Path) -> None:
    authority = Authority()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue(tmp_path))
    async with serving(context) as (server, url):
        probe = Probe(ssl_context=authority.client)
        await probe.transport.open(url, 5.0)
        (await server.writer()).write(PUSH)
        assert await probe.messages.get() == PUSH
        await probe.transport.close()
        stranger = Probe()
        with pytest.raises(Disconnected, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.transport.open(url, 5.0)
        assert not stranger.closed.done()


async def test_a_server_that_never_shakes_hands(tmp_path: Path) -> None:
    async with serving() as (_, url):
        with pytest.raises(Disconnected, match="Timeout"):
            await Probe().transport.open(url.replace("tcp", "tls"), 0.01)


async def test_cancelled_before_the_connection_is_up() -> None:
    async with serving() as (server, url):
        probe = Probe()
        opening = asyncio.create_task(probe.transport.open(url.replace("tcp", "tls"), 5.0))
        await server.arrived.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert not probe.closed.done()
