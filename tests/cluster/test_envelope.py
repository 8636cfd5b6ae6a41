"""The envelopes: their table, and bytes that are none."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.cluster import envelope
from zchat.cluster.envelope import (
    Call,
    Cast,
    Envelope,
    Failure,
    Hello,
    Ping,
    Pong,
    Reply,
    Request,
    Stranger,
    Welcome,
    decode,
    decode_readable,
    encode,
    failure,
    pack,
    unpack,
)
from zchat.errors import BadRequest, ClusterError, RequestError, TimedOut, Unavailable

EXAMPLES: list[Envelope] = [
    Hello(1, "connector-1", "connector", "00ff", 4),
    Welcome(1, "chat-1", "chat", "00fe", 5),
    Ping(4),
    Pong(5),
    Request(7, "chat.chatHandler.send", b"\x90", b"{}", 5000, envelope.NOTIFY),
    Call(8, "channel.add", b"\x91\x01", 100, b"origin"),
    Cast("hub.join", b"\x90"),
    Reply(2**63, b'{"code":200}'),
    Failure(9, 503, "busy", {"retry": True, "path": ["a", 1]}),
    Stranger(),
]


def test_the_table_is_true() -> None:
    rows = re.findall(r"^    (\d+) +([A-Z]\w+)(.*?)(?: {2,}(?:DEALER|ROUTER|both)| +ROUTER)$",
                      envelope.__doc__ or "", re.MULTILINE)  # fmt: skip
    table = {(int(tag), name, *fields.split()) for tag, name, fields in rows}
    structs = set()
    for kind in get_args(Envelope):
        config = kind.__struct_config__
        assert config.array_like
        assert not config.gc
        structs.add((config.tag, kind.__name__, *kind.__struct_fields__))
    assert table == structs


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_round_trip_and_form(example: Envelope) -> None:
    message = encode([example])
    assert message[:1] == b"\x01"
    fields = [getattr(example, name) for name in example.__struct_fields__]
    tag = type(example).__struct_config__.tag
    assert msgspec.msgpack.decode(message[1:]) == [[tag, *fields]]
    assert decode(message) == [example]


def test_a_batch_keeps_its_order() -> None:
    assert decode(encode(EXAMPLES)) == EXAMPLES
    assert decode(encode([])) == []


def test_fields_of_a_later_version_are_skipped() -> None:
    longer = b"\x01" + msgspec.msgpack.encode([[3, 4, "new"], [10, 1, 2]])
    assert decode(longer) == [Ping(4), Stranger()]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        b"\x00\x90",
        b"\x02\x90",
        b"\x01\xc0",
        b"\x01\x80",
        b"\x01\x90\x90",
        b"\x01\xdd\xff\xff\xff\xff",
        b"\x01" + b"\x91" * 100_000,
        b"\x01" + b"\x91\x81" * 100_000,
    ],
)
def test_no_batch(message: bytes) -> None:
    with pytest.raises(ClusterError):
        decode(message)
    assert decode_readable(message) == ([], 1)


@pytest.mark.parametrize(
    "broken",
    [
        [],
        [0],
        [11],
        ["Ping"],
        [3],
        [3, -1],
        [3, "4"],
        {"generation": 4},
        [7, 1, b""],
        [7, "method", "text"],
        [6, 1, "m", b"", -1, b""],
        [6, 1, "m", b"", 86_400_001, b""],
        [6, -1, "m", b"", 1, b""],
        [1, 1, "", "type", "life", 0],
        [1, 1, "x" * 201, "type", "life", 0],
        [9, 1, 500, "text", []],
        [8, -1, b""],
    ],
    ids=repr,
)
def test_a_broken_envelope_leaves_the_others(broken: object) -> None:
    good = [[7, "before", b""], broken, [7, "after", b""]]
    message = b"\x01" + msgspec.msgpack.encode(good)
    with pytest.raises(ClusterError):
        decode(message)
    assert decode_readable(message) == ([Cast("before", b""), Cast("after", b"")], 1)


def test_text_that_is_not_utf8() -> None:
    message = b"\x01\x92\x93\x07\xa1\xff\xc4\x00\x93\x07\xa1m\xc4\x00"
    with pytest.raises(ClusterError):
        decode(message)
    assert decode_readable(message) == ([Cast("m", b"")], 1)


@given(st.binary() | st.binary().map(b"\x01".__add__))
def test_any_bytes(message: bytes) -> None:
    try:
        assert decode_readable(message) == (decode(message), 0)
    except ClusterError:
        readable, unreadable = decode_readable(message)
        assert unreadable > 0
        assert decode(encode(readable)) == readable


@pytest.mark.parametrize(
    "error",
    [
        BadRequest("wrong", path="name"),
        Unavailable("busy"),
        Unavailable("lost", retry=False),
        TimedOut("late"),
        RequestError("full", code=418, disk="/"),
    ],
)
def test_a_failure_is_an_error_again(error: RequestError) -> None:
    (made,) = decode(encode([failure(1, error.code, error.message, error.fields)]))
    assert isinstance(made, Failure)
    again = made.error()
    assert type(again) is type(error)
    assert again.body() == error.body()


def test_fields_cannot_clash_with_an_errors_own_names() -> None:
    hostile = {"message": "x", "code": 1, "self": 2, "path": "kept"}
    for code in (400, 503, 599):
        error = Failure(1, code, "text", dict(hostile)).error()
        assert (error.code, error.message) == (code, "text")
        assert error.fields["path"] == "kept"


@pytest.mark.parametrize("fields", [{"a": object()}, {"a": 2**70}, {"a": "\udcff"}])
def test_a_failure_can_always_be_encoded(fields: dict[str, Any]) -> None:
    made = failure(1, 400, "no \udcff", fields)
    assert decode(encode([made])) == [Failure(1, 400, "no ?", {})]


def test_pack_and_unpack() -> None:
    value = {"a": [1, b"\x00", None, 1.5, "ü"]}
    assert unpack(pack(value)) == value
    with pytest.raises(TypeError):
        pack(object())
    for junk in (b"", b"\xc1", b"\x91", b"\x90\x90", b"\x91" * 100_000):
        with pytest.raises(ClusterError, match="unreadable msgpack"):
            unpack(junk)
