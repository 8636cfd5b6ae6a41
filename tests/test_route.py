"""Routes, those of hostile clients too."""

from __future__ import annotations

import pytest

from zchat.route import Route, server_type


def test_a_route_is_three_names() -> None:
    route = Route.parse("chat.chatHandler.send")
    assert route == Route("chat", "chatHandler", "send")
    assert str(route) == "chat.chatHandler.send"


@pytest.mark.parametrize(
    "text", ["", ".", "..", "chat", "chat.send", "a.b.", ".b.c", "a..c", "a.b.c.d", "a.b.c."]
)
def test_anything_else_is_none(text: str) -> None:
    assert Route.parse(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("chat.x.y", "chat"), ("chat.", "chat"), ("chat", ""), ("", ""), (".x.y", ""), ("a.b", "a")],
)
def test_the_server_type_is_before_the_first_dot(text: str, expected: str) -> None:
    assert server_type(text) == expected
