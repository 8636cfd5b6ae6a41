"""Packages over TCP, with TLS or without: what Pomelo's native clients speak."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from zchat.client import transport
from zchat.client.transport import MAX_UNSENT, Disconnected
from zchat.errors import Unavailable
from zchat.protocol import package
from zchat.protocol.package import PackageDecoder


class TcpTransport(asyncio.Protocol):
    """A `Transport` over one TCP connection; its contract is written there.

    A message is one package here. There are no close codes.

    Args:
        on_message: called with each package.
        on_close: called once, when the connection is gone.
        limit: bytes that a package from the server may have.
        ssl_context: by which `tls://` is encrypted; None: the system's authorities are trusted.
    """

    def __init__(
        self,
        on_message: Callable[[bytes], None],
        on_close: Callable[[int | None, str], None],
        limit: int,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._on_message = on_message
        self._on_close = on_close
        self._ssl_context = ssl_context
        self._decoder = PackageDecoder(limit - package.HEADER)
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.Event()
        self._opened = False
        self._reason = ""

    async def open(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
        context = None
        if parts.scheme == "tls":
            context = self._ssl_context or ssl.create_default_context()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                await loop.create_connection(lambda: self, host, port, ssl=context)
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            raise Disconnected(f"cannot connect to {url}: {str(error) or 'Timeout'}") from error
        self._opened = True
        if self._gone.is_set():  # already, before we came to know it
            self._on_close(None, self._reason)

    def send(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise Disconnected("not connected")
        if self._transport.get_write_buffer_size() + len(data) > MAX_UNSENT:
            raise Unavailable("the server does not read what it is sent")
        self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(transport.CLOSE_TIMEOUT):
                await self._gone.wait()
        except TimeoutError:
            self.abort()
            await self._gone.wait()

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._reason:
            return
        for item in self._decoder.feed(data):
            self._on_message(package.encode(item.type, item.body))
        if self._decoder.error is not None:
            self._reason = f"the server breaks the protocol: {self._decoder.error}"
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._reason = self._reason or (str(error) if error else "")
        self._gone.set()
        if self._opened:
            self._on_close(None, self._reason)
