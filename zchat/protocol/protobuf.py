"""Pomelo's own protobuf: bodies by schema (pomelo wire 8.4 to 8.8). It is not Google's.

A message is its fields, one after the other, in the order of the object that was encoded:

    key, a varint: tag * 8 + wire type | value

    a scalar          see `zchat.protocol.scalars`
    a message         wire type 2, varint of the length in bytes, its fields

    repeated number   key once, varint of the number of elements, the elements
    repeated other    key and value once per element

The wire type is written for others and ignored when read: the browser's client writes wrong ones.
A field that is read need not be there, also if it is required. Repeated numbers may come in several
runs, and of anything else that comes twice the later one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zchat.protocol.misfit import Misfit, shown
from zchat.protocol.scalars import SCALARS, Kind, Put, Take, put_varint, take_length, take_varint

MAX_DEPTH = 32
"""Levels of messages in messages that are written and read."""

Writer = Callable[[bytearray, Any, int], None]
"""(output, value, depth): appends a field."""

Reader = Callable[[dict[str, Any], bytes, int, int, int], int]
"""(message, data, position, end, depth) -> position behind the field; puts its value in."""


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
        put_varint(key, tag << 3 | wire_type)
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
            raise Misfit(f"expected an object, found {shown(message)}")
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
                key, position = take_varint(data, position, end, depth)
            reader = readers.get(key >> 3)
            if reader is None:
                raise Misfit(f"expected tags of the schema, found tag {key >> 3}")
            try:
                position = reader(message, data, position, end, depth)
            except Misfit as misfit:
                raise misfit.within(self._names[key >> 3]) from None
        return message


# Messages in messages


def _put_message(kind: MessageType) -> Put:
    def put(out: bytearray, value: Any, depth: int) -> None:
        inner = bytearray()
        kind.write(inner, value, depth + 1)
        put_varint(out, len(inner))
        out += inner

    return put


def _take_message(kind: MessageType) -> Take:
    def take(data: bytes, position: int, end: int, depth: int) -> tuple[dict[str, Any], int]:
        start, stop = take_length(data, position, end, depth)
        return kind.read(data, start, stop, depth + 1), stop

    return take


def _kind(kind: str | MessageType) -> Kind:
    if isinstance(kind, MessageType):
        return Kind(2, _put_message(kind), _take_message(kind), False)
    return SCALARS[kind]


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
        put_varint(out, len(values))
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
    raise Misfit(f"expected a list, found {shown(values)}")


def _single_reader(name: str, take: Take) -> Reader:
    def read(message: dict[str, Any], data: bytes, position: int, end: int, depth: int) -> int:
        message[name], position = take(data, position, end, depth)
        return position

    return read


def _run_reader(name: str, take: Take) -> Reader:
    def read(message: dict[str, Any], data: bytes, position: int, end: int, depth: int) -> int:
        count, position = take_varint(data, position, end, depth)
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
