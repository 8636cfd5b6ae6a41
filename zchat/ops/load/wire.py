"""What the generator's processes say to each other: a length in four bytes, then msgpack.

down    Order, Start, Stop
up      Ready, Progress (four times a second), Account at the end, or Failed
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

import msgspec

from zchat.ops.load.crowd import Account, Progress
from zchat.ops.load.plan import Plan


class Order(msgspec.Struct, tag=True):
    """Play these people."""

    url: str
    plan: Plan
    process: int


class Start(msgspec.Struct, tag=True):
    """Everybody is in: the load begins at this time of the machine's monotonic clock."""

    at: float


class Stop(msgspec.Struct, tag=True):
    """It is over: give account."""


class Ready(msgspec.Struct, tag=True):
    """All of this process's people are in."""


class Failed(msgspec.Struct, tag=True):
    """Somebody could not come in."""

    why: str


Down: TypeAlias = Order | Start | Stop
Up: TypeAlias = Ready | Progress | Account | Failed

read_down = msgspec.msgpack.Decoder(Down).decode
"""What a process is told."""

read_up = msgspec.msgpack.Decoder(Up).decode
"""What it says."""

_encode = msgspec.msgpack.Encoder().encode
_HEADER = 4


def pack(said: Down | Up) -> bytes:
    """The bytes of what is said."""
    data = _encode(said)
    return len(data).to_bytes(_HEADER, "big") + data


async def receive(reader: asyncio.StreamReader) -> bytes:
    """What the other side says next, for `read_down` or `read_up`.

    Raises:
        EOFError: it is gone.
    """
    size = int.from_bytes(await reader.readexactly(_HEADER), "big")
    return await reader.readexactly(size)
