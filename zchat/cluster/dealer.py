"""The connecting end of a pipe between two servers: one DEALER to one ROUTER."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import zmq

from zchat.cluster.context import Context
from zchat.cluster.drain import Drain
from zchat.cluster.monitor import LINKED, RETRY_REFUSED, UNLINKED, Monitor

logger = logging.getLogger("zchat.cluster")

# In messages, each a batch of about 64 KiB at most: libzmq keeps up to 16 MiB per direction, then
# the Pipe in front of it keeps the rest within its own bound.
HIGH_WATER: Final = 256

_NOBLOCK: Final = int(zmq.NOBLOCK)


class Dealer:
    """A DEALER socket that is read from its FD.

    Args:
        context: where the socket comes from.
        routing_id: our name at the ROUTER.
        address: of the ROUTER.
        server_key: its public key, when the context has keys.
        on_message: gets each message and says how many envelopes it held, for the drain's budget.
        on_wake: libzmq reported something, after the messages were read: the socket may take more.
        on_linked: a handshake succeeded: a fresh link, nothing was written to it yet.
        on_unlinked: the link is gone.

    Raises:
        ConfigError: the address is none, or not one that plain traffic may go to.
    """

    def __init__(
        self,
        context: Context,
        routing_id: bytes,
        address: str,
        server_key: bytes | None,
        on_message: Callable[[bytes], int],
        on_wake: Callable[[], None],
        on_linked: Callable[[], None],
        on_unlinked: Callable[[], None],
    ) -> None:
        self.linked = False
        """Whether there is a link, as far as was read from the monitor."""
        self._address = address
        self._on_message = on_message
        self._on_wake = on_wake
        self._on_linked = on_linked
        self._on_unlinked = on_unlinked
        self._said_refused = False
        self._closed = False
        self._context = context
        self._server_key = server_key
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        socket = self._socket = context.socket(
            zmq.DEALER, send_high_water=HIGH_WATER, receive_high_water=HIGH_WATER
        )
        socket.setsockopt(zmq.ROUTING_ID, routing_id)
        # Without it messages for a peer that is away pile up in libzmq and are the first thing that
        # its next life reads, ahead of our Hello. With it nothing can be written without a link,
        # and what was written dies with the link.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        self._monitor = Monitor(socket, self._on_event)
        try:
            context.connect(socket, address, server_key)
            self._drain = Drain(socket, self._burst)
        except BaseException:
            self._monitor.close()
            socket.close(linger=0)
            raise

    def write(self, message: bytes) -> bool:
        """Writes a message; False when there is no link or the peer reads too slowly.

        The caller calls `check` after the last message of a turn.
        """
        if self._closed:
            return False
        try:
            self._socket.send(message, _NOBLOCK)
        except zmq.Again:
            # A send looks at what libzmq's threads report only every millisecond; reading EVENTS
            # looks for certain. Without this a fresh link could seem closed.
            if not int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLOUT:
                return False
            return self._write_again(message)
        return True

    def look(self) -> None:
        """Learns whether the link is still the one that we know of; to be called before writing.

        When the loop was busy for longer than libzmq waits until it reconnects, what is written now
        would go to a fresh link, ahead of our Hello. The new one is made later than the loss of the
        old one is reported, so that who looks and then writes cannot meet it unawares.
        """
        self._monitor.read()

    def check(self) -> None:
        """See Drain.check."""
        self._drain.check()

    def close(self) -> None:
        """Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.linked = False
        if self._retry is not None:
            self._retry.cancel()
        self._drain.close()
        self._monitor.close()
        self._socket.close()

    def _write_again(self, message: bytes) -> bool:
        try:
            self._socket.send(message, _NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _burst(self, budget: int) -> bool:
        receive = self._socket.recv
        while budget > 0:
            if self._closed:
                return False
            try:
                # Frame by frame, whatever the sender thought: each has to be a whole batch.
                message = receive(_NOBLOCK)
            except zmq.Again:
                self._on_wake()
                return False
            budget -= 1 + self._on_message(message)
        return True

    def _on_event(self, event: int, endpoint: str) -> None:
        if event == LINKED:
            self.linked = True
            self._said_refused = False
            self._on_linked()
        elif event == UNLINKED:
            self.linked = False
            self._on_unlinked()
        else:
            self._on_refused()

    def _on_refused(self) -> None:
        if not self._said_refused:
            self._said_refused = True
            logger.warning("%s refuses our handshake: are the keys right?", self._address)
        if self._retry is None:
            self._retry = self._loop.call_later(RETRY_REFUSED, self._reconnect)

    def _reconnect(self) -> None:
        self._retry = None
        if not self.linked:
            self._context.reconnect(self._socket, self._address, self._server_key)
