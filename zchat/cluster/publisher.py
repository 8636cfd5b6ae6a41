"""The publishing end: one XPUB at a server that owns channels. See topic.py for the bytes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import zmq

from zchat.cluster.context import Context
from zchat.cluster.drain import Drain
from zchat.cluster.refusals import Refusals
from zchat.cluster.topic import BETWEEN_TOKENS, SUBSCRIBE, TOKEN, UNSUBSCRIBE, prefix

logger = logging.getLogger("zchat.cluster")

# Subscriptions and tokens that libzmq takes in before TCP holds the subscriber back; none is lost.
_RECEIVE_HIGH_WATER: Final = 10_000

_NOBLOCK: Final = int(zmq.NOBLOCK)


class Publisher:
    """An XPUB that is read from its FD.

    When full (a subscriber reads so slowly that `high_water` publications wait for it in libzmq)
    further ones are dropped for that subscriber alone. Nobody is told: offsets and beats, a floor
    above, are how a subscriber finds out.

    Args:
        context: where the socket comes from.
        on_token: gets each token that a subscriber sent; all subscriptions that it made before are
            at work then. Must not block.
        high_water: publications per subscriber.
        clock: seconds, for the log's rate.
    """

    def __init__(
        self,
        context: Context,
        on_token: Callable[[bytes], None],
        high_water: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.subscriptions = 0
        """Topics that at least one subscriber has."""
        self.refusals = Refusals("XPUB", clock)
        self._context = context
        self._on_token = on_token
        self._high_water = high_water
        self._checking = False
        self._socket: zmq.Socket[bytes] | None = None
        self._drain: Drain | None = None

    def bind(self, address: str) -> str:
        """Listens at `tcp://host:port`; once.

        Returns:
            The address with the port that was chosen, where it said 0.

        Raises:
            ConfigError: nothing protects an address that other machines can reach.
            OSError: the address is taken or not ours.
        """
        # The default of 1,000 loses publications for good readers too, at a hiccup of the
        # scheduler.
        socket = self._context.socket(
            zmq.XPUB, send_high_water=self._high_water, receive_high_water=_RECEIVE_HIGH_WATER
        )
        # One stalled subscriber would stop the publications to all others.
        socket.setsockopt(zmq.XPUB_NODROP, 0)
        # Only the first subscription to a topic is told: tokens say what we need to know.
        socket.setsockopt(zmq.XPUB_VERBOSE, 0)
        try:
            bound = self._context.bind(socket, address)
        except BaseException:
            socket.close(linger=0)
            raise
        self._socket = socket
        self._drain = Drain(socket, self._burst)
        return bound

    def publish(self, topic: str, payload: bytes) -> None:
        """Sends `payload` to all subscribers of `topic`.

        Raises:
            ValueError: the topic holds a NUL.
            RuntimeError: the publisher is not bound (any more).
        """
        if self._socket is None:
            raise RuntimeError("publish on a publisher that is not bound")
        self._socket.send(prefix(topic) + payload, _NOBLOCK)
        if not self._checking:
            # Once a turn is enough: a send may have eaten the signal of a token that came.
            self._checking = True
            asyncio.get_running_loop().call_soon(self._check)

    def close(self) -> None:
        """Idempotent."""
        if self._socket is None or self._drain is None:
            return
        self._drain.close()
        self._socket.close()
        self._socket = self._drain = None

    def _check(self) -> None:
        self._checking = False
        if self._drain is not None:
            self._drain.check()

    def _burst(self, budget: int) -> bool:
        for _ in range(budget):
            if self._socket is None:
                return False
            try:
                self._take(self._socket.recv(_NOBLOCK))
            except zmq.Again:
                return False
        return True

    def _take_token(self, token: bytes) -> None:
        try:
            self._on_token(token)
        except Exception:
            # One token's fault must not keep the others from being read.
            logger.exception("token could not be taken")

    def _take(self, frame: bytes) -> None:
        kind = frame[:1]
        if kind == TOKEN:
            for token in frame[1:].split(BETWEEN_TOKENS):
                self._take_token(token)
        elif kind == SUBSCRIBE:
            self.subscriptions += 1
        elif kind == UNSUBSCRIBE:
            self.subscriptions -= 1
        else:
            self.refusals.refuse("unreadable", "a subscriber", frame[:50])
