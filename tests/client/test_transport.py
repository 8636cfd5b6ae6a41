from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, WebSocketProtocol13

from zchat.client import transport
from zchat.client.transport import MAX_UNSENT, Disconnected, WebSocketTransport
from zchat.errors import Unavailable

UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)


def upgraded(head: bytes) -> bytes:
    """The answer to a client's upgrade request."""
    key = head.split(b"Sec-Websocket-Key: ")[1].split(b"\r\n")[0]
    return UPGRADED % WebSocketProtocol13.compute_accept_value(key).encode()


class Echo(WebSocketHandler):
    """Echoes; `close` closes with a code, `text` answers in a text message."""

    def on_message(self, data: str | bytes) -> None:
        match data:
            case b"close":
                self.close(4321, "enough")
            case b"text":
                self.write_message("é")
            case _:
                self.write_message(data, binary=True)


class Page(RequestHandler):
    def get(self) -> None:
        self.write("not a websocket")


class Probe:
    """A transport and what it said."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed: asyncio.Future[tuple[int | None, str]] = (
            asyncio.get_running_loop().create_future()
        )
        self.transport = WebSocketTransport(
            self.messages.put_nowait,
            lambda code, reason: self.closed.set_result((code, reason)),
            limit,
        )


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    http = HTTPServer(Application([("/echo", Echo), ("/page", Page)]))
    sockets = bind_sockets(0, "127.0.0.1")
    http.add_sockets(sockets)
    try:
        yield f"ws://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        http.stop()
        await http.close_all_connections()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 300_000])
async def test_messages_of_all_frame_sizes(size: int) -> None:
    async with echo() as url:
        probe = Probe()
        await probe.transport.open(url + "/echo", 5.0)
        sent = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        probe.transport.send(sent)
        assert await probe.messages.get() == sent
        await probe.transport.close()
        assert await probe.closed == (1000, "")


async def test_text_arrives_as_its_bytes() -> None:
    async with echo() as url:
        probe = Probe()
        await probe.transport.open(url + "/echo", 5.0)
        probe.transport.send(b"text")
        assert await probe.messages.get() == "é".encode()
        await probe.transport.close()


async def test_closed_by_the_server() -> None:
    async with echo() as url:
        probe = Probe()
        await probe.transport.open(url + "/echo", 5.0)
        probe.transport.send(b"close")
        assert await probe.closed == (4321, "enough")
        with pytest.raises(Disconnected):
            probe.transport.send(b"more")
        await probe.transport.close()


async def test_aborted() -> None:
    async with echo() as url:
        probe = Probe()
        await probe.transport.open(url + "/echo", 5.0)
        probe.transport.abort()
        assert await probe.closed == (None, "")
        probe.transport.abort()


async def test_message_beyond_the_limit_closes() -> None:
    async with echo() as url:
        probe = Probe(limit=10)
        await probe.transport.open(url + "/echo", 5.0)
        probe.transport.send(b"x" * 11)
        await probe.closed
        assert probe.messages.empty()


async def test_not_a_websocket() -> None:
    async with echo() as url:
        with pytest.raises(Disconnected, match="cannot connect to"):
            await Probe().transport.open(url + "/page", 5.0)
        with pytest.raises(Disconnected, match="404"):
            await Probe().transport.open(url + "/nothing", 5.0)


async def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        probe = Probe()
        with pytest.raises(Disconnected, match="cannot connect to"):
            await probe.transport.open(f"ws://127.0.0.1:{bound.getsockname()[1]}", 5.0)
        with pytest.raises(Disconnected, match="not connected"):
            probe.transport.send(b"")
        await probe.transport.close()


@asynccontextmanager
async def deaf(answer: bool = False) -> AsyncIterator[str]:
    """Accepts, answers the upgrade or not, and never reads more."""
    connected: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer)
        if answer:
            writer.write(upgraded(await reader.readuntil(b"\r\n\r\n")))
        writer.transport.pause_reading()  # type: ignore[attr-defined]

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for writer in connected:
            writer.transport.abort()
        await listening.wait_closed()


async def test_server_that_never_answers() -> None:
    async with deaf() as url:
        with pytest.raises(Disconnected, match="Timeout"):
            await Probe().transport.open(url, 0.01)


async def test_cancelled_before_the_connection_is_up() -> None:
    asked, answer, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await answer.wait()
        writer.write(upgraded(head))
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listening:
        url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        opening = asyncio.create_task(Probe().transport.open(url, 5.0))
        await asked.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        answer.set()
        await gone.wait()


async def test_closed_as_soon_as_it_is_open() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(upgraded(await reader.readuntil(b"\r\n\r\n")) + b"\x88\x02\x11\x94")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listening:
        probe = Probe()
        url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        await probe.transport.open(url, 5.0)
        assert await probe.closed == (4500, "")
        await probe.transport.close()


async def test_server_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CLOSE_TIMEOUT", 0.01)
    async with deaf(answer=True) as url:
        probe = Probe()
        await probe.transport.open(url, 5.0)
        chunk = b"x" * (MAX_UNSENT // 2)

        def flood() -> None:
            for _ in range(100):
                probe.transport.send(chunk)

        with pytest.raises(Unavailable, match="does not read"):
            flood()
        await probe.transport.close()
        assert await probe.closed == (None, "")
