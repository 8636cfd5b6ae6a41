"""The processes that generate a load, and when each of them does what.

async with Fleet(url, plan, show) as fleet:
    await fleet.enter()
    begin = fleet.start()
    await fleet.talk(begin + seconds)
    await fleet.settle()
    accounts = await fleet.stop()
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import Self

import msgspec

from zchat.errors import ConfigError
from zchat.ops.load.crowd import Account, Progress
from zchat.ops.load.plan import Plan
from zchat.ops.load.wire import Down, Failed, Order, Ready, Start, Stop, pack, read_up, receive

AHEAD = 0.5
"""Seconds from the order to start until the start: all processes have to hear it before."""

QUIET = 3.0
"""Seconds without any news after which what has not come never will."""

PATIENCE = 60.0
"""Seconds that what is on its way may take after the last message was sent."""

GRACE = 1.0
"""Seconds that a process has to end by itself."""

_GLANCE = 0.25


class Fleet:
    """The generator.

    Args:
        url: of the gate.
        plan: of the load.
        show: called four times a second with how far all processes are.
    """

    def __init__(self, url: str, plan: Plan, show: Callable[[Progress], None]) -> None:
        self._plan = plan
        self._show = show
        self._ships = [_Ship(Order(url, plan, number)) for number in range(plan.processes)]

    async def __aenter__(self) -> Self:
        try:
            for ship in self._ships:
                await ship.launch()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._end()

    @property
    def progress(self) -> Progress:
        """How far all of them are together."""
        return together([ship.progress for ship in self._ships])

    async def enter(self) -> None:
        """Everybody comes in.

        Raises:
            ConfigError: somebody could not.
        """
        ready = asyncio.gather(*(ship.ready() for ship in self._ships))
        try:
            while not ready.done():
                await asyncio.wait({ready}, timeout=_GLANCE)
                self._show(self.progress)
            await ready
        finally:
            ready.cancel()

    def start(self) -> float:
        """Everybody talks; returns when that begins, a time of `time.monotonic`."""
        at = time.monotonic() + AHEAD
        for ship in self._ships:
            ship.tell(Start(at))
        return at

    async def talk(self, until: float) -> None:
        """Wait until a time of `time.monotonic`."""
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _GLANCE))
            self._show(self.progress)

    async def settle(self) -> None:
        """Wait until everything has arrived, or nothing arrives any more."""
        limit = time.monotonic() + PATIENCE
        news, seen = time.monotonic(), self.progress
        while not self._is_settled(seen) and time.monotonic() < min(limit, news + QUIET):
            await asyncio.sleep(_GLANCE)
            if self.progress != seen:
                news, seen = time.monotonic(), self.progress
            self._show(seen)

    async def stop(self) -> list[Account]:
        """The accounts of all processes.

        Raises:
            ConfigError: one of them has died.
        """
        for ship in self._ships:
            ship.tell(Stop())
        return list(await asyncio.gather(*(ship.account() for ship in self._ships)))

    def _is_settled(self, seen: Progress) -> bool:
        return seen.finished == self._plan.processes and is_settled(seen)

    async def _end(self) -> None:
        await asyncio.gather(*(ship.end() for ship in self._ships))


class _Ship:
    """One process."""

    def __init__(self, order: Order) -> None:
        self.progress = Progress()
        self._order = order
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._account: asyncio.Future[Account] = loop.create_future()

    async def launch(self) -> None:
        """Start it."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "zchat.ops.load.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.tell(self._order)
        self._listening = asyncio.create_task(self._listen())

    def tell(self, said: Down) -> None:
        """Tell it something."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(pack(said))

    async def ready(self) -> None:
        """Wait until its people are in."""
        await asyncio.shield(self._ready)

    async def account(self) -> Account:
        """What it knows at the end."""
        return await asyncio.shield(self._account)

    async def end(self) -> None:
        """See that it ends. Idempotent."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        for future in (self._ready, self._account):
            if not future.cancel() and not future.cancelled():
                future.exception()  # it may have been told to nobody
        if self._process is not None:
            await _end(self._process)

    async def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            while True:
                match read_up(await receive(self._process.stdout)):
                    case Progress() as progress:
                        self.progress = progress
                    case Ready():
                        self._ready.set_result(None)
                    case Account() as account:
                        self._account.set_result(account)
                    case Failed(why):
                        self._fail(f"cannot enter: {why}: is the cluster running?")
        except EOFError:
            self._fail("a process of the generator has died")
        except msgspec.MsgspecError as error:  # something in it has written to its stdout
            self._fail(f"a process of the generator cannot be understood: {error}")

    def _fail(self, why: str) -> None:
        for future in (self._ready, self._account):
            if not future.done():
                future.set_exception(ConfigError(why))


async def _end(process: asyncio.subprocess.Process) -> None:
    """A process that is told nothing more ends by itself; one that brings people in is killed."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(GRACE):
            await process.wait()
    except TimeoutError:
        process.kill()
    await process.communicate()


def together(progress: Sequence[Progress]) -> Progress:
    """The sum."""
    return Progress(
        entered=sum(p.entered for p in progress),
        gone=sum(p.gone for p in progress),
        sent=sum(p.sent for p in progress),
        answered=sum(p.answered for p in progress),
        received=sum(p.received for p in progress),
        owed=sum(p.owed for p in progress),
        finished=sum(p.finished for p in progress),
    )


def is_settled(progress: Progress) -> bool:
    """Whether nothing that was sent is on its way any more. After losses that is never sure."""
    return progress.answered >= progress.sent and progress.received >= progress.owed
