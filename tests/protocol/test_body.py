from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zchat.errors import ProtocolError
from zchat.protocol.body import JSON, dumps, loads, loads_lenient, text

GRIN = "\U0001f600"
GRIN_CESU_8 = bytes.fromhex("eda0bdedb880")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"code": 200, "users": []}, b'{"code":200,"users":[]}'),
        ({"msg": "你好"}, '{"msg":"你好"}'.encode()),
        ({"msg": GRIN}, b'{"msg":"\\ud83d\\ude00"}'),
        (
            {GRIN: f"中{GRIN}\U0010ffff"},
            '{"\\ud83d\\ude00":"中\\ud83d\\ude00\\udbff\\udfff"}'.encode(),
        ),
        ("\U00010000\uffff", '"\\ud800\\udc00\uffff"'.encode()),
        ('a"\\\n', b'"a\\"\\\\\\n"'),
        (42, b"42"),
    ],
)
def test_dumps(value: Any, written: bytes) -> None:
    assert dumps(value) == written
    assert loads(written) == value


@pytest.mark.parametrize("value", [object(), {"at": object()}])
def test_dumps_refuses_what_json_cannot_hold(value: object) -> None:
    with pytest.raises(TypeError):
        dumps(value)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'"' + GRIN_CESU_8 + b'"', GRIN),
        (b'{"a":"' + GRIN.encode() + GRIN_CESU_8 + '中"}'.encode(), {"a": GRIN + GRIN + "中"}),
        (b'"\\ud83d\\ude00"', GRIN),
        # Half a pair, as a page gets that cuts text at a number of UTF-16 units.
        (b'"a\\ud83d"', "a\ufffd"),
        (b'"\\ude00\\ud83d\\ude00"', f"\ufffd{GRIN}"),
        (b'"\\ud83d\\ud83d\\ude00"', f"\ufffd{GRIN}"),
        (b'"\\\\ud83d \\ud83d"', "\\ud83d \ufffd"),
        (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"\\u0000"', "\0"),
    ],
)
def test_loads_what_browsers_send(data: bytes, value: Any) -> None:
    assert loads(data) == value
    assert loads(dumps(loads(data))) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{bad",
        b"nope",
        b"{}x",
        b"NaN",
        b"\xef\xbb\xbf{}",
        b'"\x00"',
        b'"\\ud83d',
        b"1e999999",
        b"1" * 70_000,
        b"[" * 70_000,
        b'{"a":' * 20_000,
    ],
    ids=lambda data: repr(data[:8]),
)
def test_loads_refuses(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="JSON"):
        loads(data)
    assert loads_lenient(data) == {}


@pytest.mark.parametrize("data", [b"null", b"0", b"false", b'""', b"{}", b"-0.0"])
def test_lenient_false_values_become_an_object(data: bytes) -> None:
    assert loads_lenient(data) == {}


@pytest.mark.parametrize(
    ("data", "value"), [(b"5", 5), (b'"s"', "s"), (b"[1,2]", [1, 2]), (b"[]", []), (b"true", True)]
)
def test_lenient_passes_other_values(data: bytes, value: Any) -> None:
    assert loads_lenient(data) == value


def test_codec_is_json_on_any_route() -> None:
    assert JSON.decode("a", JSON.encode("b", {"x": GRIN})) == {"x": GRIN}
    with pytest.raises(ProtocolError):
        JSON.decode("a", b"")


@given(st.binary(max_size=200))
@example(b'"\\')
@example(b'"\\ud83d\\')
@example(GRIN_CESU_8[:5])
def test_any_bytes(data: bytes) -> None:
    try:
        value = loads(data)
    except ProtocolError:
        assert loads_lenient(data) == {}
    else:
        assert loads(dumps(value)) == value
    assert text(data).encode().decode() == text(data)


escapes = st.lists(
    st.sampled_from([b"\\ud83d", b"\\ude00", b"\\\\", b'\\"', b"u", b"a", b"\xed\xa0\xbd", b"\xf0"])
)


@given(escapes.map(lambda parts: b'"' + b"".join(parts) + b'"'))
def test_any_escapes_stay_a_string(data: bytes) -> None:
    assert isinstance(loads(data), str)
    assert loads(dumps(loads(data))) == loads(data)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_written_text_is_json_without_four_byte_characters(value: Any) -> None:
    data = dumps(value)
    assert not any(byte >= 0xF0 for byte in data)
    assert json.loads(data) == finite(value)
    assert loads(data) == finite(value)


def finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they are written as null, as JavaScript does."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case list():
            return [finite(item) for item in value]
        case dict():
            return {key: finite(item) for key, item in value.items()}
    return value


@given(st.text())
def test_text_in_either_encoding(written: str) -> None:
    units = written.encode("utf-16-be")
    cesu_8 = b"".join(
        chr(units[index] << 8 | units[index + 1]).encode("utf-8", "surrogatepass")
        for index in range(0, len(units), 2)
    )
    assert text(cesu_8) == text(written.encode()) == written
