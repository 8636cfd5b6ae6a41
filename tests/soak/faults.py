"""What is done to a cluster under supervisord while people talk: at random, by one seed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

from tests.support.supervised import START, Supervised
from zchat.testing.events import Event, Fault

PAUSE = (2.0, 5.0)
"""Seconds between two faults: enough for most of the last one to be mended, and not for all."""

STOPPED = 1.5
"""Seconds that a worker is stopped."""

CONNECTORS = ("connector-server-1", "connector-server-2")
WORKERS = ("chat-server-1", "chat-server-2")


class Faults:
    """Kills, stops, adds and removes servers, one after the other.

    Args:
        project: the cluster.
        rng: decides.
        events: where each fault is written down.
        clock: seconds, of the events.
    """

    def __init__(
        self,
        project: Supervised,
        rng: Random,
        events: list[Event],
        clock: Callable[[], float],
    ) -> None:
        self._project = project
        self._rng = rng
        self._events = events
        self._clock = clock
        self._added: str | None = None

    async def go_on(self, until: float) -> None:
        """Rounds of every fault, each round in another order; none begins after `until`."""
        while True:
            round_: list[Callable[[], Awaitable[None]]] = [
                self.kill_connector,
                self.kill_worker,
                self.stop_worker,
                self.add_worker,
                self.remove_worker,
            ]
            self._rng.shuffle(round_)
            for fault in round_:
                await asyncio.sleep(self._rng.uniform(*PAUSE))
                if self._clock() >= until:
                    return
                await fault()

    async def mend(self) -> None:
        """Leave a cluster as it was in the beginning, all of it well."""
        await self.remove_worker()
        await self._project.up()

    async def kill_connector(self) -> None:
        """kill -9 of one."""
        await self._signal(self._rng.choice(CONNECTORS), signal.SIGKILL, "kill")

    async def kill_worker(self) -> None:
        """kill -9 of one."""
        await self._signal(self._rng.choice(WORKERS), signal.SIGKILL, "kill")

    async def stop_worker(self) -> None:
        """One does nothing for a moment, and then goes on as if it were still a moment before."""
        async with self._stopped_worker():
            await asyncio.sleep(STOPPED)

    async def add_worker(self) -> None:
        """A line is added to servers.json."""
        if self._added is None:
            self._added = self._project.add("chat")
            self._note("add", self._added)
            self._project.write()
            await self._project.ctl("update")

    async def remove_worker(self) -> None:
        """It is taken out again, while one of those that remain is stopped.

        The one that is stopped does not see that the ring changes: what it appends when it goes on
        has to be refused.
        """
        if self._added is None:
            return
        gone, self._added = self._added, None
        async with self._stopped_worker():
            self._note("remove", gone)
            self._project.remove(gone)
            self._project.write()
            await asyncio.sleep(STOPPED)
        await self._project.ctl("update")

    @asynccontextmanager
    async def _stopped_worker(self) -> AsyncIterator[None]:
        """One of the workers is stopped meanwhile."""
        pid = await self._signal(self._rng.choice(WORKERS), signal.SIGSTOP, "stop")
        try:
            yield
        finally:
            if pid is not None:
                os.kill(pid, signal.SIGCONT)

    async def _signal(self, server_id: str, number: int, kind: str) -> int | None:
        """Send a signal once the server is up; returns whom it was sent to."""
        async with asyncio.timeout(START):
            while (pid := await self._pid(server_id)) is None:  # noqa: ASYNC110 (we ask, it tells)
                await asyncio.sleep(0.1)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        self._note(kind, server_id)
        return pid

    async def _pid(self, server_id: str) -> int | None:
        for answer in await self._project.answers():
            if answer["id"] == server_id and answer["reachable"]:
                pid: int = answer["pid"]
                return pid
        return None

    def _note(self, kind: str, what: str) -> None:
        self._events.append(Fault(self._clock(), kind, what))
