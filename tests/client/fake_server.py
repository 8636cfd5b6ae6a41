"""A server for the client's tests: Tornado's WebSocket and the server's end of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from zchat.errors import ProtocolError
from zchat.protocol import body, message, package
from zchat.protocol.connection import ServerConnection
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.events import HandshakeDone, Received
from zchat.protocol.handshake import HandshakeRequest, ServerHandshake
from zchat.protocol.message import NOTIFY, Message

NO_ANSWER = object()
"""What a handler returns to leave a request without an answer."""

DICTIONARY = RouteDictionary(["test.testHandler.echo", "gate.gateHandler.queryEntry"], ["onNews"])


class QuickHandshake(ServerHandshake):
    """Announces a heartbeat of a fraction of a second, which real servers may not."""

    def __init__(self, heartbeat: float) -> None:
        super().__init__(heartbeat=1)
        self.seconds = heartbeat

    def answer(self, request: HandshakeRequest, user: Any = None) -> bytes:
        told = {"code": 200, "sys": {"heartbeat": self.seconds}}
        return package.encode(package.HANDSHAKE, body.dumps(told))


class GreetingHandshake(ServerHandshake):
    """Tells clients what they said."""

    def answer(self, request: HandshakeRequest, user: Any = None) -> bytes:
        return super().answer(request, {"hello": request.user})


class FakeServer:
    """Answers requests from a table of functions, and does badly what it is told to do badly."""

    def __init__(self) -> None:
        self.handshake = ServerHandshake(heartbeat=30, dictionary=DICTIONARY)
        self.handlers: dict[str, Callable[[Any], Any]] = {"test.testHandler.echo": lambda it: it}
        self.silent = False
        """Reads but says nothing."""

        self.connections: list[FakeConnection] = []
        """Those that are open."""

        self.requests: list[HandshakeRequest] = []
        """The handshakes, in order."""

        self.messages: list[Message] = []
        """Requests and notifies, in order."""

        self.arrivals = asyncio.Condition()
        self.heartbeats = 0
        self.port = 0
        self._http: HTTPServer | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        application = Application([("/.*", FakeConnection, {"server": self})])
        self._http = HTTPServer(application)
        sockets = bind_sockets(self.port, "127.0.0.1", reuse_port=True)
        self._http.add_sockets(sockets)
        self.port = sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        if self._http is None:
            return
        self._http.stop()
        for connection in list(self.connections):
            connection.drop()
        await self._http.close_all_connections()
        self._http = None

    def push(self, route: str, told: Any) -> None:
        """Push to all."""
        for connection in self.connections:
            data = self.handshake.protos.at_server.encode(route, told)
            connection.say(message.data_push(route, data, self.handshake.dictionary))

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until something that a client does makes this true."""
        async with self.arrivals:
            await self.arrivals.wait_for(met)


class FakeConnection(WebSocketHandler):
    """One client at the fake server."""

    def __init__(
        self, application: Application, request: HTTPServerRequest, server: FakeServer
    ) -> None:
        super().__init__(application, request)
        self.server = server
        self.machine = ServerConnection(server.handshake)

    def open(self, *args: str, **kwargs: str) -> None:
        self.set_nodelay(True)
        self.server.connections.append(self)

    async def on_message(self, data: str | bytes) -> None:
        assert isinstance(data, bytes)
        try:
            events = self.machine.receive(data)
        except ProtocolError:
            self.say(self.machine.data_to_send())
            self.close(1002)
            return
        self.say(self.machine.data_to_send())
        for event in events:
            if isinstance(event, HandshakeDone):
                self.server.requests.append(event.request)
            elif isinstance(event, Received):
                self.handle(event.message)
        self.server.heartbeats += data == package.encode(package.HEARTBEAT)
        async with self.server.arrivals:
            self.server.arrivals.notify_all()

    def handle(self, received: Message) -> None:
        self.server.messages.append(received)
        route, bodies = received.route, self.server.handshake.protos.at_server
        answer = self.server.handlers[route](bodies.decode(route, received.body))
        if received.type is not NOTIFY and answer is not NO_ANSWER:
            self.say(message.data_response(received.id, bodies.encode(route, answer)))

    def say(self, packages: bytes) -> None:
        if packages and not self.server.silent:
            with suppress(WebSocketClosedError):
                self.write_message(packages, binary=True)

    def kick(self, reason: str, code: int) -> None:
        self.machine.kick(reason)
        self.say(self.machine.data_to_send())
        self.close(code, reason)

    def drop(self) -> None:
        """Cut the connection without a word."""
        self.ws_connection.stream.close()  # type: ignore[union-attr]

    def on_close(self) -> None:
        self.server.connections.remove(self)


@asynccontextmanager
async def fake_server() -> AsyncIterator[FakeServer]:
    """A server that is stopped at the end."""
    server = FakeServer()
    server.start()
    try:
        yield server
    finally:
        await server.stop()
