from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.vectors import Case, case_bytes, cases, identity, octets
from zchat.errors import ProtocolError
from zchat.protocol import package
from zchat.protocol.dictionary import EMPTY, RouteDictionary
from zchat.protocol.message import (
    MAX_ID,
    NOTIFY,
    PUSH,
    REQUEST,
    RESPONSE,
    Message,
    MessageType,
    data_push,
    data_response,
    decode,
    encode_notify,
    encode_push,
    encode_request,
    encode_response,
)
from zchat.protocol.package import DATA, MAX_BODY

# Where we differ from the reference, and what we do instead (pomelo wire 22.5).
ENCODED_PLAINLY = {
    "dev-message-046": "05047b7d -> 04047b7d: a response has no route to compress",
    "dev-message-047": "flag 0x10 is never set: libpomelo fails on any flag above 0x07",
    "dev-message-048": "flag 0x10 is never set",
}
ENCODED_RIGHT = {
    "dev-message-049": "008080808008" + "05612e622e63" + "7b7d",  # the reference cuts the tail
    "dev-message-050": "00ffffffffffffff0f" + "05612e622e63" + "7b7d",
}
ENCODE_REFUSED = {
    "dev-message-051": "at most 255 bytes",
    "dev-message-052": "at most 255 bytes",
    "dev-message-053": "expected 0-65535",  # by the dictionary, as a code that is no number
    "dev-message-054": "expected 0-65535",
    "dev-message-055": "not a valid MessageType",  # no function encodes an unknown type
}
DECODE_MALFORMED: dict[str, Message | str] = {
    "dev-message-056": "0 bytes is cut short",
    "dev-message-057": "1 bytes is cut short",
    "dev-message-058": "3 bytes is cut short",
    "dev-message-059": Message(0, REQUEST, "a.b.c", b"{}"),
    "dev-message-060": Message(2**31, REQUEST, "a.b.c", b"{}"),  # not negative
    "dev-message-061": Message(2**35, REQUEST, "a.b.c", b"{}"),  # not cut to 32 bits
    "dev-message-062": "ends within its route",
    "dev-message-063": "3 bytes is cut short",
    "dev-message-064": "message type 4",  # the connection drops it before, see test_connection
    "dev-message-065": "message type 5",
    "dev-message-066": Message(1, REQUEST, "a.b.c", b"{}"),
    "dev-message-067": Message(0, NOTIFY, "\ufffd\ufffd\ufffd", b"{}"),
    "dev-message-068": Message(0, NOTIFY, "a", b"{bad"),
}


def dictionary_for(fields: dict[str, Any]) -> RouteDictionary:
    """One that knows the case's route code, if it has one, by the name `r`."""
    if fields["compress_route"] and fields["route"] is not None:
        return RouteDictionary.from_wire({"r": fields["route"]}, "v")
    return EMPTY


def encode(fields: dict[str, Any]) -> bytes:
    body, dictionary = octets(fields["body"]), dictionary_for(fields)
    route = "r" if fields["compress_route"] else fields["route"]
    match MessageType(fields["type"]):
        case MessageType.REQUEST:
            return encode_request(fields["id"], route, body, dictionary)
        case MessageType.NOTIFY:
            return encode_notify(route, body, dictionary)
        case MessageType.RESPONSE:
            return encode_response(fields["id"], body)
        case MessageType.PUSH:
            return encode_push(route, body, dictionary)


def reading(fields: dict[str, Any]) -> Message:
    """What the reference read, as our value."""
    message_type = MessageType(fields["type"])
    route = "r" if fields["compress_route"] else fields["route"]
    return Message(
        fields["id"],
        message_type,
        "" if message_type is RESPONSE else route,
        octets(fields["body"]),
    )


def repeated(fields: dict[str, Any]) -> dict[str, Any]:
    route = fields["route"]
    if isinstance(route, dict):
        text, count = route["$repeat"]
        return {**fields, "route": text * count}
    return fields


@pytest.mark.parametrize("case", cases("message", "encode"), ids=identity)
def test_encode_as_the_reference(case: Case) -> None:
    fields = repeated(case["input"])
    encoded = encode(fields)
    if case["id"] in ENCODED_PLAINLY:
        assert encoded[0] == case_bytes(case)[0] & (0x06 if fields["type"] == RESPONSE else 0x07)
        assert encoded[1:] == case_bytes(case)[1:]
    else:
        assert encoded == case_bytes(case)
    wanted = reading(repeated(case["decoded"]))
    assert decode(encoded, dictionary_for(fields)) == wanted
    assert decode(case_bytes(case), dictionary_for(fields)) == wanted


@pytest.mark.parametrize("case", cases("message", "encode-overflow"), ids=identity)
def test_encode_large_ids_right(case: Case) -> None:
    encoded = encode(case["input"])
    assert encoded.hex() == ENCODED_RIGHT[case["id"]]
    assert decode(encoded, EMPTY).id == case["input"]["id"]


@pytest.mark.parametrize("case", cases("message", "encode-error"), ids=identity)
def test_encode_refuses(case: Case) -> None:
    with pytest.raises((ValueError, ProtocolError), match=ENCODE_REFUSED[case["id"]]):
        encode(repeated(case["input"]))


@pytest.mark.parametrize("case", cases("message", "decode-malformed"), ids=identity)
def test_decode_malformed(case: Case) -> None:
    outcome = DECODE_MALFORMED[case["id"]]
    if isinstance(outcome, Message):
        assert decode(case_bytes(case), EMPTY) == outcome
        return
    with pytest.raises(ProtocolError, match=outcome):
        decode(case_bytes(case), EMPTY)


@pytest.mark.parametrize("message_id", [0, 1, 127, 128, 16383, 16384, 2**31, 2**32, MAX_ID])
def test_ids_at_the_edges(message_id: int) -> None:
    assert decode(encode_request(message_id, "a", b"{}", EMPTY), EMPTY).id == message_id
    response = data_response(message_id, b"{}")
    assert response == package.encode(DATA, encode_response(message_id, b"{}"))
    assert decode(response, EMPTY, 4) == Message(message_id, RESPONSE, "", b"{}")


@pytest.mark.parametrize("message_id", [-1, MAX_ID + 1, 2**64])
def test_ids_beyond_the_edges_are_not_sent(message_id: int) -> None:
    for build in (data_response, encode_response):
        with pytest.raises(ValueError, match="expected 0-"):
            build(message_id, b"{}")


@pytest.mark.parametrize("varint", ["8080808080808010", "ffffffffffffffffff7f", "80" * 10 + "00"])
def test_ids_beyond_the_edges_are_refused(varint: str) -> None:
    with pytest.raises(ProtocolError, match="message id"):
        decode(bytes.fromhex("00" + varint + "0161"), EMPTY)


def test_id_of_ten_bytes_that_means_little() -> None:
    assert decode(bytes.fromhex("00" + "85" + "80" * 8 + "00" + "0161"), EMPTY).id == 5


def test_unknown_code_has_a_route_that_no_handler_has() -> None:
    assert decode(bytes.fromhex("010103e77b7d"), EMPTY) == Message(1, REQUEST, "#999", b"{}")


def test_route_in_cesu_8() -> None:
    assert decode(bytes.fromhex("0206eda0bdedb880"), EMPTY).route == "\U0001f600"


@pytest.mark.parametrize("route", ["onChat", "r", "聊天.消息"])
def test_push_as_package(route: str) -> None:
    dictionary = RouteDictionary.from_wire({"r": 7}, "v")
    pushed = data_push(route, b"{}", dictionary)
    assert pushed == package.encode(DATA, encode_push(route, b"{}", dictionary))
    assert decode(pushed, dictionary, 4) == Message(0, PUSH, route, b"{}")


def test_package_too_large() -> None:
    assert len(data_response(1, b"x" * (MAX_BODY - 2))) == MAX_BODY + 4
    with pytest.raises(ValueError, match="16777216"):
        data_response(1, b"x" * (MAX_BODY - 1))
    with pytest.raises(ValueError, match="16777216"):
        data_push("a", b"x" * (MAX_BODY - 2), EMPTY)


@given(st.binary(max_size=40), st.integers(0, 3))
def test_decode_any_bytes(data: bytes, start: int) -> None:
    dictionary = RouteDictionary(["a.b.c"], ["onPush"])
    try:
        message = decode(data, dictionary, start)
    except ProtocolError:
        return
    assert 0 <= message.id <= MAX_ID
    assert data.endswith(message.body)


@given(
    st.integers(0, MAX_ID),
    st.text(max_size=60).filter(lambda route: len(route.encode()) <= 255) | st.just("a.b.c"),
    st.binary(max_size=200),
)
def test_round_trip(message_id: int, route: str, body: bytes) -> None:
    dictionary = RouteDictionary(["a.b.c"])
    request = encode_request(message_id, route, body, dictionary)
    assert decode(request, dictionary) == Message(message_id, REQUEST, route, body)
    notify = encode_notify(route, body, dictionary)
    assert decode(notify, dictionary) == Message(0, NOTIFY, route, body)
    push = encode_push(route, body, dictionary)
    assert decode(push, dictionary) == Message(0, PUSH, route, body)
