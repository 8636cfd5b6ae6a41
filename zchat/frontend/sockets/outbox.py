"""The way out: everything a loop turn has for one client leaves in one direct `send`.

The kernel's `send` is nearly all that a delivery costs, so the game is fewer sends. Whoever has
bytes for a connection gives them to `Outbox.enqueue`; the first ones of a turn put the connection
on the `Flusher`'s dirty list, and one callback at the end of the turn sends to each dirty
connection once. No future, task or closure is made per message. The usual connection has one piece
of bytes to send: it stays the very object that was enqueued (shared by all members of a room).
What a room has for its members comes last in a turn, by `Outbox.deliver`: who has nothing else to
get is sent to without ever being on the list.

A socket that would block gets a `Backlog`, which the event loop drains when the client reads again.
A client that reads too slowly is never waited for: past a bound of bytes it is cut off.
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Final

from zchat.frontend.sockets.disconnect import Disconnect

_SLICE: Final = 256  # connections sent to before others get their turn: about 2 ms
_DEFERRED_SLICE: Final = 128  # as many of those that a large room has made wait: about 1 ms more
_MOST_PIECES: Final = 64
_PORTION: Final = 65536

UNSENT_BYTES: Final = 131072
"""What the kernel may hold of one client's bytes beyond those in flight (TCP_NOTSENT_LOWAT).

Without it the kernel queues megabytes for a client that does not read, and what the client is told
at last comes behind them. SO_SNDBUF would bound what is in flight too and turn off its tuning,
which slows distant clients; this leaves both alone. Two portions: the kernel asks for more when
half of it is left, so a client that reads always finds some, at 12 MB/s even if the loop takes
10 ms to answer. Whoever listens sets it.
"""


class Backlog:
    """What a blocked socket has not taken yet, cut where frames end.

    Bounded by whoever appends (`Outbox`): `size` says what it holds, in bytes.
    """

    __slots__ = ("_head", "_rest", "size")

    def __init__(self, begun: memoryview) -> None:
        self._head = begun
        self._rest: deque[bytes] = deque()
        self.size = len(begun)

    @property
    def head(self) -> memoryview:
        """What to send next; it ends with the end of a frame, but may begin within one."""
        return self._head

    def append(self, data: bytes) -> None:
        """Adds whole frames."""
        self._rest.append(data)
        self.size += len(data)

    def sent(self, count: int) -> None:
        """The socket took the first `count` bytes of `head`."""
        self.size -= count
        self._head = self._head[count:]
        if not self._head and self._rest:
            self._head = memoryview(self._portion())

    def drop_unbegun(self) -> None:
        """Forgets all but `head`, which the client needs to find the next frame."""
        self._rest.clear()
        self.size = len(self._head)

    def _portion(self) -> bytes:
        rest = self._rest
        pieces = [rest.popleft()]
        length = len(pieces[0])
        while rest and length < _PORTION:
            pieces.append(rest.popleft())
            length += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _nothing() -> None:
    """Nobody has the same bytes for many."""


class Flusher:
    """The connections of this process that have something to send, and when they send it.

    A connection is listed when it gets the first bytes after its turn, and once until its next, so
    the list is bounded by the connections. When it is long it is sliced over loop turns, and what a
    large room has for its many members (`Outbox.defer`) is sliced apart from what others get: a
    room of thousands makes nobody else wait.

    Args:
        loop: whose turns these are.
        limit: bytes a blocked connection may have waiting. When full, the connection is told to go
            (`Outbox._overflowed`) and the bytes are dropped.
        on_flush: called before connections are flushed: who has the same bytes for many of them
            gives it now, so that a turn's answer and its pushes share one send.

    Attributes:
        blocked: how often a socket would not take everything.
    """

    __slots__ = (
        "_deferred",
        "_deferred_done",
        "_dirty",
        "_dirty_done",
        "_on_flush",
        "_scheduled",
        "blocked",
        "limit",
        "loop",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit: int,
        on_flush: Callable[[], None] = _nothing,
    ) -> None:
        self.loop = loop
        self.limit = limit
        self.blocked = 0
        self._on_flush = on_flush
        self._dirty: list[Outbox] = []
        self._deferred: list[Outbox] = []
        self._dirty_done = 0  # how many were ever taken off the lists
        self._deferred_done = 0
        self._scheduled = False

    def __len__(self) -> int:
        return len(self._dirty) + len(self._deferred)

    def add(self, outbox: Outbox) -> None:
        """Flushes `outbox` at the end of this turn, or soon after if many are waiting."""
        self._dirty.append(outbox)
        if not self._scheduled:
            self._schedule()

    def defer(self, outbox: Outbox) -> None:
        """As `add`, but those that were only added do not wait for it."""
        self._deferred.append(outbox)
        if not self._scheduled:
            self._schedule()

    def lap(self) -> Callable[[], bool]:
        """What says from now on whether all who are listed now have had their turn."""
        dirty = self._dirty_done + len(self._dirty)
        deferred = self._deferred_done + len(self._deferred)
        return lambda: self._dirty_done >= dirty and self._deferred_done >= deferred

    def _schedule(self) -> None:
        self._scheduled = True
        self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        try:
            self._on_flush()
        finally:  # were this never scheduled again, nobody would get anything any more
            self._flush_slice()

    def _flush_slice(self) -> None:
        dirty, deferred = self._dirty[:_SLICE], self._deferred[:_DEFERRED_SLICE]
        del self._dirty[:_SLICE], self._deferred[:_DEFERRED_SLICE]
        self._dirty_done += len(dirty)
        self._deferred_done += len(deferred)
        self._scheduled = False
        if len(self):
            self._schedule()
        for outbox in dirty:
            outbox.flush()
        for outbox in deferred:
            outbox.flush()


class Outbox(ABC):
    """One socket's way out; the base of every connection.

    Order is kept: what is enqueued first is sent first, blocked or not. Three holders, each
    bounded: the pieces of this turn (64; when full they are flushed at once), the backlog of a
    blocked socket (`Flusher.limit` bytes; when full the connection is cut off), the kernel's
    buffer (`UNSENT_BYTES` besides what is in flight, which the client's window bounds; when full
    the socket blocks).

    Args:
        flusher: shared by all connections of the process.
        sock: connected and non-blocking; closed by whoever derives from this.

    Attributes:
        disconnect: why this connection ends; None while it is open. Once it is set, what is
            enqueued is dropped: there is nobody to read it.
    """

    __slots__ = ("_backlog", "_flusher", "_pending", "_socket", "disconnect")

    def __init__(self, flusher: Flusher, sock: socket.socket) -> None:
        self._flusher = flusher
        self._socket = sock
        # One piece stays plain bytes, two or more are a list: measured at half the cost. None: the
        # flusher has not listed this; an empty list: it has, but all was sent before its turn.
        self._pending: bytes | list[bytes] | None = None
        self._backlog: Backlog | None = None
        self.disconnect: Disconnect | None = None

    def enqueue(self, data: bytes) -> None:
        """Sends whole frames, ready for the transport, when this loop turn ends."""
        if self.disconnect is not None:
            return
        pending = self._pending
        if pending is None:
            self._pending = data
            self._flusher.add(self)
        elif isinstance(pending, list):
            pending.append(data)
            if len(pending) >= _MOST_PIECES:
                self._pending = []
                self._pass_on(b"".join(pending))
        else:
            self._pending = [pending, data]

    def deliver(self, data: bytes) -> None:
        """Sends whole frames at once if nothing waits before them, else when this turn ends.

        For the end of a turn, when everything else that the turn has is enqueued: by this way a
        delivery costs 0.2 us beside the kernel's send, by the list 0.35.
        """
        if self._pending is None and self._backlog is None and self.disconnect is None:
            self._send(data)
        else:
            Outbox.enqueue(self, data)  # not what a transport that changes the bytes makes of it

    def defer(self, data: bytes) -> None:
        """As `enqueue`, for the many of a large room: nobody else waits behind them.

        With one list for all, a room of two beside a room of 5,000 at full rate had a p99 of 80 ms;
        now it is 13.
        """
        if self._pending is None and self.disconnect is None:
            self._pending = data
            self._flusher.defer(self)
        else:
            Outbox.enqueue(self, data)

    def lap(self) -> Callable[[], bool]:
        """What says whether all connections have been flushed that now have something to send."""
        return self._flusher.lap()

    @property
    def waiting(self) -> int:
        """Bytes that a blocked socket has not taken yet."""
        return 0 if self._backlog is None else self._backlog.size

    def flush(self) -> None:
        """Sends what is enqueued; for the turn of this connection."""
        pending = self._pending
        if pending is not None:
            self._pending = None
            self._pass_on(b"".join(pending) if isinstance(pending, list) else pending)

    def _pass_on(self, data: bytes) -> None:
        """Gives it to the kernel, or to the backlog behind what waits there."""
        if self._backlog is not None:
            self._backlog.append(data)
            self._check_limit(self._backlog)
        elif (not data or self._send(data)) and self.disconnect is not None:
            self._drained()

    def _send(self, data: bytes) -> bool:
        """Gives it to the kernel, and what that does not take to a backlog; says if it took all."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._broken(error)
            return False
        if sent < len(data):
            self._block(memoryview(data)[sent:])
            return False
        return True

    def _block(self, begun: memoryview) -> None:
        self._backlog = Backlog(begun)
        self._flusher.blocked += 1
        self._flusher.loop.add_writer(self._socket.fileno(), self._writable)
        self._check_limit(self._backlog)

    def _check_limit(self, backlog: Backlog) -> None:
        if backlog.size > self._flusher.limit and self.disconnect is None:
            backlog.drop_unbegun()
            self._overflowed()

    def _writable(self) -> None:
        backlog = self._backlog
        assert backlog is not None, "a writer without a backlog"
        try:
            backlog.sent(self._socket.send(backlog.head))
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error)
            return
        if not backlog.size:
            self._unblock()
            if self.disconnect is not None and self._pending is None:
                self._drained()

    def _unblock(self) -> None:
        """Forgets the backlog; the socket is asked directly again."""
        if self._backlog is not None:
            self._backlog = None
            self._flusher.loop.remove_writer(self._socket.fileno())

    @abstractmethod
    def _overflowed(self) -> None:
        """The client reads too slowly; what it had not begun to receive is dropped."""

    @abstractmethod
    def _broken(self, error: OSError) -> None:
        """The socket failed; nothing more can be sent."""

    @abstractmethod
    def _drained(self) -> None:
        """All was sent, and nothing follows because `disconnect` is set."""
