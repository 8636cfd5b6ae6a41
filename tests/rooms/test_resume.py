"""What clients show to come back as who they are."""

from __future__ import annotations

import pytest

from zchat.rooms.resume import MAX_SECRET, NO_TOKEN, Token


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("0af3", Token("0af3", 0)),
        ("0af3.7", Token("0af3", 7)),
        ("0af3.0", Token("0af3", 0)),
        ("a.b.12", Token("a.b", 12)),
        ("a.b", Token("a.b", 0)),
        ("a.-1", Token("a.-1", 0)),
        ("a.", Token("a.", 0)),
        ("a.\u0663", NO_TOKEN),
        ("a." + "9" * 16, Token("a", 10**16 - 1)),
        ("a." + "9" * 17, Token("a." + "9" * 17, 0)),
        ("x" * MAX_SECRET + ".1", Token("x" * MAX_SECRET, 1)),
        ("x" * (MAX_SECRET + 1), NO_TOKEN),
        ("x" * (MAX_SECRET + 1) + ".1", NO_TOKEN),
        ("\u00fc", NO_TOKEN),
        ("", NO_TOKEN),
        (".3", NO_TOKEN),
    ],
)
def test_reading(text: str, token: Token) -> None:
    assert Token.read(text) == token
    assert Token.read(str(token)) == token


def test_it_is_of_the_client_that_has_the_secret() -> None:
    mine = Token("mine", 3)
    assert mine.is_of(mine.next())
    assert mine.next() == Token("mine", 4)
    assert not mine.is_of(Token("other", 3))
    assert not mine.is_of(NO_TOKEN)
    assert not NO_TOKEN.is_of(NO_TOKEN)
