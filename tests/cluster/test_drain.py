"""Reading from an edge-triggered FD."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import zmq

from tests.support.timing import PATIENCE, eventually
from zchat.cluster.drain import Drain

Sockets = tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"]


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    """Two connected sockets, ours and the other's."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    ours, other = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    for socket in (ours, other):
        socket.set_hwm(0)
    port = ours.bind_to_random_port("tcp://127.0.0.1")
    other.connect(f"tcp://127.0.0.1:{port}")
    yield ours, other
    context.destroy(linger=0)


def reader(
    socket: zmq.Socket[bytes], got: list[bytes], seen: Callable[[bytes], None] = lambda _: None
) -> Callable[[int], bool]:
    """A burst that keeps what it receives."""

    def burst(budget: int) -> bool:
        for _ in range(budget):
            try:
                message = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return False
            got.append(message)
            seen(message)
        return True

    return burst


async def test_what_came_before_the_drain(sockets: Sockets) -> None:
    ours, other = sockets
    got: list[bytes] = []
    other.send(b"1")
    await eventually(lambda: ours.poll(0))
    drain = Drain(ours, reader(ours, got))
    await eventually(lambda: got == [b"1"])
    drain.close()


async def test_a_burst_beyond_the_budget_goes_on_and_lets_others_run(sockets: Sockets) -> None:
    ours, other = sockets
    got: list[bytes] = []
    steps: list[int] = []
    for number in range(1000):
        other.send(b"%d" % number)
    await eventually(lambda: ours.poll(0))
    drain = Drain(ours, reader(ours, got), budget=10)
    while len(got) < 1000:
        steps.append(len(got))
        assert len(steps) < 10_000
        await asyncio.sleep(0)
    assert got == [b"%d" % number for number in range(1000)]
    assert max(after - before for before, after in itertools.pairwise(steps)) <= 20
    drain.close()


async def test_a_send_that_eats_the_signal(sockets: Sockets) -> None:
    """Each message is answered by one; without `check` this stops after a few hundred."""
    ours, other = sockets
    got: list[bytes] = []
    back: list[bytes] = []
    drains: list[Drain] = []

    def answer(message: bytes) -> None:
        if len(got) < 5000:
            ours.send(message, zmq.NOBLOCK)
            drains[0].check()

    def again(message: bytes) -> None:
        other.send(message, zmq.NOBLOCK)
        drains[1].check()

    drains.append(Drain(ours, reader(ours, got, answer)))
    drains.append(Drain(other, reader(other, back, again)))
    for _ in range(5):
        other.send(b"ball")
        drains[1].check()
    await eventually(lambda: len(got) >= 5000)
    for drain in drains:
        drain.close()


async def test_reading_before_the_loop_has_its_turn(sockets: Sockets) -> None:
    ours, other = sockets
    got: list[bytes] = []
    drain = Drain(ours, reader(ours, got))
    drain.read()
    assert got == []
    other.send(b"1")
    assert ours.poll(int(PATIENCE * 1000))
    drain.read()
    assert got == [b"1"]
    drain.close()
    drain.read()


async def test_a_fault_does_not_end_the_reading(sockets: Sockets) -> None:
    ours, other = sockets
    faults: list[Any] = []
    got: list[bytes] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))

    def fault(message: bytes) -> None:
        if message == b"1":
            raise RuntimeError("broken")

    drain = Drain(ours, reader(ours, got, fault))
    for message in (b"1", b"2"):
        other.send(message)
    await eventually(lambda: got == [b"1", b"2"])
    assert [str(fault["exception"]) for fault in faults] == ["broken"]
    drain.close()


async def test_closing(sockets: Sockets) -> None:
    ours, other = sockets
    got: list[bytes] = []
    drain = Drain(ours, reader(ours, got))
    other.send(b"1")
    await eventually(lambda: got)
    drain.kick()
    drain.close()
    drain.close()
    drain.kick()
    drain.check()
    other.send(b"2")
    await eventually(lambda: ours.poll(0))
    await asyncio.sleep(0)
    assert got == [b"1"]


def test_closing_after_the_loop() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.PAIR)

    async def make() -> Drain:
        return Drain(socket, lambda _: False)

    drain = asyncio.run(make())
    drain.close()
    context.destroy(linger=0)
    assert socket.closed
