"""Waiting until all servers of the cluster have started, as one of them sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from zchat.config.topology import Topology
from zchat.errors import RequestError

Ask = Callable[[str], Awaitable[bool]]
"""(server id) -> whether it has started; raises RequestError while it cannot be asked."""


class Gathering:
    """Who has said that it has started.

    Web servers are left out: they have no part in the cluster's work, and backends no link to them.

    Args:
        ask: asks a server.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._started: set[str] = set()
        self._asking = False

    async def complete(self, topology: Topology) -> bool:
        """Ask those who have not said so; whether all listed ones have. False while it asks."""
        if self._asking:
            return False
        self._asking = True
        try:
            await asyncio.gather(*(self._hear(server_id) for server_id in self._missing(topology)))
        finally:
            self._asking = False
        return not self._missing(topology)

    def _missing(self, topology: Topology) -> list[str]:
        listed = [server.id for server in topology.servers if server.type != "web"]
        return [server_id for server_id in listed if server_id not in self._started]

    async def _hear(self, server_id: str) -> None:
        try:
            if await self._ask(server_id):
                self._started.add(server_id)
        except RequestError:
            return  # it is not there yet, and asked again with the next poll
