"""How the body of a message is read; more of it is seen through the dispatcher's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from zchat.errors import BadRequest, ConfigError
from zchat.framework.handlers.decoding import body_decoder
from zchat.framework.handlers.loader import Found
from zchat.route import Route


class Step(msgspec.Struct):
    x: int
    y: int = 0


class WalkHandler:
    async def step(self, msg: Step, session: Any) -> None: ...
    async def free(self, msg: dict[str, Any], session: Any) -> None: ...
    async def wrong(self, msg: Step) -> None: ...


def decode(method: str, body: bytes) -> Any:
    found = Found(Route("area", "walkHandler", method), WalkHandler, method, Path("walk.py"), 3)
    return body_decoder(getattr(WalkHandler(), method), found)(body)


def test_by_the_annotation() -> None:
    assert decode("step", b'{"x":1}') == Step(1)
    assert decode("free", b'{"x":1}') == {"x": 1}
    assert decode("free", b"") == {}


@pytest.mark.parametrize(
    ("body", "path"), [(b"{}", "x"), (b'{"x":"1"}', "x"), (b'{"x":1,"y":null}', "y"), (b"{", "")]
)
def test_a_bad_field_is_named(body: bytes, path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode("step", body)
    assert caught.value.fields.get("path", "") == path


def test_a_handler_that_takes_no_session_stops_the_start() -> None:
    with pytest.raises(ConfigError, match=r"walk\.py:3: area\.walkHandler\.wrong: "):
        decode("wrong", b"")


@pytest.mark.parametrize(
    ("method", "body", "path"),
    [
        ("free", b'{"a":[0,{"b":18446744073709551616}]}', "a[1].b"),
        ("step", b'{"x":-9223372036854775809}', "x"),
        ("step", b'{"x":18446744073709551616,"half a pair":"\\ud800"}', "x"),
    ],
)
def test_an_integer_that_cannot_be_handed_on_is_named(method: str, body: bytes, path: str) -> None:
    with pytest.raises(BadRequest, match="at most 64 bits") as caught:
        decode(method, body)
    assert caught.value.fields == {"path": path}
