"""The ring as a row of the journal, for the workers that own channels.

servers.json says who should own channels, the row says who does. A worker adds itself when it is
listed, and takes out those whose line it saw go; each change is the next generation, made by
compare-and-set. A worker that died stays in, because supervisord starts it again. Two that read
servers.json at different moments may differ for a moment: the journal then refuses the appends of
the one that is behind, so nobody numbers a channel that is another's.

Nobody can tell who of two is behind, by the time of a file least of all: an older copy may just
have been put back. Whoever was taken out and adds itself again is alive and listed somewhere, so it
is let be for twice as long each time, until we read another servers.json. Two that stay at odds
disturb each other less and less; a worker that is gone for good does not come back, and goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from zchat.config.topology import Topology
from zchat.framework.channels.membership import owners
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import RingRow, Store

_PATIENCE = 2.0
"""Seconds until a worker is taken out that was never listed since we started: whoever reads a newer
servers.json than we do may just have added it."""

_DOUBLINGS = 5
"""How often that time is doubled for one that comes back again and again: up to 64 seconds."""


class JournalRing:
    """Keeps the row, and the ring made of it.

    Args:
        server_id: this worker.
        types: server types that own channels; None means every backend's.
        store: the journal.
        changed: called after each change, with the old ring and the new.
    """

    def __init__(
        self,
        server_id: str,
        types: frozenset[str] | None,
        store: Store,
        changed: Callable[[Ring, Ring], None],
    ) -> None:
        self._server_id = server_id
        self._types = types
        self._store = store
        self._changed = changed
        self._listed: frozenset[str] = frozenset()
        self._seen: set[str] = set()
        self._strangers: dict[str, float] = {}  # unlisted workers and since when they are there
        self._appeared: Counter[str] = Counter()  # how often, under this servers.json
        self.ring = Ring(0, ())

    def follow(self, topology: Topology) -> None:
        """servers.json was read; the next `keep` makes the ring of it."""
        listed = frozenset(server.id for server in owners(topology, self._types))
        if listed != self._listed:
            self._appeared.clear()
            self._strangers.clear()
        self._listed = listed
        self._seen |= listed

    async def keep(self, now: float) -> None:
        """Read the row, and change it when servers.json says so."""
        row = await self._store.ring()
        wanted = self.wanted(row.workers, now)
        if wanted != row.workers:
            row = await self._store.change_ring(row.generation, wanted)
            # Whom we took out may be back before we look again: that is another appearance.
            for name in self._strangers.keys() - row.workers:
                del self._strangers[name]
        self._adopt(row)

    def heard(self, server_id: str) -> None:
        """Who is in the ring does not depend on who speaks."""

    async def told(self, server_id: str, generation: int) -> None:
        if generation > self.ring.generation:
            await self.learn()

    async def learn(self) -> None:
        """Read the row: there is a newer one."""
        self._adopt(await self._store.ring())

    def wanted(self, workers: frozenset[str], now: float) -> frozenset[str]:
        """What the workers should be, given who they are now."""
        unlisted = workers - self._listed
        self._appeared.update(unlisted - self._strangers.keys())
        self._strangers = {name: self._strangers.get(name, now) for name in unlisted}
        gone = {
            name for name, since in self._strangers.items() if now - since >= self._patience(name)
        }
        return (workers - gone) | (self._listed & {self._server_id})

    def _patience(self, name: str) -> float:
        """Seconds that an unlisted worker may stay."""
        if name == self._server_id:
            return 0.0
        times = self._appeared[name]
        if times == 1 and name in self._seen:
            return 0.0  # we saw its line go
        return _PATIENCE * 2.0 ** min(times - 1, _DOUBLINGS)

    def _adopt(self, row: RingRow) -> None:
        if row.generation > self.ring.generation:
            tag = str(row.generation)
            old, self.ring = self.ring, Ring(row.generation, row.workers, tag)
            self._changed(old, self.ring)
