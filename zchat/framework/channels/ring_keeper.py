"""Keeping a server's ring up to date, wherever it comes from."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from zchat.framework.channels.heard_ring import HeardRing
from zchat.framework.channels.journal_ring import JournalRing
from zchat.framework.channels.membership import Membership, RingSource
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import Store

logger = logging.getLogger("zchat.admin")

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
"""(work, name): runs work that nobody waits for."""

Ask = Callable[[str], Awaitable[Any]]
"""(server id) -> its ring, as a row of the journal."""

Changed = Callable[[Ring, Ring], None]
"""(old, new)"""


class RingKeeper:
    """Tells a ring's source of what happens, and the log of what goes wrong there.

    Args:
        source: where the server has its ring from.
        spawn: runs work that nobody waits for.
    """

    def __init__(self, source: RingSource, spawn: Spawn) -> None:
        self._source = source
        self._spawn = spawn

    def keep(self) -> None:
        """Do what is due; call it twice a second, and when servers.json has changed."""
        self._spawn(self._keep(), "ring")

    def told(self, server_id: str, generation: int) -> None:
        """That server speaks of a ring of this generation."""
        if generation > self._source.ring.generation:
            self._spawn(self._learn(server_id, generation), "ring")

    async def _keep(self) -> None:
        try:
            await self._source.keep(time.monotonic())
        except Exception:
            logger.exception("the ring cannot be kept")

    async def _learn(self, server_id: str, generation: int) -> None:
        try:
            await self._source.told(server_id, generation)
        except Exception:
            logger.exception("the ring of generation %d cannot be learned", generation)


def owners_rings(
    server_id: str, types: frozenset[str] | None, store: Store, changed: Changed, *, shared: bool
) -> tuple[RingSource, Callable[[], Awaitable[None]]]:
    """Where an owner of channels has its ring from, and how it learns of a newer one.

    Args:
        types: the server types that own channels.
        store: its journal.
        changed: is told of each new ring.
        shared: whether all owners have that journal.
    """
    if shared:
        journal = JournalRing(server_id, types, store, changed)
        return journal, journal.learn
    alone = Membership(server_id, types, changed)
    return alone, lambda: alone.keep(time.monotonic())


def others_rings(
    server_id: str, types: frozenset[str] | None, ask: Ask, changed: Changed, *, shared: bool
) -> RingSource:
    """Where other servers have it from, likewise.

    Args:
        ask: asks an owner.
    """
    return HeardRing(types, ask, changed) if shared else Membership(server_id, types, changed)
