"""An application that makes it hard for zchat: it repeats no call, and its answers come late."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

from zchat.framework.channels.channel import Channel
from zchat.framework.channels.joins import Joined
from zchat.framework.peers.calls import Calls

_LATE = 0.6
"""Seconds from the moment at which a member is let in to the answer that tells it."""


def install() -> None:
    """Have the chat behave like that, in this interpreter for good."""
    call, add = Calls.call, Channel.add

    async def call_once(calls: Calls, *args: Any, retry: bool = False) -> Any:
        return await call(calls, *args)

    async def add_late(channel: Channel, *args: Any, **how: Any) -> Joined:
        joined = await add(channel, *args, **how)
        await asyncio.sleep(_LATE)
        return joined

    mock.patch.object(Calls, "call", call_once).start()
    mock.patch.object(Channel, "add", add_late).start()
