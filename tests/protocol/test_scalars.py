"""Values without their keys, byte by byte; `test_protobuf` has them in messages."""

from __future__ import annotations

from typing import Any

import pytest

from zchat.protocol.misfit import Misfit
from zchat.protocol.scalars import MAX_NUMBER, SCALARS, put_varint, take_length, take_varint


@pytest.mark.parametrize(
    ("name", "value", "data"),
    [
        ("uInt32", 0, "00"),
        ("uInt32", 127, "7f"),
        ("uInt32", 128, "8001"),
        ("uInt32", MAX_NUMBER, "ffffffffffffff0f"),
        ("int32", 0, "00"),
        ("int32", -1, "01"),
        ("sInt32", 1, "02"),
        ("sInt32", -64, "7f"),
        ("float", -2.0, "000000c0"),
        ("double", 1.0, "000000000000f03f"),
        ("string", "", "00"),
        ("string", "é", "02c3a9"),
    ],
)
def test_each_is_written_and_read(name: str, value: Any, data: str) -> None:
    out = bytearray(b"before")
    SCALARS[name].put(out, value, 0)
    assert out == b"before" + bytes.fromhex(data)
    assert SCALARS[name].take(bytes(out) + b"behind", 6, len(out), 0) == (value, len(out))


@pytest.mark.parametrize(
    ("value", "number"), [(1.9, 1), (-1.9, -1), ("12", 12), ("-7", -7), ("+3", 3)]
)
def test_what_javascript_takes_for_an_integer(value: Any, number: int) -> None:
    out = bytearray()
    SCALARS["int32"].put(out, value, 0)
    assert SCALARS["int32"].take(bytes(out), 0, len(out), 0) == (number, len(out))


def test_a_value_ends_where_its_message_does() -> None:
    out = bytearray()
    put_varint(out, 300)
    data = bytes(out) + b"more"
    assert take_varint(data, 0, 2, 0) == (300, 2)
    with pytest.raises(Misfit, match="the bytes end within a number"):
        take_varint(data, 0, 1, 0)
    assert take_length(b"\x02ab", 0, 3, 0) == (1, 3)
    with pytest.raises(Misfit, match="expected 2 bytes, found 1"):
        take_length(b"\x02ab", 0, 2, 0)


def test_which_are_numbers() -> None:
    assert {name for name, kind in SCALARS.items() if not kind.is_number} == {"string"}
