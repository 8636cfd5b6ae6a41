"""Numbers and strings of pomelo's protobuf, without their keys (pomelo wire 8.4).

type             wire type  value
uInt32           0          varint, low group first; up to 2^53 - 1, whatever the name says
int32, sInt32    0          zig-zag, then varint
double           1          8 bytes, little-endian
float            5          4 bytes, little-endian
string           2          varint of the length in bytes, UTF-8
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from zchat.protocol.body import text
from zchat.protocol.misfit import Misfit, shown

_MAX_SHIFT: Final = 63
_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")
_DIGITS: Final = re.compile(r"[+-]?[0-9]{1,16}")

MAX_NUMBER: Final = 2**53 - 1
"""The largest varint: JavaScript's largest exact integer."""

Put = Callable[[bytearray, Any, int], None]
"""(output, value, depth): appends one value. Only messages in messages have use for the depth."""

Take = Callable[[bytes, int, int, int], tuple[Any, int]]
"""(data, position, end, depth) -> one value, and the position behind it."""


class Kind(NamedTuple):
    """How values of one type are written and read."""

    wire_type: int
    put: Put
    take: Take
    is_number: bool
    """Repeated ones have one key for all of them."""


# Writing


def put_varint(out: bytearray, number: int) -> None:
    """Append a number that is not negative, seven bits a byte."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _put_unsigned(out: bytearray, value: Any, depth: int) -> None:
    number = value if type(value) is int else _integer(value)
    if not 0 <= number <= MAX_NUMBER:
        raise Misfit(f"expected a number from 0 to {MAX_NUMBER}, found {shown(value)}")
    put_varint(out, number)


def _put_signed(out: bytearray, value: Any, depth: int) -> None:
    number = value if type(value) is int else _integer(value)
    zigzag = number << 1 if number >= 0 else (-number << 1) - 1
    if zigzag > MAX_NUMBER:
        raise Misfit(f"expected a number of 52 bits and a sign, found {shown(value)}")
    put_varint(out, zigzag)


def _put_string(out: bytearray, value: Any, depth: int) -> None:
    if not isinstance(value, str):
        raise Misfit(f"expected a string, found {shown(value)}")
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise Misfit("expected text, found half a surrogate pair") from None
    put_varint(out, len(encoded))
    out += encoded


def _put_real(layout: struct.Struct) -> Put:
    pack = layout.pack

    def put(out: bytearray, value: Any, depth: int) -> None:
        if type(value) is not float and type(value) is not int:
            raise Misfit(f"expected a number, found {shown(value)}")
        try:
            out += pack(value)
        except (OverflowError, struct.error):
            bits = layout.size * 8
            raise Misfit(f"expected a number of {bits} bits, found {shown(value)}") from None

    return put


def _integer(value: Any) -> int:
    """What else JavaScript takes for one: the reference uses parseInt."""
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    raise Misfit(f"expected an integer, found {shown(value)}")


# Reading


def take_varint(data: bytes, position: int, end: int, depth: int) -> tuple[int, int]:
    """The number that stands here, and the position behind it.

    Raises:
        Misfit: the bytes end in it, or it is larger than MAX_NUMBER.
    """
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
    number, position = take_varint(data, position, end, depth)
    return (number >> 1) ^ -(number & 1), position


def take_length(data: bytes, position: int, end: int, depth: int) -> tuple[int, int]:
    """Where the value begins whose length stands here, and where it ends.

    Raises:
        Misfit: it is longer than what is left.
    """
    size, start = take_varint(data, position, end, depth)
    if size > end - start:
        raise Misfit(f"expected {size} bytes, found {end - start}")
    return start, start + size


def _take_string(data: bytes, position: int, end: int, depth: int) -> tuple[str, int]:
    start, stop = take_length(data, position, end, depth)
    return text(data[start:stop]), stop


def _take_real(layout: struct.Struct) -> Take:
    unpack, size = layout.unpack_from, layout.size

    def take(data: bytes, position: int, end: int, depth: int) -> tuple[float, int]:
        if size > end - position:
            raise Misfit(f"expected {size} bytes, found {end - position}")
        return unpack(data, position)[0], position + size

    return take


SCALARS: Final[dict[str, Kind]] = {
    "uInt32": Kind(0, _put_unsigned, take_varint, True),
    "int32": Kind(0, _put_signed, _take_signed, True),
    "sInt32": Kind(0, _put_signed, _take_signed, True),
    "double": Kind(1, _put_real(_DOUBLE), _take_real(_DOUBLE), True),
    "float": Kind(5, _put_real(_FLOAT), _take_real(_FLOAT), True),
    "string": Kind(2, _put_string, _take_string, False),
}
"""The types that are no messages, by name."""
