"""Clients' connections on the simulated network, in place of sockets, HTTP and WebSocket.

The bytes are real: what a frontend enqueues are whole WebSocket frames with Pomelo's packages.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from tests.sim.network import Link, Network
from tests.sim.process import Process, current_process
from zchat.frontend.sockets.disconnect import CONNECTION_LOST, KICKED, SERVER_STOPPING, Disconnect
from zchat.frontend.sockets.frames import frame
from zchat.protocol import message as messages
from zchat.protocol import package as packages
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.message import Message


class Client(Protocol):
    """The other end of a connection."""

    process: Process | None

    def receive(self, link: Link, data: bytes) -> None: ...

    def closed(self, link: Link, disconnect: Disconnect) -> None: ...

    def unlinked(self, link: Link) -> None: ...


class SimConnection:
    """Stands for zchat.frontend.sockets.connection.Connection."""

    def __init__(self, shared: SimConnections, link: Link) -> None:
        self.process = shared.process
        self.session: Any = None
        self.user: Any = None
        self.remote_address = "192.0.2.1"
        self.host = "chat.example"
        self.uid = ""
        self.disconnect: Disconnect | None = None
        self._shared = shared
        self._link = link
        self._out: list[bytes] = []

    def enqueue(self, data: bytes) -> None:
        """Goes out when this turn of the loop ends, with all else of the turn."""
        if self.disconnect is not None:
            return
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(data)

    def send(self, data: bytes) -> None:
        self.enqueue(frame(data))

    def deliver(self, data: bytes) -> None:
        """As `enqueue`: whoever calls it, a turn has ended."""
        self.enqueue(data)

    def defer(self, data: bytes) -> None:
        """As `enqueue`: a turn of the simulation has room for all."""
        self.enqueue(data)

    def lap(self) -> Callable[[], bool]:
        """By the next turn of the loop all have been flushed."""
        return lambda: True

    def _flush(self) -> None:
        self._shared.on_flush()
        if self._out:
            data, self._out = b"".join(self._out), []
            self._link.to_client(self._client.receive, self._link, data)

    @property
    def _client(self) -> Client:
        client: Any = self._link.client
        return client  # type: ignore[no-any-return]

    def kick(self, reason: str) -> None:
        self.close(KICKED.because(reason))

    def close(self, disconnect: Disconnect) -> None:
        if self.disconnect is None:
            self._flush()
            self._link.to_client(self._client.closed, self._link, disconnect)
            self._end(disconnect)

    def drop(self) -> None:
        self._link.break_off((self._link.client,))
        self.unlinked(self._link)

    def take(self, message: Message) -> None:
        """A message of the client has come."""
        if self.disconnect is None:
            self._shared.on_message(self, message)

    def unlinked(self, link: Link) -> None:
        if self.disconnect is None:
            self._end(CONNECTION_LOST)

    def _end(self, disconnect: Disconnect) -> None:
        self.disconnect = disconnect
        self._shared.sockets.pop(self, None)
        self._shared.counters[disconnect.name] += 1
        asyncio.get_running_loop().call_soon(self._shared.on_close, self, disconnect)

    def __str__(self) -> str:
        return str(self.process)


class SimConnections:
    """Stands for zchat.frontend.sockets.connections.Connections."""

    network: Network
    """Set for each run."""

    def __init__(
        self,
        handshake: object,
        client: object,
        limits: object,
        *,
        capacity: int,
        on_open: Callable[[SimConnection], None],
        on_message: Callable[[SimConnection, Message], None],
        on_close: Callable[[SimConnection, Disconnect], None],
        on_handshake: object,
        on_flush: Callable[[], None],
    ) -> None:
        self.process: Process | None = current_process()
        self.capacity = capacity
        self.on_open = on_open
        self.on_message = on_message
        self.on_close = on_close
        self.on_flush = on_flush
        self.sockets: dict[SimConnection, None] = {}
        self.counters: Counter[str] = Counter()

    def tick(self, now: float) -> None:
        """Time-outs of sockets are the network's affair."""

    def accept(self, link: Link, hello: object) -> None:
        """A client connects; its handshake is left out."""
        connection = SimConnection(self, link)
        link.server = connection
        self.sockets[connection] = None
        assert self.process is not None
        self.process.context.run(self.on_open, connection)

    def __str__(self) -> str:
        return str(self.process)


class SimAcceptor:
    """Stands for zchat.frontend.sockets.acceptor.Acceptor."""

    def __init__(self, server_id: str, connections: SimConnections, **options: object) -> None:
        self._connections = connections
        self._address = door(server_id)

    def bind(self, host: str, port: int) -> int:
        self._connections.network.listen(self._address, self._connections)
        return port

    def tick(self, now: float) -> None:
        """There are no certificates here."""

    async def stop(self, *, seconds: float) -> None:
        self._connections.network.unlisten(self._address, self._connections)
        for connection in list(self._connections.sockets):
            connection.close(SERVER_STOPPING)
        await asyncio.sleep(0)


def door(server_id: str) -> str:
    """Where clients reach a frontend."""
    return f"clients of {server_id}"


def received(data: bytes, dictionary: RouteDictionary) -> Iterator[Message]:
    """The messages in a run of WebSocket frames, as a frontend writes them."""
    place, end = 0, len(data)
    while place < end:
        size, place = data[place + 1], place + 2
        if size == 126:
            size, place = int.from_bytes(data[place : place + 2], "big"), place + 2
        elif size == 127:
            size, place = int.from_bytes(data[place : place + 8], "big"), place + 8
        for package in packages.decode(data[place : place + size]):
            if package.type is packages.DATA:
                yield messages.decode(package.body, dictionary)
        place += size
