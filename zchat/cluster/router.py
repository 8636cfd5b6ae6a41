"""The binding end of the pipes between servers: one ROUTER for all DEALERs that connect."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

import zmq

from zchat.cluster.context import Context
from zchat.cluster.dealer import HIGH_WATER
from zchat.cluster.drain import Drain
from zchat.cluster.monitor import UNLINKED, Monitor
from zchat.cluster.refusals import Refusals

_NOBLOCK: Final = int(zmq.NOBLOCK)
_NOBLOCK_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_RCVMORE: Final = int(zmq.RCVMORE)


class UnreachableError(Exception):
    """libzmq has no link to that peer (EHOSTUNREACH)."""


class Router:
    """A ROUTER socket that is read from its FD.

    Args:
        context: where the socket comes from.
        address: `tcp://host:port` to listen at.
        refusals: counts messages of several frames.
        on_message: gets a routing id and a message, and says how many envelopes it held, for the
            drain's budget.
        on_wake: libzmq reported something, after the messages were read: a peer may take more.
        on_unlinked: the link of some peer broke; libzmq does not say whose.

    Raises:
        ConfigError: nothing protects an address that other machines can reach.
        OSError: the address is taken or not ours.
    """

    def __init__(
        self,
        context: Context,
        address: str,
        refusals: Refusals,
        on_message: Callable[[bytes, bytes], int],
        on_wake: Callable[[], None],
        on_unlinked: Callable[[], None],
    ) -> None:
        self._on_unlinked = on_unlinked
        self._refusals = refusals
        self._on_message = on_message
        self._on_wake = on_wake
        self._closed = False
        socket = self._socket = context.socket(
            zmq.ROUTER, send_high_water=HIGH_WATER, receive_high_water=HIGH_WATER
        )
        # Without it what is for a peer that is gone, or too slow, vanishes without an error.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # A peer whose link broke comes back under the same routing id before we know that the old
        # link is dead; without this its new link would be ignored.
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._monitor = Monitor(socket, self._on_event)
        try:
            self.address = context.bind(socket, address)
            """Where it listens, with the port that was chosen if `address` said 0."""
        except BaseException:
            self._monitor.close()
            socket.close(linger=0)
            raise
        self._drain = Drain(socket, self._burst)

    def write(self, identity: bytes, message: bytes) -> bool:
        """Writes a message to a peer; False when it reads too slowly.

        The caller calls `check` after the last message of a turn.

        Raises:
            UnreachableError: there is no link to it.
        """
        if self._closed:
            return False
        try:
            self._socket.send(identity, _NOBLOCK_MORE)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == errno.EHOSTUNREACH:
                raise UnreachableError from error
            raise
        # Never blocks: libzmq has found room for the whole message when it took the routing id.
        self._socket.send(message, _NOBLOCK)
        return True

    def check(self) -> None:
        """See Drain.check."""
        self._drain.check()

    def close(self) -> None:
        """Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._monitor.close()
        self._drain.close()
        self._socket.close()

    def _on_event(self, event: int, endpoint: str) -> None:
        if event == UNLINKED:
            self._on_unlinked()

    def _burst(self, budget: int) -> bool:
        receive, option = self._socket.recv, self._socket.getsockopt
        while budget > 0:
            if self._closed:
                return False
            try:
                identity = receive(_NOBLOCK)
            except zmq.Again:
                self._on_wake()
                return False
            message = receive(_NOBLOCK)
            # A peer that sends several frames must not make us take its third for a routing id.
            if option(_RCVMORE):
                self._skip_frames()
                self._refusals.refuse("several frames", identity)
                budget -= 1
            else:
                budget -= 1 + self._on_message(identity, message)
        return True

    def _skip_frames(self) -> None:
        while self._socket.getsockopt(_RCVMORE):
            self._socket.recv(_NOBLOCK)
