"""The client connections of one frontend: what they share, and how all are told to go."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from zchat.config.settings import Client, Limits
from zchat.frontend.sockets.arrival import Expiring
from zchat.frontend.sockets.disconnect import SERVER_STOPPING, Disconnect
from zchat.frontend.sockets.frames import payloads
from zchat.frontend.sockets.outbox import Flusher
from zchat.frontend.sockets.rate import Rate
from zchat.protocol.handshake import HandshakeRequest, ServerHandshake
from zchat.protocol.message import Message
from zchat.wheel import Wheel

_HEARTBEAT_SLACK: Final = 2.0  # two network delays come on top of two intervals (pomelo wire 9.3)
_GRANULARITY: Final = 0.25
_STEP: Final = 0.05  # seconds between two portions of a drain


class Ending(Expiring, Protocol):
    """A connection, as far as its end is concerned."""

    def close(self, disconnect: Disconnect) -> None:
        """Ends it: what is enqueued is sent, then the farewell."""

    def flush(self) -> None:
        """Sends what is enqueued, as far as the kernel takes it."""

    def drop(self) -> None:
        """Lets go of the socket at once."""


C = TypeVar("C", bound=Ending)


def _nothing() -> None:
    """Nobody has the same bytes for many connections."""


class Connections(Generic[C]):
    """All client connections of one frontend, and what they share.

    The caller's duty: call `tick` at least twice a second; nothing times out without it.

    Args:
        handshake: how connections shake hands; its `limit` bounds a package's body.
        client: time-outs.
        limits: rates, and the bound of outboxes.
        capacity: most connections at a time. When full, `full` says so and the transport refuses.
        on_open: a client finished its handshake: `user` is known, it may be sent anything.
        on_message: a request or notify of an open connection.
        on_close: an open connection ends. It is called once, from the event loop and never from
            within a call of yours, so that no table changes while you walk over it; no message
            comes from this connection any more.
        on_handshake: decides about a client by calling the connection's `accept` or `refuse`, at
            once or later; needed when `handshake.asks`. Without a decision in time the client goes.
        on_flush: see `Flusher`.
        clock: seconds; deadlines and `tick` are in its time.

    Attributes:
        sockets: the connections that hold a socket, those still opening or closing included.
        counters: how many connections ended for each reason (`Disconnect.name`).
    """

    def __init__(
        self,
        handshake: ServerHandshake,
        client: Client,
        limits: Limits,
        *,
        capacity: int,
        on_open: Callable[[C], None],
        on_message: Callable[[C, Message], None],
        on_close: Callable[[C, Disconnect], None],
        on_handshake: Callable[[C, HandshakeRequest], None] | None = None,
        on_flush: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = clock
        self.handshake = handshake
        self.capacity = capacity
        self.on_open = on_open
        self.on_message = on_message
        self.on_close = on_close
        self.on_handshake = on_handshake
        self.sockets: set[C] = set()
        self.counters: Counter[str] = Counter()
        self.flusher = Flusher(self.loop, limits.outbox_bytes, on_flush)
        self.wheel: Wheel[Expiring] = Wheel(_GRANULARITY)
        self.messages = Rate(limits.messages_per_second, limits.messages_burst)
        self.bytes = Rate(limits.bytes_per_second, limits.bytes_burst)
        self.handshake_timeout = client.handshake_timeout
        beat = handshake.heartbeat
        self.silence = None if beat is None else 2 * beat + _HEARTBEAT_SLACK
        """Seconds without a heartbeat after which a client is gone; None: heartbeats are off."""
        self._framed = self._bare = b""

    @property
    def full(self) -> bool:
        """Whether no further connection is let in."""
        return len(self.sockets) >= self.capacity

    def unframed(self, frames: bytes) -> bytes:
        """The packages in WebSocket frames. The last result is kept, for the next who has them."""
        if frames is not self._framed:
            self._framed, self._bare = frames, payloads(frames)
        return self._bare

    def tick(self, now: float) -> None:
        """Ends the connections whose time is up."""
        for connection in self.wheel.expire(now):
            connection.expired()

    async def drain(
        self, disconnect: Disconnect = SERVER_STOPPING, *, pace: float, seconds: float
    ) -> None:
        """Tells all clients to go, so many per second, and waits until they went.

        Args:
            disconnect: what they are told.
            pace: clients told per second; more if it would else take over two thirds of `seconds`.
            seconds: when they have passed, whoever is left is dropped.
        """
        deadline = self.clock() + seconds
        waiting = list(self.sockets)
        if seconds > 0:
            pace = max(pace, 1.5 * len(waiting) / seconds)
        portion = max(1, math.ceil(pace * _STEP))
        while self.sockets and self.clock() < deadline:
            for connection in waiting[:portion]:
                connection.close(disconnect)
            del waiting[:portion]
            await asyncio.sleep(_STEP)
        for connection in list(self.sockets):
            connection.close(disconnect)
            connection.flush()
            connection.drop()
        await asyncio.sleep(0)  # what was scheduled by then has run: every `on_close`
