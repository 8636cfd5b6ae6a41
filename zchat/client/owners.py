"""Which server owns a channel, as the servers themselves say."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from zchat.errors import RequestError, Unavailable
from zchat.rooms.ring import Ring

_PATIENCE = 1.0
"""Seconds that a server has to say what it knows."""

_PAUSE = 0.05


class Visits(Protocol):
    """Who can ask servers: a `zchat.cluster.visitor.Visitor`."""

    @property
    def up(self) -> list[str]:
        """The ids of those that answer now."""

    async def call(self, server_id: str, method: str, args: object, timeout: float) -> Any:
        """Call a method of a server; raises RequestError."""


class Owners:
    """The ring, asked of all servers that are up, and kept until it proves wrong.

    The one of the highest generation counts: the others have not heard of it yet.

    Args:
        visitor: asks.
    """

    def __init__(self, visitor: Visits) -> None:
        self._visitor = visitor
        self._ring: Ring | None = None
        self._asking = asyncio.Lock()
        self._up = asyncio.Event()
        self._closed = False

    def heard(self) -> None:
        """A server is up."""
        self._up.set()

    def forget(self) -> None:
        """What we know was wrong, or may be by now."""
        self._ring = None

    def close(self) -> None:
        """Nobody will be heard of any more: who waits need not."""
        self._closed = True
        self._up.set()

    async def owner(self, channel: str, seconds: float) -> str:
        """The id of the server that owns the channel.

        Raises:
            Unavailable: no server that answered in this time knows.
        """
        try:
            async with asyncio.timeout(seconds), self._asking:  # many ask once
                while self._ring is None:
                    self._ring = await self._ask()
                owner = self._ring.owner(channel)
        except TimeoutError:
            raise Unavailable("no server says who owns it") from None
        assert owner is not None, "the ring has workers"
        return owner

    async def _ask(self) -> Ring | None:
        if self._closed:
            raise Unavailable("the links to the servers are closed")
        self._up.clear()
        names = self._visitor.up
        if not names:
            await self._up.wait()
            return None
        rings = await asyncio.gather(*(self._ring_of(name) for name in names))
        known = [ring for ring in rings if ring.workers]
        if not known:
            await asyncio.sleep(_PAUSE)
            return None
        return max(known, key=lambda ring: ring.generation)

    async def _ring_of(self, server_id: str) -> Ring:
        """As that server knows it; an empty one when it does not answer."""
        try:
            status = await self._visitor.call(server_id, "server.status", (), _PATIENCE)
        except RequestError:
            return Ring(0, ())
        return Ring(status["generation"], status["ring"])
