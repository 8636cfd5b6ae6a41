"""From an HTTP request to a WebSocket (RFC 6455, section 4.2): the checks, the answer, the socket.

Any path, no subprotocol, no extension (pomelo wire 4.5). What Tornado has made of the connection
until then (12 KiB of streams, futures and buffers) is given up: the socket is all that is kept.
A `TlsSocket` goes the same way: to Tornado's stream it is a plain one.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import socket
import sys
from collections.abc import Collection, Mapping
from typing import Final, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import RequestStartLine, split_host_and_port
from tornado.iostream import IOStream

from zchat.errors import ProtocolError
from zchat.frontend.sockets.disconnect import FORBIDDEN_ORIGIN, Disconnect

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_EARLY: Final = 65536
_HOST: Final = 255 + len(":65535")  # Python does not read a port of thousands of digits


class HttpError(ProtocolError):
    """A request is refused by a plain HTTP response.

    Args:
        status: the response's code.
        reason: for people.
        headers: further headers of the response.
        counted: the reason to count, where refusing is our choice and not the request's fault.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        headers: dict[str, str] | None = None,
        counted: Disconnect | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers or {}
        self.counted = counted


def wants_upgrade(headers: Mapping[str, str]) -> bool:
    """Whether this is a WebSocket request, good or bad."""
    return "websocket" in _words(headers.get("upgrade", ""))


def accept(line: RequestStartLine, headers: Mapping[str, str], origins: Collection[str]) -> bytes:
    """The whole response that makes the connection a WebSocket.

    Args:
        headers: to be had by their names in lower case.
        origins: of the pages that may connect, such as `https://chat.example`; `*`: any. Clients
            that are not browsers send no origin and may always connect.

    Raises:
        HttpError: the request is no proper handshake (400, 405, 426), or its origin may not (403).
    """
    if line.method != "GET":
        raise HttpError(405, "a WebSocket begins with GET", {"Allow": "GET"})
    if line.version != "HTTP/1.1":
        raise HttpError(400, "a WebSocket begins with HTTP/1.1")
    if "upgrade" not in _words(headers.get("connection", "")):
        raise HttpError(400, "header Connection must contain Upgrade")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise HttpError(400, "a WebSocket request has no body")
    if headers.get("sec-websocket-version") != "13":
        raise HttpError(426, "WebSocket version 13 is spoken here", {"Sec-WebSocket-Version": "13"})
    origin = headers.get("origin")
    if origin is not None and "*" not in origins and origin not in origins:
        raise HttpError(403, FORBIDDEN_ORIGIN.reason, counted=FORBIDDEN_ORIGIN)
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + _accept_key(headers.get("sec-websocket-key", "")) + b"\r\n\r\n"
    )


def host_name(headers: Mapping[str, str]) -> str:
    """The name by which the client reached this server, without the port, as in a URL.

    Raises:
        HttpError: the header is missing, or no host name can be that long.
    """
    header = headers.get("host", "").strip()
    host = split_host_and_port(header)[0] if len(header) <= _HOST else ""
    if not 0 < len(host) <= 255:
        raise HttpError(400, "header Host must hold a host name")
    return sys.intern(host)  # one text for all connections that came by it


class ClientStream(IOStream):
    """Tornado's stream of a client: what was read before comes first, and its socket can be kept.

    Args:
        sock: accepted, non-blocking.
        early: what the client said already.
        address: where it comes from.
        deadline: by when it has to be a connection.
    """

    def __init__(self, sock: socket.socket, early: bytes, address: str, deadline: float) -> None:
        self._early = early
        self._released = False
        self.address = address
        self.deadline = deadline
        super().__init__(sock)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Called by Tornado."""
        early = self._early[: len(buf)]
        if not early:
            return super().read_from_fd(buf)
        self._early = self._early[len(early) :]
        buf[: len(early)] = early
        return len(early)

    def close_fd(self) -> None:
        """Called by Tornado."""
        if self._released:
            self.socket = None  # type: ignore[assignment]  # as Tornado's own does
        else:
            super().close_fd()

    def release(self) -> socket.socket:
        """Closes the stream and leaves the socket open."""
        sock: socket.socket = self.socket
        self._released = True
        self.close()
        return sock


def take_over(connection: HTTP1Connection) -> tuple[socket.socket, bytes]:
    """Takes the socket out of Tornado's hands, during `headers_received` only.

    Returns:
        the socket, and what the client sent after its request without waiting for the answer.

    Raises:
        OSError: the connection is gone.
    """
    stream = cast(ClientStream, connection.detach())
    try:
        early = _early_bytes(stream)
    except BaseException:
        stream.close()
        raise
    if stream.closed():
        raise ConnectionResetError("closed during its request")
    return stream.release(), early


def _early_bytes(stream: IOStream) -> bytes:
    """What the stream has read beyond the request; nothing waits for more."""
    read = stream.read_bytes(_EARLY, partial=True)
    assert isinstance(read, asyncio.Future)
    if not read.done():
        return b""
    data: bytes = read.result()
    return data


def _accept_key(key: str) -> bytes:
    try:
        nonce = base64.b64decode(key.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        nonce = b""
    if len(nonce) != 16:
        raise HttpError(400, "header Sec-WebSocket-Key must hold 16 bytes in base64")
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID).digest())


def _words(header: str) -> list[str]:
    return [word.strip().lower() for word in header.split(",")]
