"""Frames between owners and frontends, and the packages in them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.logs import ExpectedLogs
from zchat.errors import ClusterError
from zchat.protocol import message, package
from zchat.protocol.body import dumps
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.misfit import Misfit
from zchat.protocol.protos import Protos
from zchat.protocol.schema import compile_routes, parse
from zchat.rooms.stream import (
    MAX_BODY_BYTES,
    Draft,
    Item,
    PresenceChange,
    PresenceChanges,
    Publication,
    Published,
    Pushed,
    StreamFrame,
    check_body,
    check_name,
    decode_frame,
    encode_frame,
    first_page,
    published,
)
from zchat.rooms.stream import package as build

NO_CODES = RouteDictionary((), ())


def read(data: bytes, dictionary: RouteDictionary = NO_CODES) -> tuple[str, dict[str, object]]:
    """Route and body of a push package, as a client reads it."""
    (found,) = package.decode(data)
    push = message.decode(found.body, dictionary)
    assert push.type is message.MessageType.PUSH
    return push.route, json.loads(push.body)


def publication(offset: int = 7, body: bytes = b'{"msg":"hi"}', cid: str = "") -> Publication:
    return Publication(offset, "onChat", body, "alice", cid, 1700000000000)


@pytest.mark.parametrize(
    "frame",
    [
        Published("e1", 5, (Item(b"\x04abc", None), Item(b"", ("alice", "bob")), Item(b"", ()))),
        PresenceChange("e1", 3, "漢字", True, b""),
        PresenceChanges(
            (PresenceChange("e", 3, "a", True, b"p"), PresenceChange("e", 4, "a", False, b""))
        ),
        Pushed(b"p", None),
        Pushed(b"p", ("a", "b")),
    ],
)
def test_frames_come_back_as_they_were(frame: StreamFrame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


def test_frames_are_msgpack_arrays_as_documented() -> None:
    data = encode_frame(PresenceChange("e", 1, "u", False, b""))
    assert data == b"\x96\x02\xa1e\x01\xa1u\xc2\xc4\x00"


@given(st.binary(max_size=60))
def test_anything_else_is_a_cluster_error(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except ClusterError:
        return
    assert isinstance(frame, Published | PresenceChange | PresenceChanges | Pushed)


@pytest.mark.parametrize("data", [b"", b"\x90", b"\x91\x01", b"\x96\x03\xa1e\x01\xa1u\xc2\xc4\x00"])
def test_frames_cut_short_or_of_another_kind_are_refused(data: bytes) -> None:
    with pytest.raises(ClusterError, match="not a stream frame"):
        decode_frame(data)


@pytest.mark.parametrize("body", [{}, {"msg": "hi"}, {"msg": "😀", "a": {"b": [1, None]}}])
@pytest.mark.parametrize("cid", ["", 'mine "quoted" \\ 😀'])
def test_a_package_is_the_body_and_zchats_members(body: dict[str, object], cid: str) -> None:
    route, got = read(build(publication(body=dumps(body), cid=cid), "e1", NO_CODES))
    own = {"epoch": "e1", "offset": 7, "ts": 1700000000000, "id": cid or "e1-7"}
    assert (route, got) == ("onChat", {**body, **own})


def test_routes_with_codes_are_sent_as_codes() -> None:
    codes = RouteDictionary((), ("onChat",))
    data = build(publication(), "e1", codes)
    assert b"onChat" not in data
    assert read(data, codes)[0] == "onChat"


def test_a_run_of_publications_is_one_frame() -> None:
    to_bob = Draft("onChat", b"{}", audience=("bob",)).at(8, 0)
    frame = published([publication(7), to_bob], "e1", NO_CODES)
    assert (frame.epoch, frame.first, len(frame.items)) == ("e1", 7, 2)
    assert [item.audience for item in frame.items] == [None, ("bob",)]
    assert [read(item.package)[1]["offset"] for item in frame.items] == [7, 8]


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b", "\nx", "\ud800"])
def test_names_that_no_channel_has(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (half a pair has a text of Python's)
        check_name(name)


@pytest.mark.parametrize("name", ["x", "x" * 200, "水 / 1"])
def test_names_that_channels_have(name: str) -> None:
    check_name(name)


def test_a_draft_becomes_a_publication_at_its_place() -> None:
    draft = Draft("onChat", b"{}", "alice", "c1", ("bob",))
    assert draft.at(3, 99) == Publication(3, "onChat", b"{}", "alice", "c1", 99, ("bob",))


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("", b"{}"),
        ("x" * 256, b"{}"),
        ("é" * 128, b"{}"),
        ("\ud800", b"{}"),
        ("onChat", b"[]"),
        ("onChat", b""),
        ("onChat", b'{"a":1} '),
        ("onChat", b'{"a":"' + b"x" * MAX_BODY_BYTES + b'"}'),
    ],
)
def test_what_could_never_be_sent_is_no_draft(route: str, body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each says something else)
        Draft(route, body)


def test_the_largest_draft_can_be_sent() -> None:
    body = b'{"a":"' + b"x" * (MAX_BODY_BYTES - 8) + b'"}'
    data = build(Draft("x" * 255, body).at(1, 0), "e1", NO_CODES)
    assert len(read(data)[1]["a"]) == MAX_BODY_BYTES - 8  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "count"), [(0, 1), (9, 1), (20, 2), (29, 2), (30, 3), (1000, 3)])
def test_a_page_has_room_for_one_at_least(size: int, count: int) -> None:
    run = [publication(offset, b'{"a":1234}') for offset in (1, 2, 3)]
    assert first_page(run, size) == run[:count]
    assert first_page([], size) == []


OWN = {"optional string epoch": 4, "optional uInt32 offset": 5, "optional double ts": 6}
ON_CHAT = {"required string msg": 1, "optional string id": 7, **OWN}
PROTOS = Protos(parse({"onChat": ON_CHAT}).messages)


def pushed(data: bytes) -> dict[str, object]:
    """The body of a push of onChat, as a client with its schema reads it."""
    (found,) = package.decode(data)
    push = message.decode(found.body, NO_CODES)
    body: dict[str, object] = PROTOS.at_client.decode(push.route, push.body)
    return body


def test_a_schema_carries_the_members_that_it_declares() -> None:
    said = publication(7, b'{"msg":"hi","extra":1}')
    assert pushed(build(said, "e1", NO_CODES, PROTOS)) == {
        "msg": "hi",
        "epoch": "e1",
        "offset": 7,
        "ts": 1700000000000,
        "id": "e1-7",
    }
    bare = Protos(parse({"onChat": {"required string msg": 1}}).messages)
    assert b"\x0a\x02hi" in build(said, "e1", NO_CODES, bare)[-4:]


def test_other_routes_stay_json() -> None:
    said = Publication(1, "onNews", b'{"a":1}', "", "c", 5)
    assert build(said, "e", NO_CODES, PROTOS) == build(said, "e", NO_CODES)


def test_a_journalled_body_that_no_schema_fits_is_for_nobody(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.app", "e1/2 cannot be sent: a push on onChat: msg: required, and missing")
    run = [publication(1), publication(2, b'{"text":"hi"}'), publication(3)]
    frame = published(run, "e1", NO_CODES, PROTOS)
    assert [item.audience for item in frame.items] == [None, (), None]
    assert frame.items[1].package == b""
    assert pushed(frame.items[2].package)["offset"] == 3


def test_bodies_are_checked_as_they_will_be_sent() -> None:
    schema = compile_routes(
        parse({"r": {"required uInt32 offset": 1, "required string msg": 2}}).messages
    )["r"]
    check_body({"msg": "hi"}, schema)
    with pytest.raises(Misfit, match="msg: expected a string"):
        check_body({"msg": 5}, schema)
