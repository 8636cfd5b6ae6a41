"""Names between Python and the wire."""

from __future__ import annotations

import pytest

from zchat.naming import camel, pascal


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("entry_handler", "entryHandler"),
        ("queryEntry", "queryEntry"),
        ("query_entry", "queryEntry"),
        ("send", "send"),
        ("a__b", "aB"),
        ("_private", "private"),
        ("class_", "class"),
        ("part_2_of_3", "part2Of3"),
        ("", ""),
        ("_", ""),
    ],
)
def test_camel(name: str, wire: str) -> None:
    assert camel(name) == wire
    assert camel(wire) == wire


@pytest.mark.parametrize(
    ("name", "cls"),
    [("entry_handler", "EntryHandler"), ("chatRemote", "ChatRemote"), ("x", "X"), ("", "")],
)
def test_pascal(name: str, cls: str) -> None:
    assert pascal(name) == cls
