"""Which servers own channels, as this server sees it, and the ring made of them.

Without a shared journal there is no row to agree on: the ring is what servers.json lists, less the
servers that have never been heard of. A worker that died stays in, because supervisord starts it
again.
"""

from __future__ import annotations

from collections.abc import Callable

from zchat.config.topology import Server, Topology
from zchat.rooms.ring import Ring


def owners(topology: Topology, types: frozenset[str] | None = None) -> tuple[Server, ...]:
    """The servers that may own channels: those of `types`, or every backend when that is None."""
    if types is None:
        return tuple(server for server in topology.servers if not server.frontend)
    return tuple(server for server in topology.servers if server.type in types)


class Membership:
    """Keeps the ring.

    Args:
        types: server types that own channels; None means every backend's.
        changed: called after each change, with the old ring and the new.
    """

    def __init__(self, types: frozenset[str] | None, changed: Callable[[Ring, Ring], None]) -> None:
        self._types = types
        self._changed = changed
        self._heard: set[str] = set()
        self._listed: frozenset[str] = frozenset()
        self.ring = Ring(0, ())

    def follow(self, topology: Topology, server_id: str) -> None:
        """servers.json was read by the server of this id, which has always heard of itself."""
        self._heard.add(server_id)
        self._listed = frozenset(server.id for server in owners(topology, self._types))
        self._update()

    def heard(self, server_id: str) -> None:
        """That server has spoken to us."""
        self._heard.add(server_id)
        self._update()

    def _update(self) -> None:
        self._heard &= self._listed  # who comes back to the list must be heard again
        workers = self._listed & self._heard
        if workers != self.ring.workers:
            old, self.ring = self.ring, Ring(self.ring.generation + 1, workers)
            self._changed(old, self.ring)
