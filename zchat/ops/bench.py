"""`zchat bench`: how much a running chat takes, how late it is then, and what it costs.

People come in through the gate as the page does, and some of them talk at a set rate, whatever
comes back: what is late counts from the time at which it was to be sent. What they were shown goes
to the checker.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from math import ceil

from zchat.config.settings import Settings
from zchat.errors import ConfigError
from zchat.ops.check import Project, read_journal
from zchat.ops.load import cost
from zchat.ops.load.cost import Cost
from zchat.ops.load.crowd import Account, Progress
from zchat.ops.load.fleet import Fleet
from zchat.ops.load.judge import judge
from zchat.ops.load.plan import Plan
from zchat.ops.load.report import Report, report

PER_PROCESS = 40_000
"""Deliveries a second that one process of the generator is given: each takes it 5 to 9 µs."""


def new_prefix() -> str:
    """Begins the names of one load, so that its rooms are new."""
    return f"bench{secrets.token_hex(3)}"


def processes_for(offered: float, cores: int | None = None) -> int:
    """How many processes generate so many deliveries a second, beside the servers.

    Args:
        cores: of this machine; None to ask it.
    """
    most = max(1, (cores or os.cpu_count() or 1) // 2)
    return max(1, min(most, ceil(offered / PER_PROCESS)))


def look_at(plan: Plan, settings: Settings) -> None:
    """See that the servers' limits do not forbid the load.

    Raises:
        ConfigError: they would throw every talker out.
    """
    allowed = settings.limits.messages_per_second
    if plan.rate > allowed:
        raise ConfigError(
            f"--rate {plan.rate:g}: limits.messages_per_second is {allowed}; let more people talk, "
            "or raise it in settings.toml and restart the connectors"
        )


async def run(
    url: str | None, plan: Plan, project: Project | None, show: Callable[[Progress], None]
) -> Report:
    """Load a cluster, and see what comes of it.

    Args:
        url: of its gate; None: the project's.
        plan: of the load.
        project: the cluster's, where its servers are asked what they use and its journal is
            compared; None leaves both out, and then there has to be a url.
        show: called four times a second with how far it is.

    Raises:
        ConfigError: somebody could not come in: is the cluster running? Or the project has no
            gate, or its limits forbid the load, or there is no WebSocket at such a url.
    """
    if project is not None:
        look_at(plan, project.settings)
        url = url or project.gate
    if url is None or not url.startswith(("ws://", "wss://")):
        raise ConfigError(f"url {url!r}; expected ws://host:port or wss://host:port of a gate")
    accounts, servers = await _load(url, plan, project, show)
    journal, kept = None, None
    if project is not None:
        journal = await read_journal(project.settings, project.folder, plan.room_names)
        kept = project.settings.rooms.history
    verdict = await asyncio.to_thread(judge, plan, accounts, journal, kept)
    return report(url, plan, accounts, servers, verdict, compared=journal is not None)


async def _load(
    url: str, plan: Plan, project: Project | None, show: Callable[[Progress], None]
) -> tuple[list[Account], list[Cost]]:
    empty = None if project is None else await cost.read(project)
    async with Fleet(url, plan, show) as fleet:
        await fleet.enter()
        begin = fleet.start() + plan.warmup
        end = begin + plan.seconds
        readings = [asyncio.create_task(_read(project, moment)) for moment in (begin, end)]
        try:
            await fleet.talk(end)
            before, after = await asyncio.gather(*readings)
            await fleet.settle()
            accounts = await fleet.stop()
        finally:
            for reading in readings:
                reading.cancel()
    if empty is None or before is None or after is None:
        return accounts, []
    return accounts, cost.costs(empty, before, after)


async def _read(project: Project | None, moment: float) -> cost.Reading | None:
    return None if project is None else await cost.read_at(project, moment)
