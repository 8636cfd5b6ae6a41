"""What the tests of client sockets share: an open door, and a client that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from zchat.config.settings import Client, Limits
from zchat.frontend.sockets.acceptor import Acceptor
from zchat.frontend.sockets.addresses import Addresses
from zchat.frontend.sockets.connection import Connection
from zchat.frontend.sockets.connections import Connections
from zchat.frontend.sockets.disconnect import Disconnect
from zchat.frontend.sockets.frames import BINARY, CLOSE, close_frame, python_mask
from zchat.frontend.sockets.tls import Certificate
from zchat.protocol import package
from zchat.protocol.handshake import HandshakeRequest, ServerHandshake
from zchat.protocol.message import Message

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    "Host": "chat.example:3050",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
HANDSHAKE = package.encode(package.HANDSHAKE, b'{"sys":{"type":"js-websocket"},"user":{"n":1}}')
ACK = package.encode(package.HANDSHAKE_ACK)
HEARTBEAT = package.encode(package.HEARTBEAT)
NOTIFY = package.encode(package.DATA, b"\x02\x03a.b{}")
PATIENCE = 10.0
"""Seconds after which a test gives up; nothing waits for them to pass."""


def masked(payload: bytes, opcode: int = BINARY, *, first: int | None = None) -> bytes:
    """A client's frame; `first` in place of FIN and opcode, for fragments and nonsense."""
    start = bytes((0x80 | opcode if first is None else first,))
    length = len(payload)
    if length < 126:
        start += bytes((0x80 | length,))
    elif length < 65536:
        start += struct.pack(">BH", 0xFE, length)
    else:
        start += struct.pack(">BQ", 0xFF, length)
    return start + b"\x01\x02\x03\x04" + python_mask(b"\x01\x02\x03\x04", payload)


def request(path: str = "/", method: str = "GET", **changes: str | None) -> bytes:
    """An HTTP request; by default a good handshake. Names take `_` for `-`, None leaves out."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [
        f"{name}: {value}" for name, value in {**HEADERS, **named}.items() if value is not None
    ]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


@dataclass
class Door:
    """An acceptor on a free port, and all that its callbacks were told."""

    acceptor: Acceptor
    port: int
    opened: list[Connection] = field(default_factory=list)
    messages: list[tuple[Connection, Message]] = field(default_factory=list)
    closed: list[tuple[Connection, Disconnect]] = field(default_factory=list)
    health: dict[str, object] = field(default_factory=lambda: {"status": "ok"})
    peers: list[Peer] = field(default_factory=list)

    @property
    def connections(self) -> Connections[Connection]:
        return self.acceptor.connections

    @property
    def counters(self) -> dict[str, int]:
        return dict(self.connections.counters)

    def after(self, seconds: float) -> None:
        """Ticks as if so many seconds had passed."""
        self.connections.tick(self.connections.clock() + seconds)

    async def connect(self, *, receive_buffer: int | None = None) -> Peer:
        """A TCP connection; closed with the door at the latest, as all of these."""
        peer = Peer(receive_buffer)
        self.peers.append(peer)
        await asyncio.get_running_loop().sock_connect(peer.sock, ("127.0.0.1", self.port))
        return peer

    async def connect_tcp(self, *, receive_buffer: int | None = None) -> TcpPeer:
        """A TCP connection whose peer speaks no HTTP."""
        peer = TcpPeer(receive_buffer)
        self.peers.append(peer)
        await asyncio.get_running_loop().sock_connect(peer.sock, ("127.0.0.1", self.port))
        return peer

    async def connect_tls(self, context: ssl.SSLContext) -> TlsPeer:
        """A TLS connection."""
        opened = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname="localhost"
        )
        peer = TlsPeer(*opened)
        self.peers.append(peer)
        return peer

    async def upgraded(self, *, receive_buffer: int | None = None) -> Peer:
        """A WebSocket connection."""
        peer = await self.connect(receive_buffer=receive_buffer)
        await peer.send(request())
        status, _, _ = await peer.response()
        assert status == 101
        return peer

    async def working(self, *, receive_buffer: int | None = None) -> Peer:
        """A connection on which messages may be sent."""
        peer = await self.upgraded(receive_buffer=receive_buffer)
        await peer.send(masked(HANDSHAKE))
        assert (await peer.package()).type is package.HANDSHAKE
        await peer.send(masked(ACK))
        assert (await peer.package()).type is package.HEARTBEAT
        return peer


@contextlib.asynccontextmanager
async def door(
    *,
    handshake: ServerHandshake | None = None,
    client: Client | None = None,
    limits: Limits | None = None,
    capacity: int = 100,
    origins: tuple[str, ...] = ("*",),
    addresses: Addresses | None = None,
    certificate: Certificate | None = None,
    on_handshake: Callable[[Connection, HandshakeRequest], None] | None = None,
) -> AsyncIterator[Door]:
    """An open door; whoever is still inside at the end is dropped."""
    told: list[Door] = []
    connections = Connections(
        handshake or ServerHandshake(heartbeat=30),
        client or Client(),
        limits or Limits(),
        capacity=capacity,
        on_open=lambda connection: told[0].opened.append(connection),
        on_message=lambda connection, message: told[0].messages.append((connection, message)),
        on_close=lambda connection, why: told[0].closed.append((connection, why)),
        on_handshake=on_handshake,
    )

    def health() -> Mapping[str, object]:
        return told[0].health

    acceptor = Acceptor(
        "connector-server-1",
        connections,
        health=health,
        origins=origins,
        addresses=addresses,
        certificate=certificate,
    )
    told.append(Door(acceptor, acceptor.bind("127.0.0.1", 0)))
    try:
        yield told[0]
    finally:
        await acceptor.stop(seconds=0)
        for peer in told[0].peers:
            peer.close()
    assert not connections.sockets
    assert not len(connections.wheel)


class Peer:
    """A client made of a bare socket: it sends any bytes and reads only when told to."""

    def __init__(self, receive_buffer: int | None = None) -> None:
        self.sock = socket.socket()
        self.sock.setblocking(False)
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def say(self, packages: bytes, opcode: int = BINARY) -> None:
        """One message of the transport."""
        await self.send(masked(packages, opcode))

    async def leave(self) -> None:
        """Begins the closing handshake."""
        await self.say(close_frame(1000)[2:], CLOSE)

    async def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._buffer) < size:
            await self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    async def rest(self, *, reset: bool = False) -> bytes:
        """Everything until the server's end of stream, or, if allowed, its reset."""
        with contextlib.suppress(EOFError, *([ConnectionResetError] if reset else [])):
            while True:
                await self._more()
        data, self._buffer = self._buffer, b""
        return data

    async def response(self) -> tuple[int, str, bytes]:
        """An HTTP response: status, headers, body."""
        while b"\r\n\r\n" not in self._buffer:
            await self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        headers = head.decode("latin-1")
        body = b""
        for line in headers.split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "content-length":
                body = await self.read(int(value))
        return int(headers.split()[1]), headers, body

    async def frame(self) -> tuple[int, bytes]:
        """One frame: opcode and payload. Servers send whole, unmasked ones."""
        first, length = await self.read(2)
        assert first & 0xF0 == 0x80
        if length == 126:
            (length,) = struct.unpack(">H", await self.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await self.read(8))
        return first & 0x0F, await self.read(length)

    async def package(self) -> package.Package:
        """One package, which must be alone in its binary frame."""
        opcode, payload = await self.frame()
        assert opcode == BINARY
        (item,) = package.decode(payload)
        return item

    async def goodbye(self) -> tuple[int, str]:
        """Code and reason of the close frame, which must be the last the server sends."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE, (opcode, payload)
        assert await self.rest() == b""
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def close(self) -> None:
        self.sock.close()

    async def _more(self) -> None:
        async with asyncio.timeout(PATIENCE):
            data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        if not data:
            raise EOFError
        self._buffer += data


class TcpPeer(Peer):
    """One that speaks packages over TCP."""

    async def say(self, packages: bytes, opcode: int = BINARY) -> None:
        await self.send(packages)

    async def leave(self) -> None:
        """There is no closing handshake."""

    async def frame(self) -> tuple[int, bytes]:
        """The next package, as the frame that it would be in."""
        header = await self.read(4)
        return BINARY, header + await self.read(int.from_bytes(header[1:], "big"))

    async def shake(self) -> None:
        """Comes in."""
        await self.send(HANDSHAKE)
        assert (await self.package()).type is package.HANDSHAKE
        await self.send(ACK)
        assert (await self.package()).type is package.HEARTBEAT


class TlsPeer(TcpPeer):
    """One that encrypts."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self.sock.close()
        self._reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    def close(self) -> None:
        self.writer.close()

    async def _more(self) -> None:
        async with asyncio.timeout(PATIENCE):
            data = await self._reader.read(65536)
        if not data:
            raise EOFError
        self._buffer += data


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop turn until `condition()` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the code under test has no event to wait for
            await asyncio.sleep(0)
