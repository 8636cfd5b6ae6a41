"""Asks every server of a cluster how it is, over ZeroMQ."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zchat.cluster.context import Context
from zchat.cluster.curve import Security, load_keys, load_public_key
from zchat.cluster.identity import LocalServer
from zchat.cluster.limits import Limits
from zchat.cluster.rpc_client import RpcClient
from zchat.config.settings import Settings
from zchat.config.topology import Server, Topology
from zchat.errors import RequestError

OPERATOR = "operator"
"""The name under which `zchat status` comes, and of its keys where the cluster has keys."""

COLUMNS = ("id", "type", "pid", "uptime", "connections", "channels", "queued", "state")


async def ask(
    topology: Topology, settings: Settings, folder: Path, timeout: float = 2.0
) -> list[dict[str, Any]]:
    """One answer per server, in the order of servers.json.

    A server that does not answer in time has `"reachable": false` and an `error`.

    Args:
        folder: the project's, for keys.
        timeout: seconds for all of them together.

    Raises:
        ConfigError: a key is missing, or an address is open to strangers.
    """
    keys = folder / settings.cluster.keys
    own = keys / f"{OPERATOR}.key_secret"
    secured = own.exists()
    security = Security(load_keys(own) if secured else None, keys, settings.cluster.insecure)
    context = Context(security)
    local = LocalServer(OPERATOR, OPERATOR, secrets.token_hex(8))
    client = RpcClient(context, local, limits=Limits())
    ticker = asyncio.create_task(_tick(client))
    try:
        for server in topology.servers:
            key = load_public_key(keys / f"{server.id}.key") if secured else None
            client.connect(server.id, server.router_address, key)
        return await asyncio.gather(*(_ask(client, s, timeout) for s in topology.servers))
    finally:
        ticker.cancel()
        client.close()
        context.close()


async def _tick(client: RpcClient) -> None:
    while True:
        client.tick(asyncio.get_running_loop().time())
        await asyncio.sleep(0.05)


async def _ask(client: RpcClient, server: Server, timeout: float) -> dict[str, Any]:
    known = {"id": server.id, "type": server.type}
    try:
        answer = await client.call(server.id, "server.status", (), timeout)
    except RequestError as error:
        return {**known, "reachable": False, "error": error.message}
    return {**known, "reachable": True, **answer}


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
        "state": "up" if answer["reachable"] else f"unreachable: {answer['error']}",
    }
    return tuple(str(shown.get(column, "-")) for column in COLUMNS)


def _duration(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
