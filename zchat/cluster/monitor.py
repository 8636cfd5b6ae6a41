"""What libzmq tells about the links of a socket: when one is made and when it is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from zchat.cluster.drain import Drain

LINKED: Final = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
UNLINKED: Final = int(zmq.EVENT_DISCONNECTED)
REFUSED: Final = int(zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
RETRY_REFUSED: Final = 1.0
"""Seconds after which a refused link is begun anew, by whoever has it: libzmq gives it up for good,
but the key that was missing may be on the list soon."""

# The other end closed during a handshake: because it does not know our key, or because it is just
# starting or ending. Only so many in a row are a refusal.
_BROKEN: Final = int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
_BROKEN_IN_A_ROW: Final = 5

# Retries are left out: a peer that is away would wake us ten times a second.
_EVENTS: Final = LINKED | UNLINKED | REFUSED | _BROKEN

_names = count()


class Monitor:
    """Calls `on_event(event, endpoint)` with LINKED, UNLINKED or a bit of REFUSED.

    `endpoint` is libzmq's word for the link: the address as it was given to connect, but after a
    reconnect the numeric one, also where a host name was given.

    Must be closed before the socket. Must be made before the socket connects.
    """

    def __init__(self, socket: zmq.Socket[bytes], on_event: Callable[[int, str], None]) -> None:
        # The name is unique in the process, so also in the socket's context.
        address = f"inproc://zchat.monitor.{next(_names)}"
        self._socket = socket
        self._on_event = on_event
        self._closed = False
        self._broken: Counter[str] = Counter()
        socket.monitor(address, _EVENTS)
        self._events: zmq.Socket[bytes] = socket.context.socket(zmq.PAIR)
        self._events.setsockopt(zmq.LINGER, 0)
        # A lost event would be a link that never comes up for us; their number is small (two per
        # reconnect), and they are read at once.
        self._events.setsockopt(zmq.RCVHWM, 0)
        self._events.connect(address)
        self._drain = Drain(self._events, self._burst)

    def read(self) -> None:
        """Tells now what has happened and would be told in the next turn of the loop."""
        self._drain.read()

    def close(self) -> None:
        """Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._drain.close()
        self._socket.disable_monitor()
        self._events.close()

    def _burst(self, budget: int) -> bool:
        for _ in range(budget):
            if self._closed:
                return False
            try:
                event = parse_monitor_message(self._events.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return False
            if event["event"] & _EVENTS:
                self._take(int(event["event"]), event["endpoint"].decode())
        return True

    def _take(self, event: int, endpoint: str) -> None:
        if event == _BROKEN:
            self._broken[endpoint] += 1
            if self._broken[endpoint] % _BROKEN_IN_A_ROW:
                return
            event = REFUSED
        elif event == LINKED:
            del self._broken[endpoint]
        self._on_event(event, endpoint)
