"""Both ends of a client connection as state machines without I/O (pomelo wire 9, 10).

Bytes that arrived go into `receive`, which returns what happened; `data_to_send` then holds what
the machine itself wants written: handshakes, heartbeat answers, a kick. Requests, responses and
pushes are built with `message.py` and written by whoever owns the socket, after what
`data_to_send` gave.

    server   INITED --handshake--> WAIT_ACK --ack--> WORKING --close, kick, error--> CLOSED
             INITED --handshake--> ASKED --accept--> WAIT_ACK, where the application decides
    client   INITED --handshake answer----------------> WORKING --kick, error------> CLOSED

Bodies of messages stay bytes here.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from zchat.errors import ProtocolError
from zchat.protocol import body, message, package
from zchat.protocol.dictionary import EMPTY, RouteDictionary
from zchat.protocol.events import (
    ClientEvent,
    Event,
    HandshakeAccepted,
    HandshakeAsked,
    HandshakeDone,
    HandshakeRefused,
    Heartbeat,
    Kicked,
    Push,
    Ready,
    Received,
    Response,
)
from zchat.protocol.handshake import (
    HandshakeError,
    HandshakeRequest,
    HandshakeResponse,
    ServerHandshake,
    refusal,
)
from zchat.protocol.message import NOTIFY, PUSH, REQUEST, RESPONSE, Message
from zchat.protocol.package import DATA, HANDSHAKE, HANDSHAKE_ACK, HEARTBEAT, KICK, Package
from zchat.protocol.protos import NO_PROTOS, Protos


class State(IntEnum):
    INITED = 0
    """No handshake yet."""

    WAIT_ACK = 1
    """The handshake is answered, the client has not confirmed."""

    WORKING = 2
    """Messages flow."""

    CLOSED = 3
    """The connection must be closed; bytes that still arrive are not read."""

    ASKED = 4
    """The application decides about the handshake; what arrives meanwhile is ignored."""


INITED = State.INITED
WAIT_ACK = State.WAIT_ACK
WORKING = State.WORKING
CLOSED = State.CLOSED
ASKED = State.ASKED


_READY = Ready()
_HEARTBEAT = Heartbeat()
_ACK_BYTES = package.encode(HANDSHAKE_ACK)
HEARTBEAT_BYTES = package.encode(HEARTBEAT)
_DATA_HEADER = DATA << 24


class ServerConnection:
    """The server's end of one connection.

    Args:
        config: shared by all connections of a frontend.
    """

    __slots__ = ("_config", "_outgoing", "state")

    def __init__(self, config: ServerHandshake) -> None:
        self._config = config
        self._outgoing = b""
        self.state = INITED

    @property
    def send_allowed(self) -> bool:
        """Whether responses and pushes may be sent now (pomelo wire 10.2)."""
        return self.state is WORKING

    def message(self, data: bytes) -> Message | None:
        """The request or notify that `data` is, if it is one in one package, as nearly always.

        It needs no event and no package then, which is half of what `receive` costs. None, with
        nothing taken: `receive` has to look.
        """
        size = len(data) - 4
        if (
            size <= 0
            or self.state is not WORKING
            or size > self._config.limit
            or int.from_bytes(data[:4], "big") != _DATA_HEADER | size
        ):
            return None
        try:
            received = message.decode(data, self._config.dictionary, 4)
        except ProtocolError:
            return None
        kind = received.type
        return received if (kind is REQUEST and received.id) or kind is NOTIFY else None

    def receive(self, data: bytes) -> list[Event]:
        """Take one WebSocket message, binary or text as its bytes.

        One package is the rule, several are handled in order. Packages that do not fit the state,
        and messages that only servers send, are ignored, as in the reference. Empty text messages
        must not come here: the reference ignores them but closes on an empty binary one.

        Returns:
            what happened, in order.

        Raises:
            ProtocolError: the connection must be closed, after writing `data_to_send`, which holds
                the answer when a handshake is refused. What came earlier in this WebSocket message
                is lost with it.
        """
        if self.state is CLOSED:
            return []
        try:
            if not data:
                raise ProtocolError("empty message")
            packages = package.decode(data, self._config.limit)
        except ProtocolError:
            self.state = CLOSED
            raise
        return self.receive_packages(packages)

    def receive_packages(self, packages: Iterable[Package]) -> list[Event]:
        """Take packages that a `PackageDecoder` cut out of a stream.

        Returns:
            what happened, in order.

        Raises:
            ProtocolError: as `receive`.
        """
        events: list[Event] = []
        for item in packages:
            if self.state is not CLOSED:
                events += self._handle(item)
        return events

    def is_answered(self, data: bytes) -> bool:
        """Whether this WebSocket message is a heartbeat alone, whose answer is the same bytes.

        It need not be given to `receive`, then, by who sends `HEARTBEAT_BYTES` itself.
        """
        return (
            data == HEARTBEAT_BYTES and self.state is WORKING and self._config.heartbeat is not None
        )

    def data_to_send(self) -> bytes:
        """The packages to write now, as one WebSocket message; `b""` when there are none."""
        data, self._outgoing = self._outgoing, b""
        return data

    def accept(self, request: HandshakeRequest, user: Any) -> None:
        """Let the client of `HandshakeAsked` in; the answer is in `data_to_send`.

        Args:
            request: what it asked with.
            user: what the answer says as `user`, if truthy.
        """
        if self.state is ASKED:
            self._outgoing += self._config.answer(request, user)
            self.state = WAIT_ACK

    def refuse(self, code: int) -> None:
        """Do not let it in. The connection must be closed after writing `data_to_send`."""
        if self.state is ASKED:
            self._outgoing += refusal(code)
            self.state = CLOSED

    def kick(self, reason: str, code: int | None = None) -> None:
        """Say goodbye. The connection must be closed after writing `data_to_send`.

        A client that has not confirmed the handshake is told nothing (pomelo wire 15.1).

        Args:
            reason: in words.
            code: the WebSocket close code, for a transport that has none.
        """
        if self.state is WORKING:
            told = {"reason": reason} if code is None else {"reason": reason, "code": code}
            self._outgoing += package.encode(KICK, body.dumps(told))
        self.state = CLOSED

    def close(self) -> None:
        """The connection is closed; what still arrives is ignored."""
        self.state = CLOSED
        self._outgoing = b""

    def _handle(self, item: Package) -> list[Event]:
        state = self.state
        if item.type is DATA:
            return self._received(item.body) if state is WORKING else []
        if item.type is HEARTBEAT:
            return self._beat() if state is WORKING else []
        if item.type is HANDSHAKE:
            return self._shake_hands(item.body) if state is INITED else []
        if item.type is HANDSHAKE_ACK:
            return self._confirmed() if state is WAIT_ACK else []
        self.state = CLOSED
        raise ProtocolError(f"{item.type.name} package from a client")

    def _received(self, data: bytes) -> list[Event]:
        # Types that clients do not send are dropped and the connection kept (pomelo wire 13.5).
        if data and data[0] >> 1 & 7 not in _FROM_CLIENTS:
            return []
        try:
            received = message.decode(data, self._config.dictionary)
        except ProtocolError:
            self.state = CLOSED
            raise
        if received.type is not REQUEST or received.id == 0:
            received = Message(0, NOTIFY, received.route, received.body)
        return [Received(received)]

    def _shake_hands(self, data: bytes) -> list[Event]:
        try:
            request = HandshakeRequest.from_body(data)
            self._config.check(request)
        except HandshakeError as error:
            self._outgoing += refusal(error.code)
            self.state = CLOSED
            raise
        if self._config.asks:
            self.state = ASKED
            return [HandshakeAsked(request)]
        self._outgoing += self._config.answer(request)
        self.state = WAIT_ACK
        return [HandshakeDone(request)]

    def _confirmed(self) -> list[Event]:
        self.state = WORKING
        if self._config.heartbeat is not None:
            # The browser client's heartbeats start only when the server sends one (wire 9.2).
            self._outgoing += HEARTBEAT_BYTES
        return [_READY]

    def _beat(self) -> list[Event]:
        if self._config.heartbeat is None:
            return []
        # A message full of heartbeats is answered by one: no more goes out than came in.
        if not self._outgoing.endswith(HEARTBEAT_BYTES):
            self._outgoing += HEARTBEAT_BYTES
        return [_HEARTBEAT]


class ClientConnection:
    """The client's end of one connection. The handshake waits in `data_to_send` from the start.

    Args:
        client_type: what `sys.type` says.
        version: what `sys.version` says.
        user: what `user` says; absent when None.
        dictionary: kept from an earlier connection, so that the server need not send it again.
        protos: likewise.
        limit: bytes that the body of a package from the server may have.
    """

    __slots__ = ("_kept", "_kept_protos", "_limit", "_outgoing", "dictionary", "protos", "state")

    def __init__(
        self,
        *,
        client_type: str = "zchat-python",
        version: str = "1",
        user: Any = None,
        dictionary: RouteDictionary = EMPTY,
        protos: Protos = NO_PROTOS,
        limit: int = package.MAX_BODY,
    ) -> None:
        self._kept = dictionary
        self._kept_protos = protos
        self._limit = limit
        self.state = INITED
        self.dictionary = EMPTY
        """The routes with codes on this connection, known once the server let us in."""
        self.protos = NO_PROTOS
        """The schemas of bodies on this connection, likewise."""
        request = HandshakeRequest(
            client_type,
            version,
            protos.version or None,
            dictionary.version or None,
            user,
        )
        self._outgoing = package.encode(HANDSHAKE, request.as_body())

    @property
    def send_allowed(self) -> bool:
        """Whether requests and notifies may be sent now."""
        return self.state is WORKING

    def receive(self, data: bytes) -> list[ClientEvent]:
        """Take one WebSocket message with any number of packages.

        Returns:
            what happened, in order.

        Raises:
            ProtocolError: the server's bytes cannot be read; the connection must be closed.
        """
        if self.state is CLOSED:
            return []
        try:
            return self._read(package.decode(data, self._limit))
        except ProtocolError:
            self.state = CLOSED
            raise

    def data_to_send(self) -> bytes:
        """The packages to write now, as one WebSocket message; `b""` when there are none."""
        data, self._outgoing = self._outgoing, b""
        return data

    def beat(self) -> None:
        """Put a heartbeat into `data_to_send`; one is due an interval after the server's."""
        if self.state is WORKING:
            self._outgoing += HEARTBEAT_BYTES

    def _read(self, packages: list[Package]) -> list[ClientEvent]:
        events: list[ClientEvent] = []
        for item in packages:
            if self.state is CLOSED:
                break
            if item.type is DATA:
                if self.state is WORKING:
                    events.append(self._message(item.body))
            elif item.type is HEARTBEAT:
                events.append(_HEARTBEAT)
            elif item.type is HANDSHAKE:
                if self.state is INITED:
                    events.append(self._answered(item.body))
            elif item.type is KICK:
                self.state = CLOSED
                events.append(_kicked(item.body))
            else:
                raise ProtocolError(f"{item.type.name} package from a server")
        return events

    def _message(self, data: bytes) -> ClientEvent:
        received = message.decode(data, self.dictionary)
        if received.type is RESPONSE:
            return Response(received.id, received.body)
        if received.type is PUSH:
            return Push(received.route, received.body)
        raise ProtocolError(f"{received.type.name} message from a server")

    def _answered(self, data: bytes) -> ClientEvent:
        answer = HandshakeResponse.from_body(data, self._kept, self._kept_protos)
        if answer.code != 200:
            self.state = CLOSED
            return HandshakeRefused(answer.code)
        self.state = WORKING
        self.dictionary = answer.dictionary
        self.protos = answer.protos
        self._outgoing += _ACK_BYTES
        return HandshakeAccepted(answer.heartbeat, answer.user, answer.dictionary, answer.protos)


_FROM_CLIENTS = frozenset((REQUEST, NOTIFY, PUSH))


def _kicked(data: bytes) -> Kicked:
    """Some relatives of Pomelo kick without a body (pomelo wire 15.2)."""
    told = body.loads_lenient(data)
    if not isinstance(told, dict):
        return Kicked("")
    reason, code = told.get("reason"), told.get("code")
    return Kicked(reason if isinstance(reason, str) else "", code if type(code) is int else None)
