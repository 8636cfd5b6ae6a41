"""Pomelo's protobuf, byte by byte, against what the original JavaScript wrote."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.vectors import Case, case_bytes, cases, identity
from zchat.errors import ProtocolError
from zchat.protocol.misfit import Misfit
from zchat.protocol.protobuf import MAX_DEPTH, MessageType
from zchat.protocol.scalars import MAX_NUMBER
from zchat.protocol.schema import SchemaError, compile_routes, parse

NO_BOOL = "dev-protobuf-049"
"""The reference writes a key and no value for a type that it does not know; we refuse it."""


def value_of(written: Any) -> Any:
    """A value as the vectors write it."""
    match written:
        case {"$number": str(number)}:
            return float(number)
        case {"$repeat": [str(unit), int(count)]}:
            return unit * count
        case dict():
            return {name: value_of(item) for name, item in written.items()}
        case list():
            return [value_of(item) for item in written]
    return written


def same(one: Any, other: Any) -> bool:
    """Equality in which NaN is itself."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def schema_of(case: Case) -> MessageType | None:
    given_input = case["input"]
    return compile_routes(parse(given_input["protos"]).messages).get(given_input["route"])


def message(**fields: int) -> MessageType:
    """A message from `option type name` with underscores between them, to tags."""
    file = {name.replace("_", " "): tag for name, tag in fields.items()}
    return compile_routes(parse({"r": file}).messages)["r"]


@pytest.mark.parametrize("case", cases("protobuf", "encode"), ids=identity)
def test_messages_as_the_reference_writes_them(case: Case) -> None:
    if case["id"] == NO_BOOL:
        with pytest.raises(SchemaError, match="unknown type bool"):
            schema_of(case)
        return
    schema = schema_of(case)
    assert schema is not None
    value = value_of(case["input"]["msg"])
    assert schema.encode(value) == case_bytes(case)
    decoded = value_of(case["decoded"])
    assert same(schema.decode(case_bytes(case)), decoded)
    if value.keys() == decoded.keys():
        assert list(schema.decode(case_bytes(case))) == list(decoded)


@pytest.mark.parametrize("case", cases("protobuf", "encode"), ids=identity)
def test_what_browsers_write_is_read(case: Case) -> None:
    """Wire type 2 for all varints, surrogate halves, and doubles cut short (8.8, 8.9)."""
    if "browser_hex" not in case or case["id"] == NO_BOOL:
        return
    schema = schema_of(case)
    assert schema is not None
    written = bytes.fromhex(case["browser_hex"])
    if "double" in case["name"]:
        with pytest.raises(Misfit, match="expected 8 bytes, found 6"):
            schema.decode(written)
        return
    assert same(schema.decode(written), value_of(case["decoded"]))


@pytest.mark.parametrize("case", cases("protobuf", "encode-null"), ids=identity)
def test_what_the_reference_sends_an_empty_body_for(case: Case) -> None:
    schema = schema_of(case)
    if schema is None:
        return  # a route without schema is JSON here
    if schema.required:
        with pytest.raises(Misfit, match="target: required, and missing"):
            schema.encode(case["input"]["msg"])
    else:
        assert schema.encode(case["input"]["msg"]) == b""


@pytest.mark.parametrize("case", cases("protobuf", "encode-error"), ids=identity)
def test_what_the_reference_fails_at(case: Case) -> None:
    schema, value = schema_of(case), case["input"]["msg"]
    assert schema is not None
    if value == {"v": -1}:
        with pytest.raises(Misfit, match="v: expected a number from 0 to 9007199254740991"):
            schema.encode(value)
    else:  # doubles with short literals are no trouble here
        assert schema.decode(schema.encode(value)) == value


@pytest.mark.parametrize("case", cases("protobuf", "decode-malformed"), ids=identity)
def test_malformed_messages(case: Case) -> None:
    """We differ where the reference reads past the end."""
    schema = schema_of(case)
    assert schema is not None
    refused = case["reference_node"]["result"] == "exception" or "beyond the end" in case["name"]
    if refused:
        with pytest.raises(Misfit):
            schema.decode(case_bytes(case))
    else:
        assert schema.decode(case_bytes(case)) == case["reference_node"]["message"]


@pytest.mark.parametrize("case", cases("protobuf", "parse"), ids=identity)
def test_parsed_form(case: Case) -> None:
    parsed = parse(case["input"]["protos"])
    assert json.dumps(parsed.messages) == json.dumps(case["parsed"])
    assert parsed.dropped == ()


NUMBERS = st.integers(0, MAX_NUMBER)
SIGNED = st.integers(-(2**52) + 1, 2**52 - 1)
FLOATS = st.floats(width=32, allow_nan=False)
EVERYTHING = {
    "r": {
        "message In": {"optional string s": 1, "repeated In more": 2, "optional uInt32 n": 16},
        "optional uInt32 u": 1,
        "optional sInt32 i": 2,
        "optional int32 j": 3,
        "optional float f": 4,
        "optional double d": 5,
        "optional string s": 6,
        "optional In m": 7,
        "repeated uInt32 us": 8,
        "repeated int32 js": 2000,
        "repeated float fs": 10,
        "repeated double ds": 11,
        "repeated string ss": 12,
        "repeated In ms": 13,
    },
    "message In": {"optional string s": 1, "repeated In more": 2, "optional uInt32 n": 16},
}
SCHEMA = compile_routes(parse(EVERYTHING).messages)["r"]
TEXTS = st.text(max_size=20)
INNER = st.fixed_dictionaries({}, optional={"s": TEXTS, "n": NUMBERS})
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "u": NUMBERS,
        "i": SIGNED,
        "j": SIGNED,
        "f": FLOATS,
        "d": st.floats(allow_nan=False),
        "s": TEXTS,
        "m": INNER,
        "us": st.lists(NUMBERS, min_size=1, max_size=4),
        "js": st.lists(SIGNED, min_size=1, max_size=4),
        "fs": st.lists(FLOATS, min_size=1, max_size=4),
        "ds": st.lists(st.floats(allow_nan=False), min_size=1, max_size=4),
        "ss": st.lists(TEXTS, min_size=1, max_size=4),
        "ms": st.lists(INNER, min_size=1, max_size=4),
    },
)


@given(MESSAGES)
def test_round_trip(value: dict[str, Any]) -> None:
    decoded = SCHEMA.decode(SCHEMA.encode(value))
    assert decoded == value
    assert list(decoded) == list(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_misfit(data: bytes) -> None:
    try:
        value = SCHEMA.decode(data)
    except Misfit:
        return
    assert isinstance(value, dict)


@given(MESSAGES, st.integers(0, 200))
def test_a_message_cut_short_is_a_misfit_or_a_part(value: dict[str, Any], at: int) -> None:
    data = SCHEMA.encode(value)[:at]
    try:
        part = SCHEMA.decode(data)
    except Misfit:
        return
    assert part.keys() <= value.keys()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(SCHEMA.fields)), ANYTHING))
def test_any_value_is_written_or_a_misfit(value: dict[str, Any]) -> None:
    try:
        data = SCHEMA.encode(value)
    except Misfit:
        return
    assert SCHEMA.decode(data).keys() <= value.keys()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"u": -1}, "u: expected a number from 0"),
        ({"u": MAX_NUMBER + 1}, "u: expected a number from 0"),
        ({"u": 10**5000}, "u: expected a number from 0 to 9007199254740991, found one of"),
        ({"u": True}, "u: expected an integer, found True"),
        ({"u": "7x"}, "u: expected an integer, found '7x'"),
        ({"u": math.inf}, "u: expected an integer, found inf"),
        ({"i": 2**52}, "i: expected a number of 52 bits and a sign"),
        ({"f": "1"}, "f: expected a number, found '1'"),
        ({"f": 1e39}, "f: expected a number of 32 bits, found 1e[+]39"),
        ({"d": 10**400}, "d: expected a number of 64 bits"),
        ({"s": 5}, "s: expected a string, found 5"),
        ({"s": "\ud83d"}, "s: expected text, found half a surrogate pair"),
        ({"s": ["x" * 100]}, r"s: expected a string, found \['x{35}\.\.\.$"),
        ({"m": 5}, "m: expected an object, found 5"),
        ({"m": {"s": 5}}, "m.s: expected a string"),
        ({"ms": {}}, "ms: expected a list"),
        ({"ms": [{}, {"n": -1}]}, r"ms\[1\]\.n: expected a number"),
        ({"us": [1, None]}, r"us\[1\]: expected an integer, found None"),
        ([], "^expected an object, found"),
    ],
)
def test_misfits_name_the_field(value: Any, problem: str) -> None:
    with pytest.raises(Misfit, match=problem):
        SCHEMA.encode(value)


@pytest.mark.parametrize(
    ("data", "path", "problem"),
    [
        ("08ffffffffffffffffff01", "u", "at most 9007199254740991"),
        ("08ffffffffffffffffffffffffff01", "u", "more than 10 bytes"),
        ("08", "u", "end within a number"),
        ("88", "", "end within a number"),
        ("25000000", "f", "expected 4 bytes, found 3"),
        ("2900", "d", "expected 8 bytes, found 1"),
        ("3a020a05", "m.s", "expected 5 bytes, found 0"),
        ("6a020a05", "ms[0].s", "expected 5 bytes, found 0"),
        ("6a006a040a03", "ms[1]", "expected 4 bytes, found 2"),
        ("40ffffffff0f00", "us", "expected 4294967295 elements, found 1 bytes"),
        ("520200000000", "fs", "expected 4 bytes, found 0"),
        ("0000", "", "found tag 0"),
    ],
)
def test_misfits_of_bytes_name_the_field(data: str, path: str, problem: str) -> None:
    with pytest.raises(Misfit, match=problem) as caught:
        SCHEMA.decode(bytes.fromhex(data))
    assert caught.value.path == path


def test_a_misfit_is_a_value_error_and_breaks_the_wire() -> None:
    with pytest.raises(ValueError, match="v: required, and missing") as caught:
        message(required_string_v=1).encode({"v": None})
    assert isinstance(caught.value, ProtocolError)


def test_what_is_none_or_unknown_is_left_out() -> None:
    assert SCHEMA.encode({"u": None, "nobody": 1, "us": [], "ss": (), "s": ""}) == b"\x32\x00"


def test_repeated_numbers_in_two_runs_are_one_list() -> None:
    assert SCHEMA.decode(bytes.fromhex("4001014002 0203".replace(" ", ""))) == {"us": [1, 2, 3]}


def test_levels_are_bounded_both_ways() -> None:
    deep: dict[str, Any] = {}
    for _ in range(MAX_DEPTH - 1):
        deep = {"more": [deep]}
    inner = compile_routes({"r": parse(EVERYTHING).messages["message In"], **SHARED})["r"]
    assert inner.decode(inner.encode(deep)) == deep
    with pytest.raises(Misfit, match="more than 32 levels"):
        inner.encode({"more": [deep]})
    data = b""
    for _ in range(100):
        data = b"\x12" + (bytes((len(data),)) if len(data) < 128 else _varint(len(data))) + data
    with pytest.raises(Misfit, match="more than 32 levels"):
        inner.decode(data)


SHARED = {"message In": parse(EVERYTHING).messages["message In"]}


def _varint(number: int) -> bytes:
    return bytes((number & 0x7F | 0x80, number >> 7))


def test_an_object_in_a_circle_is_a_misfit() -> None:
    circle: dict[str, Any] = {}
    circle["more"] = [circle]
    with pytest.raises(Misfit, match="more than 32 levels"):
        compile_routes({"r": SHARED["message In"], **SHARED})["r"].encode(circle)


def test_floats_are_little_endian() -> None:
    assert SCHEMA.encode({"f": 1, "d": 0.5}) == b"\x25" + struct.pack("<f", 1) + b"\x29" + (
        struct.pack("<d", 0.5)
    )


def test_fields_and_what_is_required() -> None:
    schema = message(required_string_a=1, optional_uInt32_b=2)
    assert schema.fields == {"a", "b"}
    assert schema.required == ("a",)
