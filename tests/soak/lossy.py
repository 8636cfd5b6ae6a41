"""The chat with connectors that lose one published frame in a hundred, and workers that are late.

What is lost is whatever owners publish: messages, comings and goings, beats. What comes late is the
ring that a worker reads: meanwhile it appends by the older one, which has to be refused. The file
is copied into the folder of the soak, whose settings name it.
"""

from __future__ import annotations

import asyncio
import copy
import random
from dataclasses import replace
from pathlib import Path

from zchat.chat.app import app as chat
from zchat.cluster.context import Context
from zchat.cluster.subscriber import Subscriber, SubscriberHandlers
from zchat.config.settings import Settings
from zchat.framework.app.parts import open_store
from zchat.rooms.stores.base import RingRow, Store

LOSS = 0.01
LATE = 0.1
"""Seconds."""


class Lossy(Subscriber):
    """Loses frames on their way in."""

    def __init__(self, context: Context, handlers: SubscriberHandlers) -> None:
        super().__init__(context, replace(handlers, on_message=self._hear))
        self._told = handlers.on_message

    def _hear(self, topic: str, payload: bytes) -> None:
        if random.random() >= LOSS:
            self._told(topic, payload)


def late(settings: Settings, folder: Path) -> Store:
    """The journal, whose ring is old when it is told."""
    store = open_store(settings, folder)
    read = store.ring

    async def ring() -> RingRow:
        row = await read()
        await asyncio.sleep(LATE)
        return row

    store.ring = ring  # type: ignore[method-assign]
    return store


app = copy.copy(chat)
app.parts = replace(chat.parts, subscriber=Lossy, store=late)
