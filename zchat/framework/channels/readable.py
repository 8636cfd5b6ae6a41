"""The journal for somebody who waits for an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from zchat.errors import RequestError, Unavailable
from zchat.rooms.stores.base import History, Store

logger = logging.getLogger("zchat.cluster")


class Readable:
    """Reads it; each method raises what can be answered.

    Unavailable stands for a journal that failed: the log has the reason, and trying again may help.
    Any other RequestError is what the store itself wants to be answered.

    Args:
        store: the journal.
    """

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, channel: str, after: int, limit: int) -> History:
        """See `Store.read`."""
        return await _answerable(self._store.read(channel, after, limit), channel)

    async def read_back(self, channel: str, before: int, limit: int) -> History:
        """See `Store.read_back`."""
        return await _answerable(self._store.read_back(channel, before, limit), channel)


async def _answerable(reading: Awaitable[History], channel: str) -> History:
    try:
        return await reading
    except RequestError:
        raise
    except Exception as error:
        logger.exception("journal: %s cannot be read", channel)
        raise Unavailable("the journal cannot be read") from error
