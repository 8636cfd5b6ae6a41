"""The ring as servers without a journal know it: asked of whoever speaks of a newer generation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from zchat.config.topology import Topology
from zchat.errors import ZchatError
from zchat.framework.channels.membership import owners
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import RingRow

logger = logging.getLogger("zchat.cluster")


class HeardRing:
    """Follows the generations that others speak of.

    Args:
        types: server types that own channels; None means every backend's.
        ask: gets the row from a server; raises a ZchatError when it does not answer.
        changed: called after each change, with the old ring and the new.
    """

    def __init__(
        self,
        types: frozenset[str] | None,
        ask: Callable[[str], Awaitable[object]],
        changed: Callable[[Ring, Ring], None],
    ) -> None:
        self._types = types
        self._ask = ask
        self._changed = changed
        self._told: dict[str, int] = {}
        self._asking: set[str] = set()
        self._no_owners: frozenset[str] = frozenset()
        self.ring = Ring(0, ())

    def follow(self, topology: Topology) -> None:
        """Who is in the ring is the workers' business; who is none of them has no row of it."""
        workers = owners(topology, self._types)
        self._no_owners = frozenset(s.id for s in topology.servers if s not in workers)

    def heard(self, server_id: str) -> None:
        """Who is in the ring does not depend on who speaks."""

    async def keep(self, now: float) -> None:
        """Ask again, where asking failed before."""
        newer = [told for told in self._told.items() if told[1] > self.ring.generation]
        if newer:
            await asyncio.gather(*(self.told(*told) for told in newer))

    async def told(self, server_id: str, generation: int) -> None:
        if server_id in self._no_owners:
            return
        self._told[server_id] = generation
        if generation <= self.ring.generation or server_id in self._asking:
            return
        self._asking.add(server_id)
        try:
            row = msgspec.convert(await self._ask(server_id), RingRow)
        except (ZchatError, msgspec.ValidationError) as error:
            logger.info("the ring of %s: %s", server_id, error)
            return
        finally:
            self._asking.discard(server_id)
        self._adopt(row)

    def _adopt(self, row: RingRow) -> None:
        if row.generation > self.ring.generation:
            tag = str(row.generation)
            old, self.ring = self.ring, Ring(row.generation, row.workers, tag)
            self._changed(old, self.ring)
