from __future__ import annotations

import json
from base64 import b64encode
from hashlib import md5
from typing import Any

import pytest

from tests.protocol.vectors import frames
from zchat.errors import ProtocolError
from zchat.protocol.dictionary import EMPTY, RouteDictionary

TUTORIAL = ["gate.gateHandler.queryEntry", "connector.entryHandler.enter", "chat.chatHandler.send"]


def recorded() -> dict[str, Any]:
    """`sys` of the answer that a live server gave."""
    answer = frames("handshake: full options, first contact")[1]["text"]
    system: dict[str, Any] = json.loads(answer.removeprefix("handshake "))["sys"]
    return system


def test_codes_of_the_tutorial() -> None:
    dictionary = RouteDictionary(TUTORIAL)
    assert [dictionary.code(route) for route in TUTORIAL] == [3, 2, 1]
    assert dictionary.route(1) == "chat.chatHandler.send"
    assert dictionary.code("onChat") is None


def test_table_and_version_of_a_live_server() -> None:
    system = recorded()
    pushes = ["onPush", "onUnicode", "area.h.extra"]
    handlers = [route for route in system["dict"] if route not in pushes]
    wire = RouteDictionary(reversed(handlers), pushes).as_wire()
    assert wire == {key: system[key] for key in wire}
    assert list(wire["dict"]) == list(system["dict"])
    assert list(wire) == ["dict", "routeToCode", "codeToRoute", "dictVersion"]


def test_sorted_by_utf_16_units() -> None:
    beyond, below = "a.\U0001f600.b", "a.\uffee.b"
    dictionary = RouteDictionary([below, beyond])
    assert (dictionary.code(beyond), dictionary.code(below)) == (1, 2)


def test_route_listed_twice_takes_two_codes() -> None:
    dictionary = RouteDictionary(["a.b.c"], ["onX", "a.b.c"])
    assert dictionary.code("a.b.c") == 3
    assert [dictionary.route(code) for code in (1, 2, 3)] == ["a.b.c", "onX", "a.b.c"]
    assert dictionary.as_wire()["codeToRoute"] == {"1": "a.b.c", "2": "onX", "3": "a.b.c"}


def test_version_lists_integer_like_keys_first() -> None:
    # JSON.stringify({"a.b": 1, "10": 2, "9": 3, "01": 4}) puts 9 and 10 before the others.
    written = b'{"9":3,"10":2,"a.b":1,"01":4}'
    version = b64encode(md5(written).digest()).decode()
    assert RouteDictionary(["a.b"], ["10", "9", "01"]).version == version


def test_empty() -> None:
    assert not EMPTY
    assert EMPTY.version == ""
    assert EMPTY.as_wire() == {}
    assert EMPTY.field("onChat") == (0, b"\x06onChat")
    assert EMPTY.route(1) == "#1"


def test_from_wire_round_trip() -> None:
    dictionary = RouteDictionary(TUTORIAL, ["onChat"])
    wire = dictionary.as_wire()
    copy = RouteDictionary.from_wire(wire["dict"], wire["dictVersion"])
    assert copy.as_wire() == wire
    assert copy.field("onChat") == (1, b"\x00\x04")


@pytest.mark.parametrize("code", ["1", 1.0, None, True, -1, 65536, [], {}])
def test_from_wire_refuses_codes(code: Any) -> None:
    with pytest.raises(ProtocolError, match="expected 0-65535"):
        RouteDictionary.from_wire({"a": code}, "v")


def test_from_wire_refuses_long_routes() -> None:
    with pytest.raises(ProtocolError, match="255 bytes"):
        RouteDictionary.from_wire({"中" * 86: 1}, "v")


def test_at_most_65535_entries() -> None:
    routes = [f"a.b.m{number}" for number in range(65535)]
    assert RouteDictionary(routes).route(65535) == "a.b.m9999"
    with pytest.raises(ValueError, match="code 65536"):
        RouteDictionary(routes, ["one.too.many"])


def test_fields_remembered_are_bounded() -> None:
    dictionary = RouteDictionary()
    for number in range(5000):
        assert dictionary.field(f"on{number}") == (0, b"%c" % len(f"on{number}") + b"on%d" % number)
    assert len(dictionary._fields) == 4096
