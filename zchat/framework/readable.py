"""Reading the journal for somebody who waits for an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from zchat.errors import RequestError, Unavailable
from zchat.rooms.stores.base import History

logger = logging.getLogger("zchat.cluster")


async def readable(reading: Awaitable[History], channel: str) -> History:
    """What was read.

    Raises:
        Unavailable: the journal failed; the log has the reason. Trying again may help.
        RequestError: what the store itself wants to be answered.
    """
    try:
        return await reading
    except RequestError:
        raise
    except Exception as error:
        logger.exception("journal: %s cannot be read", channel)
        raise Unavailable("the journal cannot be read") from error
