"""An application's own long-lived parts."""

from __future__ import annotations

import pytest

from zchat.errors import StartError
from zchat.framework.app import lifecycle
from zchat.framework.app.components import Components

DONE: list[str] = []


class Board:
    """Has all methods."""

    async def start(self) -> None:
        DONE.append("board starts")

    async def after_start(self) -> None:
        DONE.append("board after start")

    async def stop(self) -> None:
        DONE.append("board stops")


class Clock:
    """Has plain methods, and not all."""

    def start(self) -> None:
        DONE.append("clock starts")

    def stop(self) -> None:
        DONE.append("clock stops")


class Table:
    """Has none."""


class Broken(Board):
    async def start(self) -> None:
        raise OSError("no database")


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    DONE.clear()


def components(*added: object) -> Components:
    made = Components()
    for component in added:
        made.add(component)
    return made


async def test_they_start_in_order_and_stop_in_the_other() -> None:
    made = components(Board(), Clock(), Table())
    steps = made.start_steps()
    assert [step.name for step in steps] == [
        "component Board",
        "component Clock",
        "component Table",
    ]
    await lifecycle.start("chat-1", steps + made.after_start_steps())
    await lifecycle.stop(made.stop_steps())
    assert DONE == [
        "board starts",
        "clock starts",
        "board after start",
        "clock stops",
        "board stops",
    ]
    assert made.stop_steps() == []


async def test_only_what_was_started_is_stopped() -> None:
    made = components(Clock(), Broken(), Board())
    with pytest.raises(StartError, match="component Broken cannot start: no database"):
        await lifecycle.start("chat-1", made.start_steps())
    await lifecycle.stop(made.stop_steps())
    assert DONE == ["clock starts", "clock stops"]


def test_one_is_found_by_its_class() -> None:
    board, clock = Broken(), Clock()
    made = components(board, clock)
    assert made.find(Board) is board
    assert made.find(Clock) is clock
    assert list(made) == [board, clock]
    with pytest.raises(LookupError, match="no component Table on this server; there are: Broken,"):
        made.find(Table)
