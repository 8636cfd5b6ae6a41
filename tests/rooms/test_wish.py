"""What clients say of the way in which they want to come in."""

from __future__ import annotations

import msgspec
import pytest

from zchat.rooms.recovery import Position
from zchat.rooms.wish import Wish


class Enter(Wish, kw_only=True):
    room: str


def test_stock_clients_say_nothing() -> None:
    assert msgspec.convert({"room": "pier"}, Enter) == Enter(room="pier")
    assert (Wish().since, Wish().resume, Wish().presence) == (None, "", "")


def test_others_do() -> None:
    body = {"room": "pier", "since": {"epoch": "e", "offset": 3}, "presence": "diff"}
    assert msgspec.convert(body, Enter) == Enter(
        room="pier", since=Position("e", 3), presence="diff"
    )


def test_what_nobody_knows_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="presence"):
        msgspec.convert({"presence": "all"}, Wish)


def test_a_wish_is_read_out_of_the_request_that_it_came_with() -> None:
    """A server type passes the body on to another one."""
    raw = msgspec.to_builtins(Enter(room="pier", resume="mine.1"))
    assert msgspec.convert(raw, Wish) == Wish(resume="mine.1")
