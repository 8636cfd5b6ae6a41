"""The inner unit of the client wire: what a DATA package carries (pomelo wire 11).

    flag (1) | id, base-128 varint | route: code (2) or length (1) + UTF-8 | body, the rest

    flag bit 0     the route is a dictionary code
    flag bits 1-3  type
    flag bits 4-7  0 when sent, ignored when read

    type         flag      fields before the body
    0 request    00 / 01   id, route
    1 notify     02 / 03   route
    2 response   04        id
    3 push       06 / 07   route

Varints have their low group first; a set high bit says that more follows.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from zchat.errors import ProtocolError
from zchat.protocol.body import text
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.package import DATA, MAX_BODY

__all__ = [
    "MAX_ID",
    "Message",
    "MessageType",
    "data_push",
    "data_response",
    "decode",
    "encode_notify",
    "encode_push",
    "encode_request",
    "encode_response",
]

MAX_ID = 2**53 - 1
"""The largest request id: JavaScript's largest exact integer. The reference goes wrong from 2^31
on, and loops forever answering some of them (pomelo wire 11.4)."""


class MessageType(IntEnum):
    REQUEST = 0
    NOTIFY = 1
    RESPONSE = 2
    PUSH = 3


REQUEST = MessageType.REQUEST
NOTIFY = MessageType.NOTIFY
RESPONSE = MessageType.RESPONSE
PUSH = MessageType.PUSH


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message as received."""

    id: int
    """Of a request or response, 0 to `MAX_ID`; 0 for the other types."""

    type: MessageType

    route: str
    """Codes are resolved, unknown ones to `#` and the number; `""` for responses."""

    body: bytes


def encode_request(message_id: int, route: str, body: bytes, dictionary: RouteDictionary) -> bytes:
    """A request message, without package header.

    Raises:
        ValueError: the id is not within 0 to `MAX_ID`, or the route is longer than 255 bytes.
    """
    compressed, field = dictionary.field(route)
    return _FLAGS[REQUEST << 1 | compressed] + _varint(message_id) + field + body


def encode_notify(route: str, body: bytes, dictionary: RouteDictionary) -> bytes:
    """A notify message, without package header.

    Raises:
        ValueError: the route is longer than 255 bytes.
    """
    compressed, field = dictionary.field(route)
    return _FLAGS[NOTIFY << 1 | compressed] + field + body


def encode_response(message_id: int, body: bytes) -> bytes:
    """A response message, without package header.

    Raises:
        ValueError: the id is not within 0 to `MAX_ID`.
    """
    return b"\x04" + _varint(message_id) + body


def encode_push(route: str, body: bytes, dictionary: RouteDictionary) -> bytes:
    """A push message, without package header.

    Raises:
        ValueError: the route is longer than 255 bytes.
    """
    compressed, field = dictionary.field(route)
    return _FLAGS[PUSH << 1 | compressed] + field + body


def data_response(message_id: int, body: bytes) -> bytes:
    """A response as a complete DATA package, built in one step.

    Raises:
        ValueError: the id is not within 0 to `MAX_ID`, or the package is too large.
    """
    varint = _SHORT_IDS[message_id] if 0 <= message_id < 128 else _varint(message_id)
    size = len(varint) + 1 + len(body)
    if size > MAX_BODY:
        raise _too_large(size)
    return b"%b\x04%b%b" % ((_DATA | size).to_bytes(4, "big"), varint, body)


def data_push(route: str, body: bytes, dictionary: RouteDictionary) -> bytes:
    """A push as a complete DATA package, built in one step.

    Raises:
        ValueError: the route is longer than 255 bytes, or the package is too large.
    """
    compressed, field = dictionary.field(route)
    size = len(field) + 1 + len(body)
    if size > MAX_BODY:
        raise _too_large(size)
    flag = b"\x07" if compressed else b"\x06"
    return b"%b%b%b%b" % ((_DATA | size).to_bytes(4, "big"), flag, field, body)


def decode(data: bytes, dictionary: RouteDictionary, start: int = 0) -> Message:
    """Read one message, which reaches to the end of `data`.

    Args:
        dictionary: resolves route codes.
        start: where the message begins, so that a package's header need not be cut off first.

    Raises:
        ProtocolError: the message is cut short, its type is 4-7 or its id exceeds `MAX_ID`.
    """
    try:
        flag = data[start]
        message_type = _TYPES[flag >> 1 & 7]
        position = start + 1
        message_id = 0
        if message_type is REQUEST or message_type is RESPONSE:
            message_id = data[position]
            position += 1
            if message_id > 127:
                message_id, position = _read_id(data, position - 1)
        elif message_type is None:
            raise ProtocolError(f"message type {flag >> 1 & 7}; expected 0-3")
        if message_type is RESPONSE:
            return Message(message_id, message_type, "", data[position:])
        if flag & 1:
            body = position + 2
            route = dictionary.route(data[position] << 8 | data[position + 1])
        else:
            body = position + 1 + data[position]
            route = text(data[position + 1 : body])
    except IndexError:
        raise ProtocolError(f"message of {len(data) - start} bytes is cut short") from None
    if body > len(data):
        raise ProtocolError(f"message of {len(data) - start} bytes ends within its route")
    return Message(message_id, message_type, route, data[body:])


_DATA = DATA << 24
_TYPES = (REQUEST, NOTIFY, RESPONSE, PUSH, None, None, None, None)
_FLAGS = tuple(bytes((flag,)) for flag in range(8))
_SHORT_IDS = tuple(bytes((number,)) for number in range(128))
_MAX_VARINT = 10


def _read_id(data: bytes, position: int) -> tuple[int, int]:
    """The varint at `position` and where it ends. Overlong ones are read as the plain value."""
    value = 0
    for index in range(_MAX_VARINT):
        byte = data[position + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            break
    else:
        raise ProtocolError(f"message id of more than {_MAX_VARINT} bytes")
    if value > MAX_ID:
        raise ProtocolError(f"message id {value}; the largest is {MAX_ID}")
    return value, position + index + 1


def _varint(number: int) -> bytes:
    if not 0 <= number <= MAX_ID:
        raise ValueError(f"message id {number}; expected 0-{MAX_ID}")
    if number < 0x80:
        return _SHORT_IDS[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _too_large(size: int) -> ValueError:
    return ValueError(f"a package body holds at most {MAX_BODY} bytes, not {size}")
