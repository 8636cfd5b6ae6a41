"""Clients that have said nothing: bounded, timed, counted."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from tests.frontend.wire import until
from zchat.frontend.sockets.arrival import Arrival, Expiring, Openings
from zchat.wheel import Wheel


@dataclass
class Item:
    """What can be closed."""

    name: str
    closed: bool = False

    def close(self) -> None:
        self.closed = True

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass
class Hall:
    """Arrivals and what becomes of them."""

    counters: Counter[str] = field(default_factory=Counter)
    wheel: Wheel[Expiring] = field(default_factory=lambda: Wheel(0.25))
    spoken: list[bytes] = field(default_factory=list)
    openings: Openings = field(init=False)
    sockets: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.openings = Openings(2, self.counters)

    def arrive(self, early: bytes = b"") -> socket.socket:
        """One more, who has said that before; returns the client's end."""
        ours, theirs = socket.socketpair()
        theirs.send(early)
        ours.setblocking(False)
        self.sockets += [ours, theirs]
        Arrival(
            ours,
            "192.0.2.1",
            10.0,
            loop=asyncio.get_running_loop(),
            wheel=self.wheel,
            openings=self.openings,
            counters=self.counters,
            spoke=lambda arrival, data: self.spoken.append(data),
        ).start()
        return theirs


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    made = Hall()
    yield made
    made.openings.close()
    assert not len(made.wheel)
    for sock in made.sockets:
        sock.close()


def test_the_oldest_opening_makes_room() -> None:
    counters: Counter[str] = Counter()
    openings = Openings(2, counters)
    first, second, third = items = [Item(name) for name in "abc"]
    for item in items:
        openings.add(item)
    assert [item.closed for item in items] == [True, False, False]
    assert counters == {"openings_lost": 1}
    openings.discard(second)
    openings.discard(second)
    openings.add(first)
    assert len(openings) == 2
    openings.close()
    assert third.closed
    assert not openings


async def test_the_first_bytes_are_handed_over_and_nothing_is_left(hall: Hall) -> None:
    client = hall.arrive()
    client.send(b"G")
    await until(lambda: hall.spoken)
    assert hall.spoken == [b"G"]
    assert not hall.openings
    assert not len(hall.wheel)
    assert not hall.counters
    client.send(b"ET")  # somebody else's by now
    await asyncio.sleep(0)
    assert hall.spoken == [b"G"]


async def test_first_bytes_that_are_here_already(hall: Hall) -> None:
    hall.arrive(b"\x01\x00")
    assert hall.spoken == [b"\x01\x00"]
    assert not hall.openings
    assert not len(hall.wheel)


async def test_who_says_nothing_is_closed_and_counted(hall: Hall) -> None:
    client = hall.arrive()
    for item in hall.wheel.expire(9.0):
        item.expired()
    assert not hall.counters
    for item in hall.wheel.expire(11.0):
        item.expired()
    assert client.recv(1) == b""
    assert hall.counters == {"handshake_timeout": 1}
    assert not hall.openings


async def test_who_goes_is_counted(hall: Hall) -> None:
    hall.arrive().close()
    await until(lambda: hall.counters)
    assert hall.counters == {"connection_lost": 1}
    assert not hall.openings


async def test_the_oldest_is_closed(hall: Hall) -> None:
    clients = [hall.arrive() for _ in range(3)]
    assert clients[0].recv(1) == b""
    assert hall.counters == {"openings_lost": 1}
    clients[2].send(b"x")
    await until(lambda: hall.spoken)
    assert len(hall.openings) == 1
