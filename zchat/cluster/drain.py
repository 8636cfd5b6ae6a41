"""Reading a ZeroMQ socket from an asyncio loop, without a task or a future per message.

The FD of a ZeroMQ socket is edge-triggered. It becomes readable when libzmq has a command for the
socket (a message came, a pipe can be written again, a link came up), and that signal is gone once
the socket was touched in any way. So messages may be waiting although the FD is silent:

- after a burst that stopped at its budget: `_run` schedules itself again;
- after a send on the same socket, which takes in commands like a receive does: whoever sends calls
  `check` afterwards;
- before the FD was registered: the constructor looks once.

A burst that ends with zmq.Again has taken in every command, so the next one signals anew. The burst
runs at every signal, with or without a message, because libzmq does some of its work only in the
thread that touches the socket: an XSUB sends its subscriptions again at that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import zmq

# Plain numbers: pyzmq's enums take half as long again as the look itself.
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)


class Drain:
    """Calls `burst` whenever its socket may have something to read.

    Args:
        socket: the socket; the drain must be closed before it.
        burst: called with a budget; receives with NOBLOCK until zmq.Again or until the budget is
            spent. Returns whether it stopped for the budget, so that more may be waiting. If it
            raises, the loop's exception handler gets the error and the drain goes on.
        budget: what one burst may handle before others in the loop get their turn.
    """

    def __init__(
        self, socket: zmq.Socket[bytes], burst: Callable[[int], bool], budget: int = 256
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._burst = burst
        self._budget = budget
        self._scheduled = False
        self._closed = False
        self._fd = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self._run)
        self.kick()

    def kick(self) -> None:
        """Runs a burst in the next turn of the loop."""
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def check(self) -> None:
        """To be called after sending on the socket: the send may have eaten the FD's signal."""
        if not self._closed and int(self._socket.getsockopt(_EVENTS)) & _POLLIN:
            self.kick()

    def read(self) -> None:
        """Runs a burst now, if something is there."""
        if not self._closed and int(self._socket.getsockopt(_EVENTS)) & _POLLIN:
            self._run()

    def close(self) -> None:
        """Stops reading. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if not self._loop.is_closed():
            # Before the socket closes its FD: its number may be given to another file at once.
            self._loop.remove_reader(self._fd)

    def _run(self) -> None:
        self._scheduled = False
        if self._closed:
            return
        more = True
        try:
            more = self._burst(self._budget)
        finally:
            # An error must not end the reading: what is still waiting raises no new signal.
            if more:
                self.kick()
