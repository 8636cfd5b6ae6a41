"""What the generator's processes say to each other."""

from __future__ import annotations

import asyncio

import pytest

from tests.ops.load.accounts import PLAN, accounts
from zchat.ops.load.crowd import Progress
from zchat.ops.load.wire import (
    Down,
    Failed,
    Order,
    Ready,
    Start,
    Stop,
    Up,
    pack,
    read_down,
    read_up,
    receive,
)


def reader(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@pytest.mark.parametrize("said", [Order("ws://a:1", PLAN, 1), Start(1.5), Stop()])
async def test_orders(said: Down) -> None:
    assert read_down(await receive(reader(pack(said)))) == said


@pytest.mark.parametrize("said", [Ready(), Progress(sent=3), Failed("no"), accounts()[1]])
async def test_answers(said: Up) -> None:
    assert read_up(await receive(reader(pack(said)))) == said


async def test_one_after_the_other() -> None:
    stream = reader(pack(Ready()) + pack(Failed("x")))
    assert [read_up(await receive(stream)) for _ in range(2)] == [Ready(), Failed("x")]


@pytest.mark.parametrize("data", [b"", pack(Ready())[:-1], b"\0\0"])
async def test_who_is_gone(data: bytes) -> None:
    with pytest.raises(EOFError):
        await receive(reader(data))
