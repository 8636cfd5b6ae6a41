"""One WebSocket as a load needs it: no task and no future per message, and the time of each read.

`zchat.client` would do, and costs several times as much per message: a generator that is slower
than what it measures would measure itself.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Callable
from time import monotonic
from typing import cast
from urllib.parse import urlsplit

from zchat.client import Disconnected
from zchat.frontend.sockets.frames import BINARY, CLOSE, PING, PONG, mask

MAX_UNSENT = 1024 * 1024
"""Bytes that may wait to be written to one connection."""

_HEAD_BYTES = 16 * 1024
_FIN = 0x80
_MASKED = 0x80
_HEAD = (
    "GET / HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


# All lines of a process read into it, one after the other. A Protocol without it is given new bytes
# of 256 KiB by each read, and a fifth of the process's time goes into getting and freeing them.
_READ = memoryview(bytearray(256 * 1024))


class Line(asyncio.BufferedProtocol):
    """A connection to a frontend.

    When `MAX_UNSENT` bytes wait to be written, `send` writes nothing and returns False, which its
    caller counts.

    Args:
        on_messages: called with the messages of one read, and the time of that read.
        on_lost: called with the reason when a connection that was open is gone.
    """

    __slots__ = ("_host", "_on_lost", "_on_messages", "_opened", "_rest", "_transport", "_why")

    def __init__(
        self,
        on_messages: Callable[[list[bytes], float], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._on_messages = on_messages
        self._on_lost = on_lost
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._host = ""
        self._rest = b""
        self._why = ""

    async def open(self, url: str, timeout: float) -> None:
        """Connect to ws://host:port or wss://host:port, the latter by the system's authorities.

        Raises:
            Disconnected: it did not work.
        """
        parts = urlsplit(url)
        self._host = parts.netloc
        host, secure = parts.hostname or "", parts.scheme == "wss"
        port = parts.port or (443 if secure else 80)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                await loop.create_connection(lambda: self, host, port, ssl=secure or None)
                await self._opened
        except OSError as error:  # TimeoutError is one
            self.close()
            raise Disconnected(f"cannot connect to {url}: {str(error) or 'Timeout'}") from None

    def send(self, data: bytes) -> bool:
        """Write one message, without waiting; returns whether it was written."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > MAX_UNSENT:
            return False
        transport.write(masked(BINARY, data))
        return True

    def close(self) -> None:
        """Close without saying goodbye. `on_lost` is not called."""
        self._on_lost = _nobody
        if self._transport is not None:
            self._transport.abort()

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(_HEAD.format(self._host, key).encode())

    def get_buffer(self, sizehint: int) -> memoryview:
        return _READ

    def buffer_updated(self, size: int) -> None:
        now = monotonic()
        data = self._rest + _READ[:size] if self._rest else bytes(_READ[:size])
        if not self._opened.done():
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
            if not end and len(head) <= _HEAD_BYTES:
                return
            if not (end and head.startswith(b"HTTP/1.1 101 ")):
                self._fail(f"no WebSocket: {head[:80]!r}")
                return
            self._rest = b""
            self._opened.set_result(None)
        messages = self._cut(data)
        if messages:
            self._on_messages(messages, now)

    def connection_lost(self, error: Exception | None) -> None:
        why = self._why or (str(error) if error else "connection lost")
        if not self._opened.done():
            self._opened.set_exception(Disconnected(why))
            self._opened.exception()  # whoever opens may have given up
        else:
            self._on_lost(why)

    def _cut(self, data: bytes) -> list[bytes]:
        """The messages that are complete; what is left waits in `_rest`."""
        messages = []
        position, end = 0, len(data)
        while end - position >= 2:
            size, body = data[position + 1], position + 2
            if size >= 126:
                body += 2 if size == 126 else 8
                if body > end:
                    break
                size = int.from_bytes(data[position + 2 : body], "big")
            if end - body < size:
                break
            if data[position] == _FIN | BINARY:
                messages.append(data[body : body + size])
            else:
                self._control(data[position], data[body : body + size])
            position = body + size
        self._rest = data[position:]
        return messages

    def _control(self, first: int, payload: bytes) -> None:
        if first == _FIN | PING and self._transport is not None:
            self._transport.write(masked(PONG, payload))
        elif first == _FIN | CLOSE:
            code, reason = payload[:2], payload[2:].decode("utf-8", "replace")
            self._fail(f"closed by the server: {int.from_bytes(code, 'big')} {reason}".rstrip())
        elif first != _FIN | PONG:
            self._fail(f"a frame that begins with {first:#x}; expected whole binary messages")

    def _fail(self, why: str) -> None:
        self._why = self._why or why
        if self._transport is not None:
            self._transport.abort()


def masked(opcode: int, payload: bytes) -> bytes:
    """One whole frame, as RFC 6455 5.3 wants it from clients."""
    size = len(payload)
    if size < 126:
        head = bytes((_FIN | opcode, _MASKED | size))
    elif size < 0x10000:
        head = struct.pack("!BBH", _FIN | opcode, _MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", _FIN | opcode, _MASKED | 127, size)
    key = os.urandom(4)
    return b"%b%b%b" % (head, key, mask(key, payload))


def _nobody(reason: str) -> None:
    """Is told when a connection ends that was meant to."""
