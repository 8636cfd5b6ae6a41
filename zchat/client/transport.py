"""How a client's bytes travel: what every transport does, and WebSocket, on Tornado's client.

A transport carries packages both ways and knows nothing of what they say.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import struct
from collections.abc import Callable
from typing import Protocol

from tornado.httpclient import HTTPError, HTTPRequest
from tornado.iostream import IOStream, StreamBufferFullError, StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from zchat.errors import Unavailable, ZchatError

MAX_UNSENT = 1024 * 1024
"""Bytes that may wait to be written to one connection."""

CLOSE_TIMEOUT = 1.0
"""Seconds that the server has to answer our close before the socket is closed anyway."""


class Disconnected(ZchatError, ConnectionError):
    """There is no connection, or it ended before the answer came.

    Args:
        reason: why, in words.
        reconnect: whether it may be tried again.
    """

    def __init__(self, reason: str, *, reconnect: bool = True) -> None:
        super().__init__(reason)
        self.reconnect = reconnect


class Transport(Protocol):
    """One connection's way out and in.

    `on_message` gets what arrives; `on_close` is called once, with the WebSocket close code or
    None and the reason, when a connection that was open is gone, whoever ended it.
    """

    async def open(self, url: str, timeout: float) -> None:
        """Connect.

        Args:
            url: where to; its scheme says how.
            timeout: seconds after which even an attempt that was cancelled leaves no socket.

        Raises:
            Disconnected: it did not work.
        """

    def send(self, data: bytes) -> None:
        """Write one message, without waiting.

        When `MAX_UNSENT` bytes wait to be written, nothing is written and `Unavailable` is raised.

        Raises:
            Disconnected: the connection is gone.
            Unavailable: the server does not read.
        """

    def abort(self) -> None:
        """Close without saying goodbye. `on_close` is still called, a turn of the loop later."""

    async def close(self) -> None:
        """Close and wait until the connection is gone."""


class WebSocketTransport:
    """A `Transport` over one WebSocket; its contract is written there.

    Args:
        on_message: called with each message, binary or text as its bytes.
        on_close: called once, when the connection is gone.
        limit: bytes that a message from the server may have.
        ssl_context: by which `wss://` is encrypted; None: the system's authorities are trusted.
    """

    __slots__ = (
        "_connection",
        "_gone",
        "_limit",
        "_on_close",
        "_on_message",
        "_ssl_context",
        "_stream",
    )

    def __init__(
        self,
        on_message: Callable[[bytes], None],
        on_close: Callable[[int | None, str], None],
        limit: int,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._on_message = on_message
        self._on_close = on_close
        self._limit = limit
        self._ssl_context = ssl_context
        self._connection: WebSocketClientConnection | None = None
        self._stream: IOStream | None = None
        self._gone = asyncio.Event()

    async def open(self, url: str, timeout: float) -> None:
        connecting = asyncio.ensure_future(
            websocket_connect(
                HTTPRequest(
                    url,
                    connect_timeout=timeout,
                    request_timeout=timeout,
                    ssl_options=self._ssl_context,
                ),
                on_message_callback=self._received,
                max_message_size=self._limit,
            )
        )
        try:
            # Shielded: a connection that is ready just when we are cancelled must be closed.
            connection = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_close_unwanted)
            raise
        except (OSError, WebSocketError, HTTPError, ValueError) as error:
            raise Disconnected(f"cannot connect to {url}: {error}") from error
        self._connection = connection
        self._stream = _stream_of(connection)
        if self._stream is not None:
            self._stream.set_nodelay(True)
            self._stream.max_write_buffer_size = MAX_UNSENT
        if self._gone.is_set():  # already, before we came to know it
            self._tell(connection)

    def send(self, data: bytes) -> None:
        if self._stream is None:
            raise Disconnected("not connected")
        try:
            # Not connection.write_message, which starts a task for every message.
            self._stream.write(_frame(data))
        except StreamClosedError:
            raise Disconnected("the connection is gone") from None
        except StreamBufferFullError:
            raise Unavailable("the server does not read what it is sent") from None

    def abort(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._stream is not None:
            self._stream.close()

    async def close(self) -> None:
        if self._connection is None:
            return
        self._connection.close(1000)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._gone.wait()
        except TimeoutError:
            self.abort()
            await self._gone.wait()

    def _received(self, data: str | bytes | None) -> None:
        if data is None:
            self._closed()
        else:
            self._on_message(data if isinstance(data, bytes) else data.encode())

    def _closed(self) -> None:
        if not self._gone.is_set():
            self._gone.set()
            if self._connection is not None:
                self._tell(self._connection)

    def _tell(self, connection: WebSocketClientConnection) -> None:
        self.abort()  # or Tornado warns of a connection that nobody closed
        self._on_close(connection.close_code, connection.close_reason or "")


def _stream_of(connection: WebSocketClientConnection) -> IOStream | None:
    return connection.protocol.stream if connection.protocol is not None else None


def _close_unwanted(connecting: asyncio.Future[WebSocketClientConnection]) -> None:
    if connecting.exception() is None:
        stream = _stream_of(connecting.result())
        connecting.result().close()
        if stream is not None:
            stream.close()


def _frame(data: bytes) -> bytes:
    """One binary WebSocket frame, masked as RFC 6455 5.3 wants it from clients."""
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", 0x82, 0x80 | size)
    elif size < 0x10000:
        head = struct.pack("!BBH", 0x82, 0xFE, size)
    else:
        head = struct.pack("!BBQ", 0x82, 0xFF, size)
    mask = os.urandom(4)
    pattern = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")
    return head + mask + masked.to_bytes(size, "big")
