"""Answers libzmq's question whether a client may connect (ZeroMQ RFC 27, ZAP).

request   version request_id domain address routing_id mechanism credentials...
reply     version request_id status_code status_text user_id metadata
"""

from __future__ import annotations

import logging
from pathlib import Path

import zmq
from zmq.utils import z85

from zchat.cluster.curve import load_allowed
from zchat.cluster.drain import Drain

logger = logging.getLogger("zchat.cluster")

_ADDRESS = "inproc://zeromq.zap.01"
_VERSION = b"1.0"


class Authenticator:
    """Lets in the clients whose public key lies in a folder; one per ZeroMQ context.

    Args:
        context: every server socket of it that has a ZAP domain asks here.
        allowed: the folder with `*.key` files, read now and at `reload`.

    Raises:
        ConfigError: the folder is missing or a key in it is broken.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allowed: Path) -> None:
        self._folder = allowed
        self._keys = load_allowed(allowed)
        self.refused = 0
        """Clients that were turned away."""
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(_ADDRESS)
        self._drain = Drain(self._socket, self._burst)

    def reload(self) -> None:
        """Reads the folder again; clients that are connected stay.

        Raises:
            ConfigError: as the constructor; then the old list stays in force.
        """
        self._keys = load_allowed(self._folder)

    def close(self) -> None:
        """Idempotent."""
        self._drain.close()
        self._socket.close()

    def _burst(self, budget: int) -> bool:
        for _ in range(budget):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return False
            self._socket.send_multipart(self._answer(frames))
        return True

    def _answer(self, frames: list[bytes]) -> list[bytes]:
        request_id = frames[1] if len(frames) > 1 else b""
        if self._may_enter(frames):
            return [_VERSION, request_id, b"200", b"OK", b"", b""]
        self.refused += 1
        address = frames[3].decode(errors="replace") if len(frames) > 3 else "?"
        # DEBUG: a stranger that knocks all night must not fill the log; `refused` counts them.
        logger.debug("! %s: key not in %s", address, self._folder)
        return [_VERSION, request_id, b"400", b"NO ACCESS", b"", b""]

    def _may_enter(self, frames: list[bytes]) -> bool:
        if len(frames) != 7 or frames[0] != _VERSION or frames[5] != b"CURVE":
            return False
        return len(frames[6]) == 32 and z85.encode(frames[6]) in self._keys
