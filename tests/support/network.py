"""The network between browsers and frontends, which a test may break.

It listens at 127.0.0.2 on the frontends' own ports and passes everything on to 127.0.0.1, so
servers.json names 127.0.0.2 as the `clientHost` of the frontends behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

HOST = "127.0.0.2"

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Line:
    """One connection of a client: its two ends, each of which reads from the other."""

    def __init__(
        self, port: int, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self.port = port
        self.client = client
        self.server = server
        self._ghost = False

    @property
    def is_cut(self) -> bool:
        """Whether the client has lost it, or has hung up."""
        return self.client.transport.is_closing()

    def cut(self, *, ghost: bool) -> None:
        """Break it; with `ghost` only the client's end, so that the server sees nothing."""
        self._ghost = ghost
        self.client.transport.abort()
        if not ghost:
            self.server.transport.abort()

    async def pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Everything that comes from `source`, and its end."""
        with suppress(ConnectionError):  # one end is lost, and with it the line
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        if not self._ghost:
            sink.close()


class Network:
    """Lines to some ports. Use as a context manager."""

    def __init__(self, ports: Iterable[int]) -> None:
        self._ports = list(ports)
        self._open: list[Line] = []
        self._doors: list[asyncio.Server] = []
        self._passing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for port in self._ports:
            self._doors.append(await asyncio.start_server(self._accept(port), HOST, port))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for door in self._doors:
            door.close()
        await self.clear()

    async def clear(self) -> None:
        """End all lines, ghosts too, and wait until nothing is left of them."""
        for line in self._open:
            line.cut(ghost=False)
        lines, self._open = self._open, []
        await asyncio.gather(*self._passing)
        for line in lines:
            for end in (line.client, line.server):
                with suppress(ConnectionError):
                    await end.wait_closed()

    def cut(self, port: int, *, ghost: bool = False) -> int:
        """Break all lines to a port; returns how many there were."""
        lines = self._lines(port)
        for line in lines:
            line.cut(ghost=ghost)
        return len(lines)

    def count(self, port: int) -> int:
        """How many lines to a port there are."""
        return len(self._lines(port))

    def _lines(self, port: int) -> list[Line]:
        return [line for line in self._open if line.port == port and not line.is_cut]

    def _accept(self, port: int) -> Accept:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:  # the frontend is down: so is this port, for whoever asks
                writer.transport.abort()
                return
            line = Line(port, writer, far_writer)
            self._open.append(line)
            for source, sink in ((reader, far_writer), (far_reader, writer)):
                task = asyncio.create_task(line.pass_on(source, sink))
                self._passing.add(task)
                task.add_done_callback(self._passing.discard)

        return accept
