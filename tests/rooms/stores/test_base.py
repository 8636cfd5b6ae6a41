"""The values of the contract."""

from __future__ import annotations

from tests.contracts.store import publications
from zchat.rooms.stores.base import Append
from zchat.rooms.stream import StreamPosition


def test_where_an_append_begins_and_ends() -> None:
    append = Append("room", "e", publications(5, 3))
    assert append.start == StreamPosition("e", 4)
    assert append.end == StreamPosition("e", 7)
