"""How long a channel stands still when its owner dies, is restarted, or changes.

    python -m bench.pause [--repeat 20] [--cases killed restarted added removed]

Real processes under supervisord: a gate, two connectors, two workers. Somebody at one connector
says something, waits for the acknowledgement and 5 ms, and says the next; a send that fails is
repeated with its `cid` until it is acknowledged. Somebody else listens at the other connector.
Meanwhile the worker that owns their room

    killed      gets a kill -9, and supervisord starts it again
    restarted   is restarted with `supervisorctl restart`
    added       loses the room to a worker that is added to servers.json (`supervisorctl update`)
    removed     is that worker, and taken out of servers.json again

The pause is the longest time from one acknowledgement to the next, and from one receipt to the
next. It includes what supervisord and a starting Python take. A message lost, doubled or out of
order ends the measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.contenders import UNLIMITED
from tests.support.supervised import Supervised
from zchat.client import Client
from zchat.errors import ZchatError
from zchat.rendezvous import choose

SERVERS = {"gate": 1, "connector": 2, "chat": 2, "web": 1}
OWNERS = ("chat-server-1", "chat-server-2")
THIRD = "chat-server-3"
ENTER, SEND = "connector.entryHandler.enter", "chat.chatHandler.send"
PACE = 0.005
CALM = 1.5
"""Seconds of talk before and after what happens."""
PATIENCE = 30.0
"""Seconds within which what was acknowledged must have been received."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=20, help="times that each case happens")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zc-") as folder:
        pauses = asyncio.run(_measure(Path(folder), arguments.cases, arguments.repeat))
    print(f"pause of a room in ms, {arguments.repeat} times each: between")
    print(f"{'':10}{'acknowledgements':^30}{'receipts':^30}")
    print(" " * 10 + f"{'median':>10}{'p99':>10}{'worst':>10}" * 2)
    for case, found in pauses.items():
        cells = [*_spread([p.acks for p in found]), *_spread([p.receipts for p in found])]
        print(f"{case:10}" + "".join(f"{cell * 1000:10.0f}" for cell in cells))


@dataclass(frozen=True, slots=True)
class Pause:
    """The longest, in seconds."""

    acks: float
    receipts: float


@dataclass(slots=True)
class Talk:
    """One who talks and one who listens, in one room."""

    talker: Client
    listener: Client
    acks: list[float] = field(default_factory=list)
    receipts: list[float] = field(default_factory=list)
    heard: list[int] = field(default_factory=list)
    said: int = 0

    async def go_on(self) -> None:
        """Talk until cancelled."""
        while True:
            await self._say(self.said + 1)
            self.said += 1
            self.acks.append(time.monotonic())
            await asyncio.sleep(PACE)

    async def _say(self, number: int) -> None:
        body = {"content": str(number), "target": "*", "cid": f"c{number}"}
        while True:
            try:
                answer = await self.talker.request(SEND, body)
            except (ZchatError, ConnectionError):
                answer = {}
            if "offset" in answer:
                return
            await asyncio.sleep(PACE)

    def hear(self, push: dict[str, Any]) -> None:
        """What the listener gets."""
        self.receipts.append(time.monotonic())
        self.heard.append(int(push["msg"]))

    async def pause(self, event: Callable[[], Awaitable[None]]) -> Pause:
        """The longest while that happens, and a little later.

        Raises:
            RuntimeError: something was lost, doubled or swapped.
        """
        await asyncio.sleep(CALM)
        begun = time.monotonic()
        await event()
        await asyncio.sleep(CALM)
        said, deadline = self.said, time.monotonic() + PATIENCE
        while len(self.heard) < said:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{said} were acknowledged, {len(self.heard)} received")
            await asyncio.sleep(PACE)
        wrong = [pair for pair in pairwise([0, *self.heard]) if pair[1] != pair[0] + 1]
        if wrong:
            raise RuntimeError(f"received one after the other: {wrong}")
        return Pause(_longest(self.acks, begun), _longest(self.receipts, begun))


class Case:
    """What happens to the owner of the room, again and again."""

    def __init__(self, cluster: Supervised) -> None:
        self.cluster = cluster
        self.room = room_of(OWNERS[0], OWNERS)

    async def before(self) -> None:
        """Make it possible; not measured."""

    async def happen(self) -> None:
        """It; returns when all is well again."""
        raise NotImplementedError


class Killed(Case):
    async def happen(self) -> None:
        await self.cluster.kill(OWNERS[0])
        await self.cluster.up()


class Restarted(Case):
    async def happen(self) -> None:
        await self.cluster.ctl("restart", OWNERS[0])
        await self.cluster.up()


class _Third(Case):
    """Has a room that is the third worker's as long as there is one."""

    def __init__(self, cluster: Supervised) -> None:
        super().__init__(cluster)
        self.room = room_of(THIRD, (*OWNERS, THIRD))

    async def list_it(self, *, listed: bool) -> None:
        """Make servers.json so, if it is not, and wait until it is followed."""
        lines = self.cluster.lines["chat"]
        if listed == (len(lines) == 3):
            return
        if listed:
            self.cluster.add("chat")
        else:
            lines.pop()
        self.cluster.write()
        await self.cluster.ctl("update")
        await self.cluster.up()


class Added(_Third):
    async def before(self) -> None:
        await self.list_it(listed=False)

    async def happen(self) -> None:
        await self.list_it(listed=True)


class Removed(_Third):
    async def before(self) -> None:
        await self.list_it(listed=True)

    async def happen(self) -> None:
        await self.list_it(listed=False)


CASES: dict[str, type[Case]] = {
    "killed": Killed,
    "restarted": Restarted,
    "added": Added,
    "removed": Removed,
}


async def _measure(folder: Path, cases: Sequence[str], repeat: int) -> dict[str, list[Pause]]:
    cluster = Supervised(folder, SERVERS, UNLIMITED)
    try:
        await cluster.start()
        return {case: await _repeat(CASES[case](cluster), repeat) for case in cases}
    except BaseException:
        print(cluster.logs())
        raise
    finally:
        await cluster.stop()


async def _repeat(case: Case, times: int) -> list[Pause]:
    pauses = []
    async with _talking(case.cluster, case.room) as talk:
        for _ in range(times):
            await case.before()
            pauses.append(await talk.pause(case.happen))
    return pauses


@asynccontextmanager
async def _talking(cluster: Supervised, room: str) -> AsyncIterator[Talk]:
    urls = [f"ws://127.0.0.1:{cluster.port('connector', index)}" for index in (0, 1)]
    async with Client(urls[0]) as talker, Client(urls[1]) as listener:
        talk = Talk(talker, listener)
        listener.on("onChat", talk.hear)
        for name, client in (("listener", listener), ("talker", talker)):
            answer = await client.request(ENTER, {"username": name, "rid": room})
            if "users" not in answer:
                raise RuntimeError(f"not let in: {answer}")
        talking = asyncio.create_task(talk.go_on())
        try:
            yield talk
        finally:
            talking.cancel()


def room_of(worker: str, workers: Sequence[str]) -> str:
    """A room that this one of the workers owns."""
    names = (f"room{number}" for number in range(1000))
    return next(name for name in names if choose(name, workers) == worker)


def _longest(times: Sequence[float], begun: float) -> float:
    """The longest time from one to the next, of those that ended after `begun`."""
    return max(b - a for a, b in pairwise(times) if b >= begun)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 99th percentile (of few: the worst), worst."""
    p99 = quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]
    return median(values), p99, max(values)


if __name__ == "__main__":
    main()
