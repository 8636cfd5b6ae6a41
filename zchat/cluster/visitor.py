"""Who calls servers of a cluster without being one of them: `zchat status`, a publisher."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zchat.cluster.context import Context
from zchat.cluster.curve import Security, load_keys, load_public_key
from zchat.cluster.identity import OPERATOR, LocalServer
from zchat.cluster.peer import UP, Peer
from zchat.cluster.rpc_client import ClientHandlers, RpcClient
from zchat.config.exposure import own_key
from zchat.config.settings import Settings
from zchat.config.topology import Server, Topology

_TICK = 0.05


def _nothing() -> None:
    """Nobody wants to know."""


class Visitor:
    """Links to servers, for calls. Made in a running event loop; `close` lets go.

    Where the cluster has keys, ours are named `operator`. Several may be there at once. What waits
    for one server is bounded (see `zchat.cluster.pipe.Pipe`). When full, calls fail at once with
    `Unavailable`.

    Args:
        settings: of the cluster.
        folder: the project's, for keys.
        on_up: is called when a server answers, again after each loss.

    Raises:
        ConfigError: the others have keys and `operator` has none, or it is broken.
    """

    def __init__(
        self, settings: Settings, folder: Path, on_up: Callable[[], None] = _nothing
    ) -> None:
        cluster = settings.cluster
        own = own_key(folder / cluster.keys, OPERATOR)
        self._keys = None if own is None else folder / cluster.keys
        keys = None if own is None else load_keys(own)
        security = Security(keys, self._keys, cluster.insecure)
        # A name of its own for each: of two with one name, servers take one for the other's next
        # life.
        life = secrets.token_hex(8)
        local = LocalServer(f"{OPERATOR}-{life}", OPERATOR, life)
        self._context = Context(security)
        handlers = ClientHandlers(on_up=lambda peer: on_up())
        self._client = RpcClient(self._context, local, handlers)
        self._loop = asyncio.get_running_loop()
        self._ticker = self._loop.call_later(_TICK, self._tick)

    @property
    def peers(self) -> dict[str, Peer]:
        """All servers that are connected to, by id."""
        return self._client.peers

    @property
    def up(self) -> list[str]:
        """The ids of those that answer now."""
        return [name for name, peer in self._client.peers.items() if peer.state is UP]

    def connect(self, server: Server) -> None:
        """Use a server from now on; nothing changes if it is connected to as it is listed.

        Raises:
            ConfigError: its key is missing or broken, or its address is open to strangers.
        """
        key = None if self._keys is None else load_public_key(self._keys / f"{server.id}.key")
        self._client.connect(server.id, server.router_address, key)

    def let_go(self, topology: Topology) -> None:
        """Let go of the servers that are not listed; what they were asked fails."""
        for server_id in [name for name in self._client.peers if name not in topology]:
            self._client.disconnect(server_id)

    async def call(
        self, server_id: str, method: str, args: object, timeout: float, *, idempotent: bool = False
    ) -> Any:
        """Call a method of a server; see `RpcClient.call`."""
        return await self._client.call(server_id, method, args, timeout, b"", idempotent)

    def close(self) -> None:
        """What is unanswered fails. Idempotent."""
        self._ticker.cancel()
        self._client.close()
        self._context.close()

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(_TICK, self._tick)
        self._client.tick(time.monotonic())
