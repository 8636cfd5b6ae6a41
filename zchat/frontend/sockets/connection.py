"""A client connection, whatever its transport: socket in, socket out, limits, protocol, the end.

It is kept small, because there are ten thousand: slots only, no timer, no task, no future of its
own; what it shares with the others is in `Connections`. It reads once per ready socket and loop
turn, so nobody is read twice before everybody was read once.

    opening --handshake, ack--> open --close, kick, time-out, bad bytes, slow reader--> closing
       |                          |                                                        |
       +---- time-out, ... ----+  +---- socket failed ----> gone <---- client's end, time --+

Closing sends the farewell, shuts the sending side and reads on until the client closes too (or
`_LINGER` passes): closing a socket with unread bytes makes the kernel send a reset, which would
destroy the farewell at the client. One that has bytes waiting gets `_BLOCKED_LINGER`, because the
farewell comes behind them.
"""

from __future__ import annotations

import logging
import socket
from abc import abstractmethod
from typing import Any, ClassVar, Final

from zchat.errors import ProtocolError
from zchat.frontend.sockets.connections import Connections
from zchat.frontend.sockets.disconnect import (
    CONNECTION_LOST,
    HANDSHAKE_REFUSED,
    HANDSHAKE_TIMEOUT,
    HEARTBEAT_TIMEOUT,
    INTERNAL_ERROR,
    KICKED,
    MALFORMED,
    SLOW_READER,
    TOO_MANY_BYTES,
    TOO_MANY_MESSAGES,
    Disconnect,
)
from zchat.frontend.sockets.frames import frame
from zchat.frontend.sockets.outbox import Outbox
from zchat.protocol.connection import HEARTBEAT_BYTES, ServerConnection
from zchat.protocol.events import HandshakeAsked, HandshakeDone, Heartbeat, Received
from zchat.protocol.handshake import FAILED, HandshakeError, HandshakeRequest
from zchat.protocol.package import Package

logger = logging.getLogger("zchat.access")

_BEAT: Final = frame(HEARTBEAT_BYTES)
_RECEIVE: Final = 65536
_LINGER: Final = 5.0
_BLOCKED_LINGER: Final = 30.0  # a kernel's 128 KiB and a portion of 64 KiB, at 6.5 kB/s


class Connection(Outbox):
    """One client. Made by a transport when its socket is ready; reads from then on.

    Args:
        shared: what all connections of this frontend share.
        sock: connected, non-blocking; the connection owns it from now on.
        remote_address: the client's IP address.
        host: the host name by which the client reached this server, as in a URL.
        deadline: when the handshake must be finished, in the clock's time.

    Attributes:
        user: what the client put into its handshake; None before it and without it.
        uid: who the application said that it is, when it let it in; empty: nobody known.
        session: for the upper layer, which alone sets and reads it.
    """

    __slots__ = (
        "_bytes_full_at",
        "_messages_full_at",
        "_opened",
        "_protocol",
        "_shared",
        "host",
        "remote_address",
        "session",
        "uid",
        "user",
    )

    says_close_code: ClassVar[bool] = True
    """Whether the transport has close codes."""

    def __init__(
        self,
        shared: Connections[Connection],
        sock: socket.socket,
        *,
        remote_address: str,
        host: str,
        deadline: float,
    ) -> None:
        super().__init__(shared.flusher, sock)
        self._shared = shared
        self._protocol = ServerConnection(shared.handshake)
        self._bytes_full_at = 0.0
        self._messages_full_at = 0.0
        self._opened = False
        self.remote_address = remote_address
        self.host = host
        self.uid = ""
        self.user: Any = None
        self.session: Any = None
        shared.sockets.add(self)
        shared.wheel.schedule(self, deadline)
        shared.loop.add_reader(sock.fileno(), self._readable)

    # What the upper layer uses, beside `enqueue`, which takes WebSocket frames on any transport:
    # for fan-out they are built once, with `frame`.

    def accept(self, request: HandshakeRequest, uid: str, user: Any) -> None:
        """Lets a client in that `on_handshake` was asked about; too late, it does nothing.

        Args:
            request: what it asked with.
            uid: who it is; empty: nobody known.
            user: what it is told, if truthy.
        """
        if self.disconnect is None:
            self._protocol.accept(request, user)
            self.uid = uid
            self.send(self._protocol.data_to_send())

    def refuse(self, reason: str) -> None:
        """Does not let it in; the reason is for the log, the client is told 500 (wire 6.4)."""
        if self.disconnect is None:
            self._protocol.refuse(FAILED)
            self.send(self._protocol.data_to_send())
            self.close(HANDSHAKE_REFUSED.because(reason))

    def send(self, packages: bytes) -> None:
        """Sends packages as one transport message when this loop turn ends.

        They share one `send` with everything else of the turn. After the connection ended they
        are dropped.
        """
        self.enqueue(frame(packages))

    def kick(self, reason: str) -> None:
        """Tells the client to go, by a kick package, and closes (pomelo wire 15)."""
        self.close(KICKED.because(reason))

    def close(self, disconnect: Disconnect) -> None:
        """Ends the connection: what is enqueued is sent, then the farewell. Idempotent."""
        if self.disconnect is not None:
            return
        if disconnect.kick:
            code = None if self.says_close_code else disconnect.code
            self._protocol.kick(disconnect.reason, code)
            packages = self._protocol.data_to_send()
            if packages:
                self.send(packages)
        self._finish(disconnect, self._farewell(disconnect))

    def drop(self) -> None:
        """Lets go of the socket at once, told or not. Idempotent."""
        self._gone(CONNECTION_LOST)

    def expired(self) -> None:
        """The time this connection had is up: for its handshake, heartbeat or last words."""
        if self.disconnect is not None:
            self._release()
        elif self._opened:
            self.close(HEARTBEAT_TIMEOUT)
        else:
            self.close(HANDSHAKE_TIMEOUT)

    # Reading

    def receive(self, data: bytes) -> None:
        """Takes bytes from the socket. Raises nothing: what is wrong ends this connection only."""
        shared = self._shared
        now = shared.clock()
        self._bytes_full_at = shared.bytes.spend(self._bytes_full_at, now, len(data))
        if shared.bytes.overdrawn(self._bytes_full_at, now):
            self.close(TOO_MANY_BYTES)
            return
        try:
            self._read(data, now)
        except Exception:
            logger.exception("%s: a message could not be handled", self.remote_address)
            self.close(INTERNAL_ERROR)

    @abstractmethod
    def _read(self, data: bytes, now: float) -> None:
        """Cuts `data` by the transport's rules and gives what is whole to `_handle`."""

    def _allow(self, messages: int, now: float) -> bool:
        """Whether the client may send so many messages now; if not, the connection is closed."""
        rate = self._shared.messages
        self._messages_full_at = rate.spend(self._messages_full_at, now, messages)
        if rate.overdrawn(self._messages_full_at, now):
            self.close(TOO_MANY_MESSAGES)
            return False
        return True

    def _handle(self, packages: bytes | tuple[Package, ...]) -> None:
        """Takes one transport message."""
        protocol = self._protocol
        try:
            if isinstance(packages, bytes):
                message = protocol.message(packages)
                if message is not None:
                    self._shared.on_message(self, message)
                    return
                if protocol.is_answered(packages):
                    # Nearly all that a silent client costs. At once, and without an event or
                    # another turn of the loop: 6 of 27 us less.
                    self.deliver(_BEAT)
                    if self.disconnect is None:  # else its time is that of its last words
                        self._beat()
                    return
                events = protocol.receive(packages)
            else:
                events = protocol.receive_packages(packages)
        except ProtocolError as error:
            self._refuse(error)
            return
        answer = protocol.data_to_send()
        if answer:  # before the events, so that nothing they cause overtakes the handshake
            self.send(answer)
        if len(events) > 1 and not self._allow(len(events) - 1, self._shared.clock()):
            return  # several packages in one transport message count one by one
        for event in events:
            if isinstance(event, Received):
                self._shared.on_message(self, event.message)
            elif isinstance(event, Heartbeat):
                self._beat()
            elif isinstance(event, HandshakeDone):
                self.user = event.request.user
            elif isinstance(event, HandshakeAsked):
                self._ask(event.request)
            else:
                self._open()
            if self.disconnect is not None:
                return

    def _refuse(self, error: ProtocolError) -> None:
        answer = self._protocol.data_to_send()
        if answer:
            self.send(answer)
        entry = HANDSHAKE_REFUSED if isinstance(error, HandshakeError) else MALFORMED
        self.close(entry.because(str(error)))

    def _ask(self, request: HandshakeRequest) -> None:
        ask = self._shared.on_handshake
        assert ask is not None, "a handshake that asks, and nobody to decide"
        self.user = request.user
        ask(self, request)

    def _open(self) -> None:
        self._opened = True
        if self._shared.silence is None:
            self._shared.wheel.cancel(self)
        else:
            self._beat()
        self._shared.on_open(self)

    def _beat(self) -> None:
        silence = self._shared.silence
        if silence is not None:
            self._shared.wheel.touch(self, self._shared.clock() + silence)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error)
            return
        if data:
            self.receive(data)
        else:
            self._gone(CONNECTION_LOST)

    # The end

    @abstractmethod
    def _farewell(self, disconnect: Disconnect) -> bytes:
        """The transport's own closing bytes; empty where it has none."""

    def _finish(self, disconnect: Disconnect, farewell: bytes) -> None:
        """Sends the last bytes, then waits a moment for the client to close."""
        if farewell:
            self.enqueue(farewell)
        if self.disconnect is not None:  # the socket failed while it was flushed
            return
        self._end(disconnect)
        shared = self._shared
        shared.loop.add_reader(self._socket.fileno(), self._discard)
        linger = _LINGER if self._backlog is None else _BLOCKED_LINGER
        shared.wheel.schedule(self, shared.clock() + linger)
        if self._pending is None and self._backlog is None:
            self._drained()

    def _end(self, disconnect: Disconnect) -> None:
        self.disconnect = disconnect
        self._protocol.close()
        self._shared.counters[disconnect.name] += 1
        logger.debug("= %s %s", self.remote_address, disconnect)
        if self._opened:
            self._shared.loop.call_soon(self._shared.on_close, self, disconnect)

    def _discard(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            self._release()
            return
        if not data:
            self._release()

    def _overflowed(self) -> None:
        self.close(SLOW_READER)

    def _broken(self, error: OSError) -> None:
        self._gone(CONNECTION_LOST.because(error.strerror or str(error)))

    def _drained(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._release()

    def _gone(self, disconnect: Disconnect) -> None:
        if self.disconnect is None:
            self._end(disconnect)
        self._release()

    def _release(self) -> None:
        shared = self._shared
        if self in shared.sockets:
            shared.sockets.discard(self)
            shared.wheel.cancel(self)
            shared.loop.remove_reader(self._socket.fileno())
            self._unblock()
            self._pending = None
            self._socket.close()
