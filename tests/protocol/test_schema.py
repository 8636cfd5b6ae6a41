from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.protocol.schema import SchemaError, compile_routes, parse


def test_parsed_form_of_the_tutorial() -> None:
    file = {"onChat": {"required string msg": 1, "optional uInt32 n": 7}}
    assert parse(file).messages == {
        "onChat": {
            "msg": {"option": "required", "type": "string", "tag": 1},
            "n": {"option": "optional", "type": "uInt32", "tag": 7},
            "__messages": {},
            "__tags": {"1": "msg", "7": "n"},
        }
    }


@pytest.mark.parametrize(
    ("file", "key", "problem"),
    [
        ([], (), "expected an object of routes"),
        ({"r": 5}, ("r",), "expected an object of fields, found 5"),
        ({"": {}}, ("",), "expected a route of 1 to 255 bytes"),
        ({"r" * 256: {}}, ("r" * 256,), "expected a route of 1 to 255 bytes"),
        ({"\ud83d": {}}, ("\ud83d",), "expected a route"),
        ({"r": {"required bool f": 1}}, ("r", "required bool f"), "unknown type bool; known: "),
        ({"r": {"requird string f": 1}}, ("r", "requird string f"), "expected `required|opt"),
        ({"r": {"string f": 1}}, ("r", "string f"), "expected `required|optional|repeated"),
        ({"r": {"required string  f": 1}}, ("r", "required string  f"), "expected `required"),
        ({"r": {"required string f": 0}}, ("r", "required string f"), "a tag from 1 to 536870911"),
        ({"r": {"required string f": "1"}}, ("r", "required string f"), "found '1'"),
        ({"r": {"required string f": True}}, ("r", "required string f"), "found True"),
        ({"r": {"required string __f": 1}}, ("r", "required string __f"), "not begin with __"),
        (
            {"r": {"required string f": 1, "optional string f": 2}},
            ("r", "optional string f"),
            "the message has another field f",
        ),
        (
            {"r": {"message P": {"required Q q": 1}, "required P p": 1}},
            ("r", "message P", "required Q q"),
            "unknown type Q",
        ),
        (
            {"r": {"message P": {"message Q": {}}, "required Q q": 1}},
            ("r", "required Q q"),
            "unknown type Q",
        ),
        ({"message P": [], "r": {}}, ("message P",), "expected an object of fields"),
    ],
)
def test_what_is_wrong_is_named(file: Any, key: tuple[str, ...], problem: str) -> None:
    with pytest.raises(SchemaError) as caught:
        parse(file)
    assert caught.value.key == key
    assert problem in caught.value.problem


def test_the_second_field_of_a_tag_is_dropped_and_told() -> None:
    file = parse({"r": {"required string a": 1, "optional string b": 1}})
    assert "b" not in file.messages["r"]
    assert file.dropped == (("r", "optional string b"),)


def test_levels_of_messages_are_bounded() -> None:
    file: dict[str, Any] = {}
    for _ in range(40):
        file = {"message P": file}
    with pytest.raises(SchemaError, match="more than 32 levels"):
        parse({"r": file})


def test_a_message_may_contain_itself() -> None:
    file = {"message Node": {"optional Node next": 1, "optional uInt32 n": 2}}
    schema = compile_routes(parse({**file, "r": {"required Node list": 1}}).messages)["r"]
    value = {"list": {"next": {"next": {"n": 3}}, "n": 1}}
    assert schema.decode(schema.encode(value)) == value


def test_own_messages_come_before_shared_ones() -> None:
    file = {
        "message P": {"optional string s": 1},
        "r": {"message P": {"optional uInt32 n": 1}, "required P p": 1},
        "q": {"required P p": 1},
    }
    routes = compile_routes(parse(file).messages)
    assert set(routes) == {"r", "q"}
    assert routes["r"].encode({"p": {"n": 1}}) == bytes.fromhex("0a020801")
    assert routes["q"].encode({"p": {"s": "a"}}) == bytes.fromhex("0a030a0161")


FIELD = {"option": "optional", "type": "uInt32", "tag": 1}


@pytest.mark.parametrize(
    "form",
    [
        {"r": 5},
        {"r": {"f": 5}},
        {"r": {"f": {**FIELD, "option": "maybe"}}},
        {"r": {"f": {**FIELD, "tag": 0}}},
        {"r": {"f": {**FIELD, "tag": "1"}}},
        {"r": {"f": FIELD, "g": FIELD}},
        {"r": {"f": {**FIELD, "type": "Q"}}},
        {"r": {"f": {**FIELD, "type": "Q"}, "__messages": {"Q": 7}}},
    ],
)
def test_wrong_parsed_forms(form: Any) -> None:
    with pytest.raises(SchemaError, match=r"^r"):
        compile_routes(form)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["message P", "required string a", "repeated P p", "x", "__messages"]),
            inner,
        )
    ),
    max_leaves=9,
)


@given(JSON)
def test_any_file_is_parsed_or_refused(file: Any) -> None:
    try:
        messages = parse(file).messages
    except SchemaError:
        return
    compile_routes(messages)


@given(st.dictionaries(st.text(max_size=3), JSON))
def test_any_parsed_form_is_compiled_or_refused(form: Any) -> None:
    with suppress(SchemaError):
        assert compile_routes(form).keys() <= form.keys()
