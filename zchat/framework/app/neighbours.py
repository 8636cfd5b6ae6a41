"""What the application wants to know of the other servers: who started, came, went, and is busy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from zchat.config.topology import Changes, Topology
from zchat.errors import RequestError
from zchat.framework.app.lifecycle import Work, run_hooks
from zchat.framework.app.plan import Moment
from zchat.framework.peers.gathering import Gathering
from zchat.framework.peers.loads import Loads
from zchat.framework.peers.methods import Methods
from zchat.framework.peers.node import Node

logger = logging.getLogger("zchat.cluster")

_PATIENCE = 1.0
"""Seconds for an answer."""


class Neighbours:
    """Asks them, and calls the hooks.

    Args:
        node: the server's links.
        methods: where it answers what the others ask.
        app: the application at work, for its hooks.
        hooks: those of a moment.
        has_started: whether this server has.
        load: how much this server has to do.

    Attributes:
        loads: how much the others have to do.
    """

    def __init__(
        self,
        node: Node,
        methods: Methods,
        app: object,
        hooks: Callable[[Moment], list[Work]],
        has_started: Callable[[], bool],
        load: Callable[[], int],
    ) -> None:
        self._node = node
        self._app = app
        self._hooks = hooks
        self._has_started = has_started
        self._load = load
        self._gathering = Gathering(self._ask_started)
        self._gathered = not hooks("after_all_started")
        self._telling = asyncio.Lock()
        self.loads = Loads()
        methods.add("server.started", self._say_started)
        methods.add("server.load", self._say_load)

    def tick(self, now: float) -> None:
        """Do what is due; call it at least twice a second."""
        for server_id in self.loads.due(now):
            self._node.spawn(self._ask_load(server_id), "load")

    def poll(self, topology: Topology, changes: Changes | None) -> None:
        """Servers may have started, and have come and gone if there are changes."""
        if changes is not None:
            self._node.spawn(self._tell(changes), "hooks")
        if not self._gathered and self._has_started():
            self._node.spawn(self._gather(topology), "hooks")

    async def _tell(self, changes: Changes) -> None:
        async with self._telling:  # in the order of the changes
            for server in changes.added:
                await run_hooks(self._hooks("on_server_added"), self._app, server)
            for server in changes.removed:
                await run_hooks(self._hooks("on_server_removed"), self._app, server)

    async def _gather(self, topology: Topology) -> None:
        if await self._gathering.complete(topology) and not self._gathered:
            self._gathered = True
            await run_hooks(self._hooks("after_all_started"), self._app)

    def _ask_started(self, server_id: str) -> Awaitable[bool]:
        return self._node.call(server_id, "server.started", (), _PATIENCE)

    async def _say_started(self) -> bool:
        return self._has_started()

    async def _ask_load(self, server_id: str) -> None:
        try:
            load = await self._node.call(server_id, "server.load", (), _PATIENCE)
        except RequestError as error:
            logger.debug("! %s does not say what it has to do: %s", server_id, error)
        else:
            self.loads.heard(server_id, load)

    async def _say_load(self) -> int:
        return self._load()
