"""Which servers own channels, and the ring made of them: what it is, and its simplest source.

Without a shared journal there is no row to agree on: the ring is what servers.json lists, less the
servers that have never been heard of. A worker that died stays in, because supervisord starts it
again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from zchat.config.topology import Server, Topology
from zchat.rooms.ring import Ring


def owners(topology: Topology, types: frozenset[str] | None = None) -> tuple[Server, ...]:
    """The servers that may own channels: those of `types`, or every backend when that is None."""
    if types is None:
        return tuple(server for server in topology.servers if not server.frontend)
    return tuple(server for server in topology.servers if server.type in types)


class RingSource(Protocol):
    """Where a server has its ring from."""

    ring: Ring
    """The ring of now."""

    def follow(self, topology: Topology) -> None:
        """servers.json was read."""

    def heard(self, server_id: str) -> None:
        """That server has spoken to us."""

    async def told(self, server_id: str, generation: int) -> None:
        """That server speaks of a ring of this generation; it says so again and again."""

    async def keep(self, now: float) -> None:
        """Do what is due; called twice a second, with the seconds of a monotonic clock."""


class Membership:
    """The ring of each server for itself.

    Args:
        server_id: this server, which has always heard of itself.
        types: server types that own channels; None means every backend's.
        changed: called after each change, with the old ring and the new.
    """

    def __init__(
        self,
        server_id: str,
        types: frozenset[str] | None,
        changed: Callable[[Ring, Ring], None],
    ) -> None:
        self._server_id = server_id
        self._types = types
        self._changed = changed
        self._heard: set[str] = set()
        self._listed: frozenset[str] = frozenset()
        self.ring = Ring(0, ())

    def follow(self, topology: Topology) -> None:
        self._heard.add(self._server_id)
        self._listed = frozenset(server.id for server in owners(topology, self._types))
        self._update()

    async def told(self, server_id: str, generation: int) -> None:
        """Generations of others mean nothing here."""

    async def keep(self, now: float) -> None:
        """Nothing is ever due."""

    def heard(self, server_id: str) -> None:
        self._heard.add(server_id)
        self._update()

    def _update(self) -> None:
        self._heard &= self._listed  # who comes back to the list must be heard again
        workers = self._listed & self._heard
        if workers != self.ring.workers:
            old, self.ring = self.ring, Ring(self.ring.generation + 1, workers)
            self._changed(old, self.ring)
