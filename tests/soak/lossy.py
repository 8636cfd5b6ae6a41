"""The chat with connectors that lose one published frame in a hundred.

What is lost is whatever owners publish: messages, comings and goings, beats. The file is copied
into the folder of the soak, whose settings name it.
"""

from __future__ import annotations

import copy
import random
from dataclasses import replace

from zchat.chat.app import app as chat
from zchat.cluster.context import Context
from zchat.cluster.subscriber import Subscriber, SubscriberHandlers

LOSS = 0.01


class Lossy(Subscriber):
    """Loses frames on their way in."""

    def __init__(self, context: Context, handlers: SubscriberHandlers) -> None:
        super().__init__(context, replace(handlers, on_message=self._hear))
        self._told = handlers.on_message

    def _hear(self, topic: str, payload: bytes) -> None:
        if random.random() >= LOSS:
            self._told(topic, payload)


app = copy.copy(chat)
app.parts = replace(chat.parts, subscriber=Lossy)
