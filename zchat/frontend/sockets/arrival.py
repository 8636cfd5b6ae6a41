"""From an accepted socket to its first bytes, which tell what its client speaks.

    accepted --(TLS handshake)--> silent --first bytes--> HTTP, if they begin with a letter
                                                          packages over TCP, if not

A Pomelo client's handshake begins with byte 01, an HTTP request with the name of its method. One
byte is enough, so a request that is cut within its first line is not misjudged (pomelo wire 5.1).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final, Protocol

from zchat.frontend.sockets.disconnect import (
    CONNECTION_LOST,
    HANDSHAKE_TIMEOUT,
    TLS_FAILED,
    Disconnect,
)
from zchat.wheel import Wheel

logger = logging.getLogger("zchat.access")

_RECEIVE: Final = 65536


class Expiring(Hashable, Protocol):
    """What has a time limit on the wheel of a frontend."""

    def expired(self) -> None:
        """The time is up."""


class Closable(Hashable, Protocol):
    """What can be let go of."""

    def close(self) -> None:
        """Let go of the socket."""


class Openings:
    """Sockets that are accepted and not clients' connections yet.

    When full, the oldest is closed unanswered and counted as `openings_lost`: a client speaks at
    once, so whoever has been silent longest is the least likely to be one, and idle sockets,
    however many, lock nobody out.

    Args:
        limit: how many there may be.
        counters: where the lost are counted.
    """

    def __init__(self, limit: int, counters: Counter[str]) -> None:
        self._limit = limit
        self._counters = counters
        self._items: dict[Closable, None] = {}  # in order of age

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Closable) -> None:
        """One more, the youngest."""
        if len(self._items) >= self._limit:
            oldest = next(iter(self._items))
            self.discard(oldest)
            self._counters["openings_lost"] += 1
            oldest.close()
        self._items[item] = None

    def discard(self, item: Closable) -> None:
        """It is open, or gone. Idempotent."""
        self._items.pop(item, None)

    def close(self) -> None:
        """Lets go of all."""
        for item in list(self._items):
            self.discard(item)
            item.close()


class Arrival:
    """A client that has said nothing yet; `start` it once.

    Args:
        sock: accepted, non-blocking; with TLS it has still to shake hands.
        address: where it comes from.
        deadline: by when it has to be a connection, in the wheel's time.
        loop: the event loop.
        wheel: for the deadline.
        openings: where it is counted until it speaks.
        counters: how many ended here, by reason.
        spoke: is given this arrival and its first bytes; it owns the socket from then on.
    """

    __slots__ = (
        "_counters",
        "_loop",
        "_openings",
        "_shaking",
        "_spoke",
        "_waiting",
        "_wheel",
        "address",
        "deadline",
        "socket",
    )

    def __init__(
        self,
        sock: socket.socket,
        address: str,
        deadline: float,
        *,
        loop: asyncio.AbstractEventLoop,
        wheel: Wheel[Expiring],
        openings: Openings,
        counters: Counter[str],
        spoke: Callable[[Arrival, bytes], None],
    ) -> None:
        self.socket = sock
        self.address = address
        self.deadline = deadline
        self._loop = loop
        self._wheel = wheel
        self._openings = openings
        self._counters = counters
        self._spoke = spoke
        self._shaking = sock if isinstance(sock, ssl.SSLSocket) else None
        self._waiting = False

    def start(self) -> None:
        """Takes the first bytes, or waits for them. When many come at once they are here already.

        A TLS handshake is left to the event loop: it takes long.
        """
        if self._shaking is None and self._receive():
            return
        self._waiting = True
        self._wheel.schedule(self, self.deadline)
        self._loop.add_reader(self.socket.fileno(), self._receive)
        self._openings.add(self)

    def expired(self) -> None:
        """It was silent for too long."""
        self._end(HANDSHAKE_TIMEOUT)

    def close(self) -> None:
        """Lets go of the socket. Idempotent."""
        self._release()
        self.socket.close()

    def _receive(self) -> bool:
        """Reads; whether that was the end of the waiting."""
        try:
            if self._shaking is not None and not self._shake(self._shaking):
                return False
            data = self.socket.recv(_RECEIVE)
        except BlockingIOError:
            return False
        except ssl.SSLError as error:
            return self._end(TLS_FAILED.because(error.reason or str(error)))
        except OSError as error:
            return self._end(CONNECTION_LOST.because(error.strerror or str(error)))
        if not data:
            return self._end(CONNECTION_LOST)
        self._release()
        self._spoke(self, data)
        return True

    def _shake(self, sock: ssl.SSLSocket) -> bool:
        """Takes the TLS handshake further; whether it is done."""
        self._loop.remove_writer(sock.fileno())
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            self._loop.add_writer(sock.fileno(), self._receive)
            return False
        self._shaking = None
        return True

    def _end(self, disconnect: Disconnect) -> bool:
        self._counters[disconnect.name] += 1
        logger.debug("= %s %s", self.address, disconnect)
        self.close()
        return True

    def _release(self) -> None:
        """Takes the socket out of the event loop."""
        if not self._waiting:
            return
        self._waiting = False
        self._loop.remove_reader(self.socket.fileno())
        self._loop.remove_writer(self.socket.fileno())
        self._wheel.cancel(self)
        self._openings.discard(self)
