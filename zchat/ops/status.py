"""Asks every server of a cluster how it is, over ZeroMQ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zchat.cluster.visitor import Visitor
from zchat.config.settings import Settings
from zchat.config.topology import Server, Topology
from zchat.errors import RequestError

TIMEOUT = 2.0
"""Seconds that servers have for their answer."""

COLUMNS = ("id", "type", "pid", "uptime", "connections", "channels", "queued", "state")


async def ask(
    topology: Topology, settings: Settings, folder: Path, timeout: float | None = None
) -> list[dict[str, Any]]:
    """One answer per server, in the order of servers.json.

    Where the cluster has keys, ours are named `operator`. Several may ask at once.

    A server that does not answer in time has `"reachable": false` and an `error`, and
    `"implicit": true` when servers.json does not list it.

    Args:
        folder: the project's, for keys.
        timeout: seconds for all of them together; `TIMEOUT` when None.

    Raises:
        ConfigError: a key is missing, or an address is open to strangers.
    """
    seconds = TIMEOUT if timeout is None else timeout
    visitor = Visitor(settings, folder)
    try:
        for server in topology.servers:
            visitor.connect(server)
        return await asyncio.gather(*(_ask(visitor, s, seconds) for s in topology.servers))
    finally:
        visitor.close()


async def _ask(visitor: Visitor, server: Server, timeout: float) -> dict[str, Any]:
    known: dict[str, Any] = {"id": server.id, "type": server.type}
    try:
        answer = await visitor.call(server.id, "server.status", (), timeout)
    except RequestError as error:
        if server.implicit:
            known["implicit"] = True
        return {**known, "reachable": False, "error": error.message}
    return {**known, "reachable": True, **answer}


def is_well(answers: Sequence[dict[str, Any]]) -> bool:
    """Whether all answered that were asked for: nobody need run the page that nobody listed."""
    return all(answer["reachable"] or "implicit" in answer for answer in answers)


def table(answers: Sequence[dict[str, Any]]) -> str:
    """The answers as lines for people."""
    rows = [COLUMNS, *(_row(answer) for answer in answers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _row(answer: dict[str, Any]) -> tuple[str, ...]:
    queued = sum(answer.get("queues", {}).values())
    shown = {
        **answer,
        "uptime": _duration(answer["uptime"]) if "uptime" in answer else "-",
        "queued": f"{queued} B" if answer["reachable"] else "-",
        "state": _state(answer),
    }
    return tuple(str(shown.get(column, "-")) for column in COLUMNS)


def _state(answer: dict[str, Any]) -> str:
    if answer["reachable"]:
        return "up"
    if "implicit" in answer:
        return "not running, nor in servers.json"
    return f"unreachable: {answer['error']}"


def _duration(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
