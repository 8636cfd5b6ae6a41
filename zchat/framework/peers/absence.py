"""Calls to servers that are away: given up after a moment, unless the server comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from zchat.errors import Unavailable

T = TypeVar("T")


class Absence:
    """The calls that wait for a link.

    Each waits in its server's pipe as well, whose bound is theirs.

    Args:
        moment: seconds that they wait.
    """

    def __init__(self, moment: float) -> None:
        self.moment = moment
        self._limits: dict[str, set[asyncio.Timeout]] = {}

    async def bear(self, server_id: str, call: Awaitable[T]) -> T:
        """The result of a call to a server that is away.

        Raises:
            Unavailable: it did not come back in that moment; the call was not sent.
        """
        limits = self._limits.setdefault(server_id, set())
        try:
            async with asyncio.timeout(self.moment) as limit:
                limits.add(limit)
                try:
                    return await call
                finally:
                    limits.discard(limit)
        except TimeoutError:
            if limit.expired():
                raise Unavailable(f"{server_id} is gone") from None
            raise

    def end(self, server_id: str) -> None:
        """The server is back: what waits for it has all of its own time."""
        for limit in self._limits.pop(server_id, ()):
            if not limit.expired():
                limit.reschedule(None)
