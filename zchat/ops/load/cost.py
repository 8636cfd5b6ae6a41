"""What the servers of a cluster use while it is loaded, as they say themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from zchat.ops import status
from zchat.ops.check import Project


class Used(NamedTuple):
    """What one process has used since it started."""

    type: str
    pid: int
    cpu: float
    """Seconds of it."""
    memory: int
    """Resident bytes; 0 when it does not say."""


class Reading(NamedTuple):
    """All servers that answered, by id."""

    at: float
    """When they were asked, in seconds."""
    servers: Mapping[str, Used]


class Cost(msgspec.Struct, frozen=True):
    """What one server used."""

    id: str
    type: str
    cores: float
    """Seconds of CPU a second."""
    memory: int
    """Resident bytes at the end."""
    grown: int
    """Bytes more than before anybody came."""


async def read(project: Project) -> Reading:
    """Ask all servers now."""
    at = time.monotonic()
    answers = await status.ask(project.topology, project.settings, project.folder)
    return Reading(at, {answer["id"]: used for answer in answers if (used := _used(answer))})


async def read_at(project: Project, moment: float) -> Reading:
    """Ask all servers at a time of `time.monotonic`."""
    await asyncio.sleep(moment - time.monotonic())
    return await read(project)


def _used(answer: Mapping[str, Any]) -> Used | None:
    if not answer["reachable"] or "cpu" not in answer:
        return None
    return Used(answer["type"], answer["pid"], answer["cpu"], answer.get("memory", 0))


def costs(empty: Reading, begin: Reading, end: Reading) -> list[Cost]:
    """What each server used between two readings; one that started again meanwhile is left out.

    Args:
        empty: from before anybody came.
    """
    found = []
    for name, after in end.servers.items():
        before, first = begin.servers.get(name), empty.servers.get(name)
        if before is not None and first is not None and before.pid == first.pid == after.pid:
            cores = (after.cpu - before.cpu) / (end.at - begin.at)
            grown = after.memory - first.memory
            found.append(Cost(name, after.type, cores, after.memory, grown))
    return found


def per_delivery(costs: Sequence[Cost], deliveries: float) -> float | None:
    """Microseconds of CPU, of all servers; None when nobody told, or nothing was delivered.

    Args:
        deliveries: in each second.
    """
    if not costs or not deliveries:
        return None
    return sum(cost.cores for cost in costs) / deliveries * 1e6
