"""Pomelo's own protobuf: bodies by schema (pomelo wire 8.4 to 8.8). It is not Google's.

A message is its fields, one after the other, in the order of the object that was encoded:

    key, a varint: tag * 8 + wire type | value

    type             wire type  value
    uInt32           0          varint, low group first; up to 2^53 - 1, whatever the name says
    int32, sInt32    0          zig-zag, then varint
    double           1          8 bytes, little-endian
    float            5          4 bytes, little-endian
    string           2          varint of the length in bytes, UTF-8
    a message        2          varint of the length in bytes, its fields

    repeated number   key once, varint of the number of elements, the elements
    repeated other    key and value once per element

The wire type is written for others and ignored when read: the browser's client writes wrong ones.
A field that is read need not be there, also if it is required. Repeated numbers may come in several
runs, and of anything else that comes twice the later one counts.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from zchat.protocol.body import text
from zchat.protocol.misfit import Misfit

__all__ = ["MAX_DEPTH", "MAX_NUMBER", "SCALARS", "MessageType"]

MAX_DEPTH = 32
"""Levels of messages in messages that are written and read."""

MAX_NUMBER = 2**53 - 1
"""The largest varint: JavaScript's largest exact integer."""

Writer = Callable[[bytearray, Any, int], None]
"""(output, value, depth): appends a field."""

Reader = Callable[[dict[str, Any], bytes, int, int, int], int]
"""(message, data, position, end, depth) -> position behind the field; puts its value in."""

Put = Callable[[bytearray, Any, int], None]
"""(output, value, depth): appends one value without its key."""

Take = Callable[[bytes, int, int, int], tuple[Any, int]]
"""(data, position, end, depth) -> one value, and the position behind it."""


class MessageType:
    """One message of a schema, compiled: what writes and reads each of its fields.

    Its fields are added before it is used, so that messages may contain themselves.
    """

    __slots__ = ("_names", "_readers", "_required", "_writers")

    def __init__(self) -> None:
        self._writers: dict[str, Writer] = {}
        self._required: tuple[str, ...] = ()
        self._readers: dict[int, Reader] = {}
        self._names: dict[int, str] = {}

    def add(self, option: str, kind: str | MessageType, name: str, tag: int) -> None:
        """Add a field.

        Args:
            option: `required`, `optional` or `repeated`.
            kind: one of SCALARS, or the message that the field holds.
            tag: its number, at least 1 and not that of another field.
        """
        wire_type, put, take, is_number = _kind(kind)
        key = bytearray()
        _put_varint(key, tag << 3 | wire_type)
        repeated = option == "repeated"
        if not repeated:
            self._writers[name] = _single_writer(bytes(key), put)
            self._readers[tag] = _single_reader(name, take)
        elif is_number:
            self._writers[name] = _run_writer(bytes(key), put)
            self._readers[tag] = _run_reader(name, take)
        else:
            self._writers[name] = _each_writer(bytes(key), put)
            self._readers[tag] = _each_reader(name, take)
        self._names[tag] = name
        if option == "required":
            self._required += (name,)

    @property
    def fields(self) -> frozenset[str]:
        """The names of its fields."""
        return frozenset(self._writers)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of those that must be there to be written."""
        return self._required

    def encode(self, message: Any) -> bytes:
        """The bytes of an object. Members that are no fields, or None, are left out.

        Raises:
            Misfit: it is no object, a required field is missing, or a value does not fit.
        """
        out = bytearray()
        self.write(out, message, 0)
        return bytes(out)

    def decode(self, data: bytes) -> dict[str, Any]:
        """The object that bytes mean.

        Raises:
            Misfit: the bytes end early, or have a field that the schema does not know.
        """
        return self.read(data, 0, len(data), 0)

    def write(self, out: bytearray, message: Any, depth: int) -> None:
        """Append a message; `depth` levels of others are round it."""
        if not isinstance(message, Mapping):
            raise Misfit(f"expected an object, found {_show(message)}")
        if depth >= MAX_DEPTH:
            raise Misfit(f"more than {MAX_DEPTH} levels of messages")
        for name in self._required:
            if message.get(name) is None:
                raise Misfit("required, and missing", name)
        writers = self._writers
        for name, value in message.items():
            writer = writers.get(name)
            if writer is not None and value is not None:
                try:
                    writer(out, value, depth)
                except Misfit as misfit:
                    raise misfit.within(name) from None

    def read(self, data: bytes, position: int, end: int, depth: int) -> dict[str, Any]:
        """The message that stands between two positions of `data`."""
        if depth >= MAX_DEPTH:
            raise Misfit(f"more than {MAX_DEPTH} levels of messages")
        message: dict[str, Any] = {}
        readers = self._readers
        while position < end:
            key = data[position]
            if key < 0x80:
                position += 1
            else:
                key, position = _take_varint(data, position, end, depth)
            reader = readers.get(key >> 3)
            if reader is None:
                raise Misfit(f"expected tags of the schema, found tag {key >> 3}")
            try:
                position = reader(message, data, position, end, depth)
            except Misfit as misfit:
                raise misfit.within(self._names[key >> 3]) from None
        return message


# Values without their keys


def _put_varint(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _put_unsigned(out: bytearray, value: Any, depth: int) -> None:
    number = value if type(value) is int else _integer(value)
    if not 0 <= number <= MAX_NUMBER:
        raise Misfit(f"expected a number from 0 to {MAX_NUMBER}, found {_show(value)}")
    _put_varint(out, number)


def _put_signed(out: bytearray, value: Any, depth: int) -> None:
    number = value if type(value) is int else _integer(value)
    zigzag = number << 1 if number >= 0 else (-number << 1) - 1
    if zigzag > MAX_NUMBER:
        raise Misfit(f"expected a number of 52 bits and a sign, found {_show(value)}")
    _put_varint(out, zigzag)


def _put_string(out: bytearray, value: Any, depth: int) -> None:
    if not isinstance(value, str):
        raise Misfit(f"expected a string, found {_show(value)}")
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise Misfit("expected text, found half a surrogate pair") from None
    _put_varint(out, len(encoded))
    out += encoded


def _put_message(kind: MessageType) -> Put:
    def put(out: bytearray, value: Any, depth: int) -> None:
        inner = bytearray()
        kind.write(inner, value, depth + 1)
        _put_varint(out, len(inner))
        out += inner

    return put


def _put_real(layout: struct.Struct) -> Put:
    pack = layout.pack

    def put(out: bytearray, value: Any, depth: int) -> None:
        if type(value) is not float and type(value) is not int:
            raise Misfit(f"expected a number, found {_show(value)}")
        try:
            out += pack(value)
        except (OverflowError, struct.error):
            bits = layout.size * 8
            raise Misfit(f"expected a number of {bits} bits, found {_show(value)}") from None

    return put


def _take_varint(data: bytes, position: int, end: int, depth: int) -> tuple[int, int]:
    if position < end and data[position] < 0x80:  # nearly all are short
        return data[position], position + 1
    number = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > _MAX_SHIFT:
            raise Misfit(f"a number of more than {_MAX_SHIFT // 7 + 1} bytes")
    else:
        raise Misfit("the bytes end within a number")
    if number > MAX_NUMBER:
        raise Misfit(f"expected a number of at most {MAX_NUMBER}, found {number}")
    return number, position


def _take_signed(data: bytes, position: int, end: int, depth: int) -> tuple[int, int]:
    number, position = _take_varint(data, position, end, depth)
    return (number >> 1) ^ -(number & 1), position


def _take_length(data: bytes, position: int, end: int, depth: int) -> tuple[int, int]:
    """Where the value begins whose length stands here, and where it ends."""
    size, start = _take_varint(data, position, end, depth)
    if size > end - start:
        raise Misfit(f"expected {size} bytes, found {end - start}")
    return start, start + size


def _take_string(data: bytes, position: int, end: int, depth: int) -> tuple[str, int]:
    start, stop = _take_length(data, position, end, depth)
    return text(data[start:stop]), stop


def _take_message(kind: MessageType) -> Take:
    def take(data: bytes, position: int, end: int, depth: int) -> tuple[dict[str, Any], int]:
        start, stop = _take_length(data, position, end, depth)
        return kind.read(data, start, stop, depth + 1), stop

    return take


def _take_real(layout: struct.Struct) -> Take:
    unpack, size = layout.unpack_from, layout.size

    def take(data: bytes, position: int, end: int, depth: int) -> tuple[float, int]:
        if size > end - position:
            raise Misfit(f"expected {size} bytes, found {end - position}")
        return unpack(data, position)[0], position + size

    return take


_MAX_SHIFT = 63
_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")

_KINDS: dict[str, tuple[int, Put, Take, bool]] = {
    "uInt32": (0, _put_unsigned, _take_varint, True),
    "int32": (0, _put_signed, _take_signed, True),
    "sInt32": (0, _put_signed, _take_signed, True),
    "double": (1, _put_real(_DOUBLE), _take_real(_DOUBLE), True),
    "float": (5, _put_real(_FLOAT), _take_real(_FLOAT), True),
    "string": (2, _put_string, _take_string, False),
}
SCALARS = frozenset(_KINDS)
"""The types that are no messages."""


def _kind(kind: str | MessageType) -> tuple[int, Put, Take, bool]:
    """Wire type, what writes and reads a value, and whether it is a number."""
    if isinstance(kind, MessageType):
        return 2, _put_message(kind), _take_message(kind), False
    return _KINDS[kind]


# Fields with their keys


def _single_writer(key: bytes, put: Put) -> Writer:
    def write(out: bytearray, value: Any, depth: int) -> None:
        out += key
        put(out, value, depth)

    return write


def _run_writer(key: bytes, put: Put) -> Writer:
    def write(out: bytearray, values: Any, depth: int) -> None:
        if not _elements(values):
            return
        out += key
        _put_varint(out, len(values))
        for index, value in enumerate(values):
            _put_element(put, out, value, depth, index)

    return write


def _each_writer(key: bytes, put: Put) -> Writer:
    def write(out: bytearray, values: Any, depth: int) -> None:
        for index, value in enumerate(_elements(values)):
            out += key
            _put_element(put, out, value, depth, index)

    return write


def _put_element(put: Put, out: bytearray, value: Any, depth: int, index: int) -> None:
    try:
        put(out, value, depth)
    except Misfit as misfit:
        raise misfit.within(f"[{index}]") from None


def _elements(values: Any) -> list[Any] | tuple[Any, ...]:
    if isinstance(values, list | tuple):
        return values
    raise Misfit(f"expected a list, found {_show(values)}")


def _single_reader(name: str, take: Take) -> Reader:
    def read(message: dict[str, Any], data: bytes, position: int, end: int, depth: int) -> int:
        message[name], position = take(data, position, end, depth)
        return position

    return read


def _run_reader(name: str, take: Take) -> Reader:
    def read(message: dict[str, Any], data: bytes, position: int, end: int, depth: int) -> int:
        count, position = _take_varint(data, position, end, depth)
        if count > end - position:  # each takes a byte at least
            raise Misfit(f"expected {count} elements, found {end - position} bytes")
        values = message.setdefault(name, [])
        for _ in range(count):
            value, position = take(data, position, end, depth)
            values.append(value)
        return position

    return read


def _each_reader(name: str, take: Take) -> Reader:
    def read(message: dict[str, Any], data: bytes, position: int, end: int, depth: int) -> int:
        values = message.setdefault(name, [])
        try:
            value, position = take(data, position, end, depth)
        except Misfit as misfit:
            raise misfit.within(f"[{len(values)}]") from None
        values.append(value)
        return position

    return read


# What else JavaScript takes for an integer (the reference uses parseInt)

_DIGITS = re.compile(r"[+-]?[0-9]{1,16}")


def _integer(value: Any) -> int:
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    raise Misfit(f"expected an integer, found {_show(value)}")


def _show(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return f"one of {value.bit_length()} bits"
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
