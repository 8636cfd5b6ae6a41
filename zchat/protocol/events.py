"""What happened on a client connection, as its two ends tell whoever owns the socket."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.handshake import HandshakeRequest
from zchat.protocol.message import Message
from zchat.protocol.protos import NO_PROTOS, Protos


class HandshakeDone(msgspec.Struct, frozen=True):
    """Server: the client was let in; the answer is in `data_to_send`."""

    request: HandshakeRequest


class HandshakeAsked(msgspec.Struct, frozen=True):
    """Server: `accept` or `refuse` has to decide about this client."""

    request: HandshakeRequest


class Ready(msgspec.Struct, frozen=True, gc=False):
    """Server: the client confirmed the handshake; from now on it may be sent anything."""


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """Either end: the peer is alive. A server has put its answer into `data_to_send`."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """Server: a request (its id is above 0) or a notify (its id is 0)."""

    message: Message


class HandshakeAccepted(msgspec.Struct, frozen=True):
    """Client: the server let us in; the confirmation is in `data_to_send`."""

    heartbeat: float | None
    """Seconds between heartbeats; None when the server wants none."""

    user: Any
    """What the server's application answered."""

    dictionary: RouteDictionary
    """The routes with codes, worth keeping for the next connection."""

    protos: Protos = NO_PROTOS
    """The schemas of bodies, likewise."""


class HandshakeRefused(msgspec.Struct, frozen=True, gc=False):
    """Client: the server closes the connection now."""

    code: int


class Response(msgspec.Struct, frozen=True, gc=False):
    """Client: the answer to the request of this id."""

    id: int
    body: bytes


class Push(msgspec.Struct, frozen=True, gc=False):
    """Client: something the server says unasked."""

    route: str
    body: bytes


class Kicked(msgspec.Struct, frozen=True, gc=False):
    """Client: the server closes the connection now, on purpose."""

    reason: str
    """`""` when the server gave none."""

    code: int | None = None
    """The WebSocket close code, where the transport has none."""


Event: TypeAlias = HandshakeDone | HandshakeAsked | Ready | Heartbeat | Received
ClientEvent: TypeAlias = HandshakeAccepted | HandshakeRefused | Heartbeat | Response | Push | Kicked
