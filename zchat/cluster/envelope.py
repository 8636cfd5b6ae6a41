"""What servers say to each other, as bytes.

A DEALER and a ROUTER exchange batches. One ZeroMQ message is one batch: everything that one turn of
the event loop had for that peer.

    message   = version batch           version: the byte 0x01
    batch     = msgpack array of envelopes
    envelope  = msgpack array: its tag, then its fields in the order of this table

    tag  envelope  fields                                            from
    1    Hello     protocol server_id server_type incarnation generation    DEALER
    2    Welcome   protocol server_id server_type incarnation generation    ROUTER
    3    Ping      generation                                        both
    4    Pong      generation                                        both
    5    Request   id route session body budget_ms kind message_id   DEALER
    6    Call      id method args budget_ms origin                   both
    7    Cast      method args                                       both
    8    Reply     id body                                           both
    9    Failure   id code message fields                            both
    10   Stranger                                                    ROUTER

Hello is the first envelope on every new link, Welcome its answer; nothing else is read from a
DEALER before its Hello: the ROUTER answers it with Stranger, which asks for a Hello. Ids belong to
the side that asks and are never used twice by one process. `budget_ms` is the time left when the
message was written: no clock is shared between machines, so the receiver counts down from its own.
An envelope may grow at its end: a reader skips fields that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from zchat.errors import ClusterError, RequestError

PROTOCOL: Final = 1
"""The version of this table: the first byte of each message and the first field of a Hello."""

VERSION: Final = bytes([PROTOCOL])

MAX_MESSAGE: Final = 32 * 1024 * 1024
"""Bytes that one message may have; a peer that sends more is cut off (ZMQ_MAXMSGSIZE)."""

NOTIFY: Final = 1
"""Flag of `Request.kind`: the client expects no answer, so none is sent."""

IDEMPOTENT: Final = 2
"""Flag of `Request.kind`: doing it twice does no harm, so it is sent again after a loss."""

Id = Annotated[int, msgspec.Meta(ge=0)]
Budget = Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Hello(msgspec.Struct, tag=1, array_like=True, gc=False):
    """I am this server, in this life; `generation` is the highest ring that I have heard of."""

    protocol: int
    server_id: Name
    server_type: Name
    incarnation: Name
    generation: Id


class Welcome(msgspec.Struct, tag=2, array_like=True, gc=False):
    """The answer to a Hello, with the same fields about the server that answers."""

    protocol: int
    server_id: Name
    server_type: Name
    incarnation: Name
    generation: Id


class Ping(msgspec.Struct, tag=3, array_like=True, gc=False):
    """Are you there?"""

    generation: Id


class Pong(msgspec.Struct, tag=4, array_like=True, gc=False):
    """Yes."""

    generation: Id


class Request(msgspec.Struct, tag=5, array_like=True, gc=False):
    """A client's request or notify, forwarded unread by the frontend that holds its socket.

    `session` is an opaque snapshot of the session, `body` what the client sent, `kind` an or of the
    flags NOTIFY and IDEMPOTENT. `message_id` is the client's own number for it, 0 for a notify.
    """

    id: Id
    route: str
    session: bytes
    body: bytes
    budget_ms: Budget
    kind: int
    message_id: Id = 0


class Call(msgspec.Struct, tag=6, array_like=True, gc=False):
    """A call of one server to another; `args` is msgpack, `origin` the context it is made in."""

    id: Id
    method: str
    args: bytes
    budget_ms: Budget
    origin: bytes


class Cast(msgspec.Struct, tag=7, array_like=True, gc=False):
    """A call without an answer."""

    method: str
    args: bytes


class Reply(msgspec.Struct, tag=8, array_like=True, gc=False):
    """The answer to a Request (the body for the client) or to a Call (msgpack)."""

    id: Id
    body: bytes


class Failure(msgspec.Struct, tag=9, array_like=True, gc=False):
    """The other answer: what a RequestError carries."""

    id: Id
    code: int
    message: str
    fields: dict[str, Any]

    def error(self) -> RequestError:
        """The exception that says the same."""
        fields = {key: value for key, value in self.fields.items() if key not in _TAKEN}
        return RequestError.of(self.code, self.message, fields)


class Stranger(msgspec.Struct, tag=10, array_like=True, gc=False):
    """I don't know you (any more): say Hello first. What came before was not read."""


# Names that a RequestError gives another meaning: a peer's fields must not clash with them.
_TAKEN: Final = frozenset({"self", "message", "code"})

Envelope: TypeAlias = (
    Hello | Welcome | Ping | Pong | Request | Call | Cast | Reply | Failure | Stranger
)
Answer: TypeAlias = Reply | Failure
OnAnswer: TypeAlias = Callable[[Answer], None]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Envelope]).decode
_decode_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_one = msgspec.msgpack.Decoder(Envelope).decode
_decode_any = msgspec.msgpack.Decoder().decode

# What msgspec raises on bytes that are not what they should be. RecursionError: deep nesting.
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OverflowError)


def encode(envelopes: Sequence[Envelope]) -> bytes:
    """One message that carries `envelopes` in this order."""
    return VERSION + _encode(envelopes)


def decode(message: bytes) -> list[Envelope]:
    """The envelopes of one message.

    Raises:
        ClusterError: it is of another version, or an envelope in it cannot be read. Then
            `decode_readable` still gets the others out.
    """
    if message[:1] != VERSION:
        raise ClusterError(f"expected a message of version {PROTOCOL}, found {message[:1]!r}")
    try:
        return _decode(memoryview(message)[1:])
    except _UNREADABLE as error:
        raise ClusterError(f"unreadable envelope: {error}") from error


def decode_readable(message: bytes) -> tuple[list[Envelope], int]:
    """What can be read of a message that `decode` refused, and how many envelopes were left out.

    A batch mixes many clients' requests, so one bad envelope must not take the others with it. A
    message that is no batch at all counts as one.
    """
    if message[:1] != VERSION:
        return [], 1
    try:
        parts = _decode_parts(memoryview(message)[1:])
    except _UNREADABLE:
        return [], 1
    readable: list[Envelope] = []
    for part in parts:
        try:
            readable.append(_decode_one(part))
        except _UNREADABLE:
            continue
    return readable, len(parts) - len(readable)


def failure(request_id: int, code: int, message: str, fields: dict[str, Any]) -> Failure:
    """A Failure that can be written for certain.

    Its text and fields may stem from what a client sent (a lone surrogate, say); an envelope that
    cannot be encoded would take all the others of its batch with it.
    """
    made = Failure(request_id, code, message, fields)
    try:
        _encode(made)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return Failure(request_id, code, message.encode(errors="replace").decode(), {})
    return made


def pack(value: object) -> bytes:
    """A call's arguments or its result as msgpack.

    Raises:
        TypeError: `value` holds something that msgpack has no form for.
    """
    return _encode(value)


def unpack(data: bytes) -> Any:
    """The value that `pack` was given.

    Raises:
        ClusterError: `data` is not msgpack.
    """
    try:
        return _decode_any(data)
    except _UNREADABLE as error:
        raise ClusterError(f"unreadable msgpack: {error}") from error
