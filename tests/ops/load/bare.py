"""A bare server for lines to connect to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.timing import MS

WELCOME = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


class Bare:
    """A server that says what a test tells it to, in pieces, and keeps what it hears."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.heard = b""
        self.url = ""
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.heard += await reader.readuntil(b"\r\n\r\n")
        for piece in self._pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(5 * MS)
        try:
            while data := await reader.read(65536):
                self.heard += data
        except ConnectionError:
            pass  # the line went without saying goodbye
        writer.close()


@asynccontextmanager
async def serving(*pieces: bytes) -> AsyncIterator[Bare]:
    bare = Bare(*pieces)
    server = await asyncio.start_server(bare.serve, "127.0.0.1", 0)
    bare.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield bare
    finally:
        server.close()
        if bare.writer is not None:
            bare.writer.transport.abort()
        await server.wait_closed()
