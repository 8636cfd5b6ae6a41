"""What it costs when many people enter one room within a second.

    python -m bench.presence [-n 500] [--seconds 1.0] [--repeat 3]

zchat as shipped: a gate, two connectors, two chat workers, over TCP on loopback. Everybody is
connected before; then all enter, one after the other at given times. The CPU time is that of all
server processes from the first entering until everybody knows everybody. Three runs in turn:

    alone    everybody enters a room of their own: what entering costs without anybody to tell
    stock    nobody asks for anything: one push per person who comes, as Pomelo has it
    diff     everybody asks for differences: one push per moment, as our own clients do

Pushes and bytes are what all clients together were sent, answers included in the bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.contenders import Zchat
from zchat.protocol.body import dumps, loads
from zchat.protocol.dictionary import EMPTY
from zchat.protocol.message import decode, encode_request
from zchat.protocol.package import HEADER, PackageType, encode

ENTER = "connector.entryHandler.enter"
WAYS = ("alone", "stock", "diff")
PATIENCE = 60.0
"""Seconds within which everybody must know everybody."""

_PORTS = (24_250, 24_251)  # of the connectors for clients, see `bench.contenders`
_NANO = 1e-9
_RESPONSE = 4
"""The flag of a response, see `zchat.protocol.message`."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run."""

    cpu: float
    """Seconds, all server processes."""
    seconds: float
    """From the first entering until everybody knew everybody."""
    pushes: int
    received: int
    """Bytes."""


class Guest(asyncio.Protocol):
    """A client that enters a room and counts whom it knows there.

    It is light, or its own work would pace the crowd: nobody is told twice, so a push of one person
    is not even read.

    Args:
        name: its own.
        way: what it adds to its request.
    """

    def __init__(self, name: str, way: dict[str, str]) -> None:
        self.name = name
        self.known = self.pushes = self.received = 0
        self.ready = asyncio.get_running_loop().create_future()
        self._way = way
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        hello = {"sys": {"type": "bench", "version": "1"}, "user": {}}
        transport.write(encode(PackageType.HANDSHAKE, dumps(hello)))

    def enter(self, room: str) -> None:
        """Ask to be let in; without an error somebody is known soon."""
        assert self._transport is not None
        body = dumps({"username": self.name, "rid": room, **self._way})
        message = encode_request(1, ENTER, body, EMPTY)
        self._transport.write(encode(PackageType.DATA, message))

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        data, start = self._rest + data, 0
        while len(data) >= (begin := start + HEADER):
            end = begin + int.from_bytes(data[start + 1 : begin], "big")
            if end > len(data):
                break
            self._take(data[start], data, begin, end)
            start = end
        self._rest = data[start:]

    def _take(self, kind: int, data: bytes, begin: int, end: int) -> None:
        if kind == PackageType.HANDSHAKE:
            assert self._transport is not None
            self._transport.write(encode(PackageType.HANDSHAKE_ACK, b""))
            self.ready.set_result(None)
        elif kind == PackageType.DATA and data[begin] != _RESPONSE:
            self.pushes += 1
            self.known += self._told(data[begin:end]) if self._way else 1
        elif kind == PackageType.DATA:
            self.known += len(loads(decode(data[begin:end], EMPTY).body)["users"])

    def _told(self, push: bytes) -> int:
        return len(loads(decode(push, EMPTY).body)["joined"])

    def close(self) -> None:
        """Go."""
        if self._transport is not None:
            self._transport.close()


async def crowd(pids: Sequence[int], people: int, seconds: float, way: str) -> Cost:
    """One run.

    Raises:
        TimeoutError: somebody does not know everybody in time.
    """
    loop = asyncio.get_running_loop()
    wish = {"presence": "diff"} if way == "diff" else {}
    guests = [Guest(f"p{number}", wish) for number in range(people)]
    for number, guest in enumerate(guests):
        port = _PORTS[number % len(_PORTS)]
        await loop.create_connection(lambda guest=guest: guest, "127.0.0.1", port)  # type: ignore[misc]
        await guest.ready
    everybody = 1 if way == "alone" else people
    before, begun = _cpu(pids), time.perf_counter()
    for number, guest in enumerate(guests):
        await asyncio.sleep(begun + number * seconds / people - time.perf_counter())
        guest.enter(guest.name if way == "alone" else "everybody")
    async with asyncio.timeout(PATIENCE):
        while any(guest.known < everybody for guest in guests):  # noqa: ASYNC110 (no event)
            await asyncio.sleep(0.02)
    cost = Cost(
        _cpu(pids) - before,
        time.perf_counter() - begun,
        sum(guest.pushes for guest in guests),
        sum(guest.received for guest in guests),
    )
    for guest in guests:
        guest.close()
    return cost


def _cpu(pids: Sequence[int]) -> float:
    """Seconds of CPU that all threads of these processes have had."""
    tasks = (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) * _NANO


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", "--people", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=1.0, help="in which they all enter")
    parser.add_argument("--repeat", type=int, default=3, help="times; the medians are printed")
    parser.add_argument("--json", action="store_true", help="every run as a line of JSON")
    words = parser.parse_args()
    runs: dict[str, list[Cost]] = {way: [] for way in WAYS}
    for _ in range(words.repeat):
        for way in WAYS:
            with Zchat() as servers:
                cost = asyncio.run(crowd(servers.pids, words.people, words.seconds, way))
            runs[way].append(cost)
            if words.json:
                line = {"way": way, "people": words.people, "cpu": cost.cpu}
                print(json.dumps(line | {"pushes": cost.pushes, "bytes": cost.received}))
    print(f"{words.people} people enter within {words.seconds:g} s, {words.repeat} times: medians")
    print(f"{'':8}{'CPU s':>8}{'ms each':>9}{'settled s':>11}{'pushes':>10}{'MB':>8}")
    for way, costs in runs.items():
        cpu = median(cost.cpu for cost in costs)
        settled = median(cost.seconds for cost in costs)
        pushes = median(cost.pushes for cost in costs)
        size = median(cost.received for cost in costs) / 1e6
        each = cpu / words.people * 1000
        print(f"{way:8}{cpu:8.2f}{each:9.2f}{settled:11.2f}{pushes:10.0f}{size:8.2f}")


if __name__ == "__main__":
    main()
