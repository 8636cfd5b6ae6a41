"""A client connection over TCP: packages one behind the other, cut anywhere (pomelo wire 5.3)."""

from __future__ import annotations

import socket

from zchat.frontend.sockets.connection import Connection
from zchat.frontend.sockets.connections import Connections
from zchat.frontend.sockets.disconnect import MALFORMED, MESSAGE_TOO_BIG, Disconnect
from zchat.protocol.package import PackageDecoder, PackageTooBig


class TcpConnection(Connection):
    """A `Connection` on which packages have nothing around them.

    What is enqueued for many is made of WebSocket frames: their headers are taken off here, once
    for all members on TCP that are handed the same bytes. There is no closing handshake and no
    close code, so a kick package says the code.
    """

    __slots__ = ("_decoder",)

    says_close_code = False

    def __init__(
        self,
        shared: Connections[Connection],
        sock: socket.socket,
        *,
        remote_address: str,
        deadline: float,
    ) -> None:
        self._decoder = PackageDecoder(shared.handshake.limit)
        super().__init__(
            shared, sock, remote_address=remote_address, host=_host(sock), deadline=deadline
        )

    def enqueue(self, data: bytes) -> None:
        """Sends what whole WebSocket frames hold."""
        super().enqueue(self._shared.unframed(data))

    def deliver(self, data: bytes) -> None:
        """As `enqueue`, at once if nothing waits before it."""
        super().deliver(self._shared.unframed(data))

    def defer(self, data: bytes) -> None:
        """As `enqueue`, behind what others get."""
        super().defer(self._shared.unframed(data))

    def send(self, packages: bytes) -> None:
        """Sends packages when this loop turn ends."""
        super().enqueue(packages)

    def _read(self, data: bytes, now: float) -> None:
        decoder = self._decoder
        packages = decoder.feed(data)
        if packages and not self._allow(len(packages), now):
            return
        for item in packages:  # one by one: what came whole before bad bytes is handled (5.4)
            self._handle((item,))
            if self.disconnect is not None:
                return
        if decoder.error is not None:
            too_big = isinstance(decoder.error, PackageTooBig)
            entry = MESSAGE_TOO_BIG if too_big else MALFORMED
            self.close(entry.because(str(decoder.error)))

    def _farewell(self, disconnect: Disconnect) -> bytes:
        return b""


def _host(sock: socket.socket) -> str:
    """The address that the client reached, as in a URL: it names none."""
    try:
        host = str(sock.getsockname()[0])
    except OSError:  # it has gone; reading says so
        return ""
    return f"[{host}]" if ":" in host else host
