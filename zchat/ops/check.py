"""Lets a crowd of simulated people loose on the running chat, and judges what they were shown.

It may be run while servers are killed, stopped, added and removed: that is what it is for. It plays
the chat's clients as the page does, and so it knows the chat's routes.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zchat.config.settings import Settings
from zchat.config.topology import Topology
from zchat.errors import ConfigError, ZchatError
from zchat.framework.app.parts import open_store
from zchat.ops import status
from zchat.rooms.stores.base import Store
from zchat.testing.checker import GRACES, check
from zchat.testing.events import Journalled
from zchat.testing.swarm import Plan, Swarm
from zchat.testing.talker import Talk
from zchat.testing.tally import Tally
from zchat.testing.verdict import Problem, Verdict

TALK = Talk(
    enter="connector.entryHandler.enter",
    entering=lambda uid, room: {"username": uid, "rid": room},
    people="users",
    send="chat.chatHandler.send",
    sending=lambda text, to: {"content": text, "target": to or "*"},
    history="chat.chatHandler.history",
    said="onChat",
    sender=lambda body: str(body["from"]),
    came="onAdd",
    went="onLeave",
    who=lambda body: str(body["user"]),
)
"""How the chat's clients talk."""

READING = 1.0
"""Seconds between two readings of the servers' counters."""

MARGIN = 5.0
"""Seconds that names may take to be free beyond two graces: two hundred people have to come in."""

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Project:
    """The cluster that is checked."""

    topology: Topology
    settings: Settings
    folder: Path

    @property
    def gate(self) -> str:
        """Where clients begin.

        Raises:
            ConfigError: servers.json lists no gate.
        """
        for server in self.topology.of_type("gate"):
            if server.client_port is not None:
                host = server.client_host or server.host
                host = f"[{host}]" if ":" in host else host
                scheme = "wss" if self.settings.client.certificate else "ws"
                return f"{scheme}://{host}:{server.client_port}"
        raise ConfigError("servers.json lists no gate: there is nowhere for clients to begin")


def new_prefix() -> str:
    """Begins the names of one check, so that its rooms are new."""
    return f"check{secrets.token_hex(3)}"


async def run(project: Project, plan: Plan, seconds: float) -> tuple[Verdict, bool]:
    """Let people come, talk for a while and settle; then judge.

    Args:
        project: whose servers run.
        plan: of the people.
        seconds: how long they talk.

    Returns:
        the verdict, and whether the journal was there to be compared.

    Raises:
        ConfigError: there is no gate, or somebody could not come in: is the cluster running?
    """
    swarm = Swarm(project.gate, TALK, plan)
    grace = project.settings.rooms.grace
    try:
        await _enter(swarm)
        async with _reading(project, swarm):
            await swarm.live(seconds)
        await swarm.settle(grace)
    finally:
        await swarm.leave()
    await swarm.come_again(GRACES * grace + MARGIN)
    journal = await read_journal(project.settings, project.folder, swarm.rooms)
    kept = project.settings.rooms.history
    verdict = check(swarm.events, journal, grace=grace, kept=kept)
    return verdict, journal is not None


async def _enter(swarm: Swarm) -> None:
    try:
        await swarm.enter()
    except* (ZchatError, OSError) as group:
        raise ConfigError(f"cannot enter: {group.exceptions[0]}: is the cluster running?") from None


@contextlib.asynccontextmanager
async def _reading(project: Project, swarm: Swarm) -> AsyncIterator[None]:
    """Write down what the servers count meanwhile."""
    tally = Tally()

    async def read() -> None:
        answers = await status.ask(project.topology, project.settings, project.folder)
        swarm.events += tally.take(swarm.clock(), answers)

    async def read_on() -> None:
        while True:
            await asyncio.sleep(READING)
            await read()

    await read()
    task = asyncio.create_task(read_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    await read()


async def read_journal(
    settings: Settings, folder: Path, rooms: Sequence[str]
) -> list[Journalled] | None:
    """What the journal has of some rooms, each in its order; None when it is no file of this
    machine.

    Opening the file as a worker does changes nothing in it: this machine has not started again.

    Args:
        settings: of the cluster.
        folder: the project's.
        rooms: their names.
    """
    path = settings.journal.path
    if not path or not (folder / path).exists():
        return None
    store = open_store(settings, folder)
    found: list[Journalled] = []
    try:
        for room in rooms:
            found += await _read_room(store, room)
    finally:
        await store.close()
    return found


async def _read_room(store: Store, room: str) -> list[Journalled]:
    found: list[Journalled] = []
    history = await store.read(room, 0, _PAGE)
    while history.publications:
        found += [
            Journalled(room, history.tail.epoch, p.offset, p.cid, p.uid, p.audience)
            for p in history.publications
        ]
        history = await store.read(room, history.publications[-1].offset, _PAGE)
    return found


def as_json(verdict: Verdict, plan: Plan, *, compared: bool) -> dict[str, Any]:
    """The verdict for programs."""
    return {
        "ok": verdict.ok,
        "journal": compared,
        "seed": plan.seed,
        "counts": dict(verdict.counts),
        "problems": [_problem(problem) for problem in verdict.problems],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "kind": problem.kind.value,
        "text": problem.text,
        "timeline": [line.strip() for line in problem.timeline],
    }


def table(verdict: Verdict, plan: Plan, *, compared: bool) -> str:
    """The verdict for people: problems first."""
    journal = "compared" if compared else "not on this machine, not compared"
    end = "all is well" if verdict.ok else "NOT WELL"
    return f"{verdict}\n\njournal: {journal}; seed: {plan.seed}\n{end}"
