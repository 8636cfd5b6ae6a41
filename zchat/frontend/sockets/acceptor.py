"""The door of a frontend: one port for clients over TCP and over WebSocket, with TLS or without.

The first byte decides (see `arrival.py`). What is no HTTP becomes a `TcpConnection` at once, and
the usual WebSocket request, whole and proper, a `WebSocketConnection`. All other HTTP is read by
Tornado; a request that passes the checks then loses its socket to a `WebSocketConnection` (see
`upgrade.py`), everything else is answered and closed:

    any path, Upgrade: websocket    101, or 400, 403, 405, 426; 503 when full or stopping
    GET /healthz                    200 or 503, JSON with at least {"status": string}
    anything else                   426, 405
"""

from __future__ import annotations

import http
import logging
import socket
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec
from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream
from tornado.netutil import add_accept_handler

from zchat.frontend.sockets.addresses import Addresses
from zchat.frontend.sockets.arrival import Arrival, Openings
from zchat.frontend.sockets.connection import Connection
from zchat.frontend.sockets.connections import Connections
from zchat.frontend.sockets.disconnect import BLOCKED, SERVER_STOPPING, TOO_MANY_CONNECTIONS
from zchat.frontend.sockets.listen import listen
from zchat.frontend.sockets.outbox import UNSENT_BYTES
from zchat.frontend.sockets.plain_request import read_request
from zchat.frontend.sockets.tcp import TcpConnection
from zchat.frontend.sockets.tls import Certificate
from zchat.frontend.sockets.upgrade import (
    ClientStream,
    HttpError,
    accept,
    host_name,
    take_over,
    wants_upgrade,
)
from zchat.frontend.sockets.websocket import WebSocketConnection

logger = logging.getLogger("zchat.access")

HEALTHY: Final = frozenset(("ok", "degraded"))
"""The states of a server that /healthz answers with 200: clients are served."""

_HEADER_BYTES: Final = 8192
_CHUNK: Final = 4096


class _HttpServer(HTTPServer):
    """Tornado's server, which counts those that have not finished their request as openings."""

    def initialize(  # type: ignore[override]  # Tornado calls it with what the constructor got
        self, acceptor: Acceptor, openings: Openings, timeout: float
    ) -> None:
        super().initialize(
            acceptor,
            no_keep_alive=True,
            chunk_size=_CHUNK,
            max_header_size=_HEADER_BYTES,
            max_body_size=0,
            idle_connection_timeout=timeout,
            body_timeout=timeout,
        )
        self._openings = openings

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        self._openings.add(stream)
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        self._openings.discard(cast(HTTP1ServerConnection, server_conn).stream)
        super().on_close(server_conn)


class _Admitted(NamedTuple):
    """A WebSocket request that is let in."""

    address: str
    host: str
    response: bytes


class Acceptor(HTTPServerConnectionDelegate):
    """Listens for clients, lets them in, and sees them off.

    Args:
        server_id: who listens, for errors.
        connections: where clients go. Its capacity bounds them. When full, a WebSocket request is
            answered 503 and a client over TCP is closed; both are counted. Besides, at most an
            eighth as many (and at least 64) may be accepted and not be connections yet, see
            `Openings`.
        health: what `/healthz` answers: `status` and whatever else is of interest; a status that is
            not `HEALTHY` makes it a 503. It must not raise.
        origins: of the pages that may connect; `*`: any.
        addresses: who is not let in, and whose word is taken for an address.
        certificate: for TLS, which all clients have to use then; None: no TLS.
    """

    def __init__(
        self,
        server_id: str,
        connections: Connections[Connection],
        *,
        health: Callable[[], Mapping[str, object]],
        origins: Collection[str] = ("*",),
        addresses: Addresses | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self.connections = connections
        self._server_id = server_id
        self._health = health
        self._origins = origins
        self._addresses = addresses or Addresses()
        self._certificate = certificate
        self._stopping = False
        self._listening: list[tuple[socket.socket, Callable[[], None]]] = []
        self._openings = Openings(max(64, connections.capacity // 8), connections.counters)
        self._http = _HttpServer(self, self._openings, connections.handshake_timeout)

    def bind(self, host: str, port: int) -> int:
        """Listens on one more address.

        Returns:
            the port, which is a free one if 0 was asked for.

        Raises:
            ConfigError: the address cannot be had; the text names it and this server.
        """
        sockets = listen(self._server_id, host, port)
        for sock in sockets:  # inherited by what it accepts: no calls per client
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._listening.append((sock, add_accept_handler(sock, self._accepted)))
        bound: int = sockets[0].getsockname()[1]
        logger.info(
            "%s listens on %s:%d%s, room for %d connections",
            self._server_id,
            host or "*",
            bound,
            " with TLS" if self._certificate else "",
            self.connections.capacity,
        )
        return bound

    async def stop(self, *, pace: float = 500.0, seconds: float = 10.0) -> None:
        """Stops accepting, tells the clients to move, waits for them, closes. Idempotent.

        Args:
            pace: clients told per second; more if `seconds` would else not be enough.
            seconds: when they have passed, whoever is left is dropped.
        """
        self._stopping = True
        for sock, unlisten in self._listening:
            unlisten()
            sock.close()
        self._listening.clear()
        await self.connections.drain(SERVER_STOPPING, pace=pace, seconds=seconds)
        self._openings.close()
        await self._http.close_all_connections()

    def tick(self, now: float) -> None:
        """Looks whether there is a new certificate; call it from time to time."""
        if self._certificate is not None:
            self._certificate.tick(now)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Called by Tornado when a client begins to speak HTTP."""
        return _Request(self, cast(HTTP1Connection, request_conn))

    def upgrade(
        self, connection: HTTP1Connection, line: RequestStartLine, headers: HTTPHeaders
    ) -> None:
        """Makes a WebSocket connection of a request.

        Raises:
            HttpError: it is not let in.
        """
        stream = cast(ClientStream, connection.stream)
        admitted = self._admit(stream.address, line, headers)
        try:
            sock, early = take_over(connection)
        except OSError as error:
            logger.debug("! %s went during the upgrade: %s", admitted.address, error)
            return
        self._begin(sock, stream.deadline, admitted, early)

    def _upgrade_at_once(self, arrival: Arrival, data: bytes) -> bool:
        """Likewise, when the first bytes are the usual request; whether they are.

        Tornado's stream, reading task and futures for it cost 130 of the 220 us of CPU that it took
        to connect and shake hands. What is refused is left to Tornado, to be answered.
        """
        request = read_request(data)
        if request is None or not wants_upgrade(request.headers):
            return False
        try:
            admitted = self._admit(arrival.address, request.line, request.headers)
        except HttpError:
            return False
        self._begin(arrival.socket, arrival.deadline, admitted, request.early)
        return True

    def _admit(self, peer: str, line: RequestStartLine, headers: Mapping[str, str]) -> _Admitted:
        """Checks a WebSocket request.

        Raises:
            HttpError: it is not let in.
        """
        address = self._client_address(peer, headers)
        response = accept(line, headers, self._origins)
        host = host_name(headers)
        if self._stopping or self.connections.full:
            why = SERVER_STOPPING if self._stopping else TOO_MANY_CONNECTIONS
            raise HttpError(503, why.reason, {"Retry-After": "1"}, counted=why)
        return _Admitted(address, host, response)

    def _begin(
        self, sock: socket.socket, deadline: float, admitted: _Admitted, early: bytes
    ) -> None:
        """It is a WebSocket from here on."""
        client = WebSocketConnection(
            self.connections,
            sock,
            remote_address=admitted.address,
            host=admitted.host,
            deadline=deadline,
        )
        client.enqueue(admitted.response)
        if early:
            client.receive(early)

    def _accepted(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        """A client's socket; it is not known yet what the client speaks."""
        shared = self.connections
        if self._addresses.blocks(address[0]):
            shared.counters[BLOCKED.name] += 1
            sock.close()
            return
        sock.setblocking(False)
        try:
            sock = sock if self._certificate is None else self._certificate.wrap(sock)
        except OSError as error:
            logger.debug("! %s went before TLS: %s", address[0], error)
            sock.close()
            return
        Arrival(
            sock,
            address[0],
            shared.clock() + shared.handshake_timeout,
            loop=shared.loop,
            wheel=shared.wheel,
            openings=self._openings,
            counters=shared.counters,
            spoke=self._spoke,
        ).start()

    def _spoke(self, arrival: Arrival, data: bytes) -> None:
        """A client's first bytes: HTTP begins with a letter, no package does."""
        sock, address, deadline = arrival.socket, arrival.address, arrival.deadline
        if data[:1].isalpha():
            if self._upgrade_at_once(arrival, data):
                return
            stream = ClientStream(sock, data, address, deadline)
            self._http.handle_stream(stream, (address, 0))
        elif self.connections.full:
            self.connections.counters[TOO_MANY_CONNECTIONS.name] += 1
            sock.close()  # without a word, as the reference does (pomelo wire 14.7)
        else:
            client = TcpConnection(
                self.connections, sock, remote_address=address, deadline=deadline
            )
            client.receive(data)

    def _client_address(self, peer: str, headers: Mapping[str, str]) -> str:
        """Where the client really is.

        Raises:
            HttpError: clients from there are not let in.
        """
        forwarded_for, real_ip = headers.get("x-forwarded-for", ""), headers.get("x-real-ip", "")
        address = self._addresses.client(peer, forwarded_for, real_ip)
        if address != peer and self._addresses.blocks(address):
            raise HttpError(403, BLOCKED.reason, counted=BLOCKED)
        return address

    def answer(self, line: RequestStartLine) -> tuple[int, Mapping[str, object]]:
        """Status and body of the response to a request that asks for no upgrade.

        Raises:
            HttpError: there is nothing but WebSockets and `/healthz` here.
        """
        if line.method not in ("GET", "HEAD"):
            raise HttpError(405, "only GET is served here", {"Allow": "GET, HEAD"})
        if line.path.partition("?")[0] != "/healthz":
            raise HttpError(426, "only WebSockets are served here", {"Upgrade": "websocket"})
        health = self._health()
        return 200 if health.get("status") in HEALTHY else 503, health


class _Request(HTTPMessageDelegate):
    """One HTTP request. The upgrade happens when the headers are there, the rest at the end."""

    def __init__(self, acceptor: Acceptor, connection: HTTP1Connection) -> None:
        self._acceptor = acceptor
        self._connection = connection
        self._status = 500
        self._body: Mapping[str, object] = {}
        self._headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        self._head_only = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """Called by Tornado; the only moment at which it gives its stream away."""
        line = cast(RequestStartLine, start_line)
        self._head_only = line.method == "HEAD"
        try:
            if wants_upgrade(headers):
                self._acceptor.upgrade(self._connection, line, headers)
            else:
                self._status, self._body = self._acceptor.answer(line)
        except HttpError as error:
            self._status = error.status
            self._body = {"code": error.status, "error": str(error)}
            self._headers |= error.headers
            if error.counted is not None:
                self._acceptor.connections.counters[error.counted.name] += 1

    def finish(self) -> None:
        """Called by Tornado when the request is complete; never after an upgrade."""
        body = msgspec.json.encode(self._body)
        headers = HTTPHeaders({**self._headers, "Content-Length": str(len(body))})
        phrase = http.HTTPStatus(self._status).phrase
        line = ResponseStartLine("HTTP/1.1", self._status, phrase)
        self._connection.write_headers(line, headers, None if self._head_only else body)
        self._connection.finish()
