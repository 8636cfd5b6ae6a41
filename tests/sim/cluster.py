"""The chat's servers on the simulated network: zchat's own code from `Running` down to the sockets.

What stands in for the kernel is listed in `install`; everything else is what production runs.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, cast
from unittest import mock

from tests.sim.journal import SharedJournal, SimStore
from tests.sim.loop import VirtualLoop
from tests.sim.network import Network
from tests.sim.pipes import SimContext, SimDealer, SimRouter
from tests.sim.process import Process, current_process
from tests.sim.pubsub import SimPublisher, SimSubscriber
from tests.sim.sockets import SimAcceptor, SimConnections
from tests.sim.timeline import Timeline
from zchat.chat.app import app as chat
from zchat.config.servers import ServersFile
from zchat.config.settings import Settings
from zchat.config.topology import Changes, Server, Topology, diff
from zchat.framework.app.parts import Parts
from zchat.framework.handlers import loader
from zchat.framework.peers import methods
from zchat.framework.server.running import Running

_DEFAULTS = Settings()
QUICK = replace(
    _DEFAULTS,
    cluster=replace(
        _DEFAULTS.cluster, request_deadline=2.0, liveness_interval=0.4, liveness_count=3, drain=0.5
    ),
    rooms=replace(_DEFAULTS.rooms, grace=1.0, beat=0.4),
)
"""Shorter times than the defaults, so that more happens between two ticks."""


def install() -> None:
    """Put the simulated kernel under zchat, and remember what is worked out anew at each start."""
    for name, stand_in in (
        ("zchat.framework.server.running.Context", SimContext),
        ("zchat.cluster.rpc_client.Dealer", SimDealer),
        ("zchat.cluster.rpc_server.Router", SimRouter),
        ("zchat.framework.server.frontend_part.Connections", SimConnections),
        ("zchat.framework.server.frontend_part.Acceptor", SimAcceptor),
        ("zchat.framework.peers.methods._decoder", _remember(methods._decoder)),
        ("zchat.framework.handlers.loader.load", _remember(loader.load)),
    ):
        mock.patch(name, stand_in).start()
    # Killed processes' coroutines are freed between two runs, when nobody listens.
    logger = logging.getLogger("zchat")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.INFO)


def _remember(work: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[Any, ...], Any] = {}

    def remembered(*args: Any) -> Any:
        key = tuple(getattr(arg, "__func__", arg) for arg in args)
        if key not in known:
            known[key] = work(*args)
        return known[key]

    return remembered


class View:
    """servers.json as one process has read it: each notices a change at its own moment."""

    environment = "simulation"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.topology = cluster.topology
        self.due: float | None = None
        """When a change will be noticed; None when there is none."""

    def poll(self) -> Changes | None:
        """See ServersFile."""
        if self.due is None or self._cluster.loop.now < self.due:
            return None
        self.due = None
        old, self.topology = self.topology, self._cluster.topology
        return diff(old, self.topology) or None


class Life:
    """A server at work."""

    def __init__(self, process: Process, running: Running, view: View) -> None:
        self.process = process
        self.running = running
        self.view = view
        self.started = asyncio.Event()


class Cluster:
    """All servers.

    Args:
        loop: runs them.
        random: decides when things happen.
        network: between them.
        journal: shared by the workers.
        timeline: is told what happens.
        settings: of all.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        random: Random,
        network: Network,
        journal: SharedJournal,
        timeline: Timeline,
        *,
        settings: Settings = QUICK,
    ) -> None:
        self.loop = loop
        self.random = random
        self.network = network
        self.journal = journal
        self.timeline = timeline
        self.topology = Topology("simulation", ())
        self.lives: dict[str, Life] = {}
        self.counts = {"kills": 0, "owner_changes": 0, "repaired": 0, "stops": 0}
        self._settings = settings
        self._starts = 0
        self._app = copy.copy(chat)
        self._app.parts = Parts(
            store=lambda settings, folder: SimStore(journal, current_process().name),
            publisher=cast(Any, SimPublisher),
            subscriber=cast(Any, SimSubscriber),
        )
        SimContext.network = SimConnections.network = network

    # servers.json

    def list_servers(self, added: Sequence[str] = (), removed: Sequence[str] = ()) -> None:
        """Change servers.json: each process reads it at its own moment, within 2.5 s."""
        kept = [server for server in self.topology.servers if server.id not in removed]
        servers = (*kept, *(_server(server_id) for server_id in added))
        self.topology = Topology("simulation", tuple(sorted(servers, key=lambda s: s.id)))
        for life in self.lives.values():
            if life.view.due is None:
                life.view.due = self.loop.now + 2.5 * self.random.random()

    def is_listed(self, server_id: str) -> bool:
        """Whether servers.json has it now."""
        return server_id in self.topology

    # Processes

    def start(self, server_id: str) -> None:
        """Start a server, unless it runs or is not listed any more."""
        if server_id in self.lives or not self.is_listed(server_id):
            return
        self._starts += 1
        process = Process(server_id, self._starts)
        self.timeline.add(server_id, f"starts (life {process.life})")
        self.network.events += 1
        process.context.run(self._start, process)

    def _start(self, process: Process) -> None:
        view = View(self)
        servers = cast(ServersFile, view)
        running = Running(self._app, servers, process.name, self._settings, Path("/nowhere"))
        life = self.lives[process.name] = Life(process, running, view)
        work = self._begin(life)
        self.loop.create_task(work, name=f"start of {process.name}")

    async def _begin(self, life: Life) -> None:
        """Like `zchat run`, a server that cannot start ends, and supervisord tries again."""
        process = life.process
        try:
            await life.running.start()
            life.started.set()
        except Exception as error:
            self.timeline.add(process, f"cannot start: {error!r}")
            self.loop.call_later(0, self.kill, process.name, 0.5, context=contextvars.Context())

    def kill(self, server_id: str, back: float) -> None:
        """End a process as kill -9 does; supervisord starts it again after so many seconds."""
        life = self.lives.pop(server_id, None)
        if life is None:
            return
        self.counts["kills"] += 1
        self._note_repairs(life)
        self._end(life)
        self.timeline.add(server_id, "is killed")
        self.loop.call_later(back, self.start, server_id)

    def _end(self, life: Life) -> None:
        life.process.dead = True
        life.process.paused = False
        self.network.events += 1
        self.network.kill(life.process)

    def pause(self, server_id: str, seconds: float) -> None:
        """SIGSTOP it for so long."""
        life = self.lives.get(server_id)
        if life is None or life.process.paused:
            return
        self.timeline.add(server_id, f"stands still for {seconds:.2f} s")
        self.network.events += 1
        self.counts["stops"] += 1
        life.process.paused = True
        self.loop.call_later(seconds, self._resume, life.process)

    def _resume(self, process: Process) -> None:
        if process.paused and not process.dead:
            process.paused = False
            self.timeline.add(process, "goes on")
            self.loop.resume(process.parked)

    def stop(self, server_id: str, back: float | None) -> None:
        """SIGTERM it; it is started again after it ended, unless `back` is None."""
        life = self.lives.get(server_id)
        if life is None or life.process.paused:
            return
        self.timeline.add(server_id, "is told to stop")
        life.process.context.run(
            self.loop.create_task, self._stop(life, back), name=f"stop of {server_id}"
        )

    async def _stop(self, life: Life, back: float | None) -> None:
        await life.started.wait()  # like `zchat run`
        await life.running.stop()
        name = life.process.name
        if self.lives.get(name) is not life:
            return
        del self.lives[name]
        self._note_repairs(life)
        self.timeline.add(name, "has stopped")
        # Not from within: what was written is still to go out.
        if back is None and self.is_listed(name):
            back = 0.2  # it came back to the list meanwhile
        if back is not None:
            self.loop.call_later(back, self.start, name, context=contextvars.Context())
        self.loop.call_later(1.0, self._end, life, context=contextvars.Context())

    def of_type(self, server_type: str) -> list[str]:
        """The ids of those that run."""
        return sorted(name for name in self.lives if name.startswith(server_type))

    def finish(self) -> None:
        """The run is over: what the processes have left to say is of no interest."""
        for life in self.lives.values():
            self._note_repairs(life)
            life.process.dead = True
        self.counts["owner_changes"] = max(self.journal.row.generation - 1, 0)

    def _note_repairs(self, life: Life) -> None:
        frontend = life.running.frontend
        if frontend is not None:
            self.counts["repaired"] += frontend.resync.counters["repaired"]


def _server(server_id: str) -> Server:
    server_type, _, number = server_id.rpartition("-")
    port = 1000 * len(server_type) + int(number)
    frontend = server_type == "connector"
    return Server(
        server_id,
        server_type,
        "127.0.0.1",
        port,
        port + 10_000,
        port + 20_000 if frontend else None,
        None,
        frontend,
    )
