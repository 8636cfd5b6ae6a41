"""TLS: sockets that encrypt and otherwise behave as plain ones, and the certificate they use.

A `TlsSocket` takes a plain socket's place in a connection: the same reader, the same outbox with
its bound, the same end. Two habits of OpenSSL make that right. It reads a record at a time and
leaves the rest in the kernel, so a `recv` with room for a whole record (16 KiB) leaves nothing
behind that the event loop would not tell of. And a `send` that would block wants the same bytes
again, with which a backlog begins until they are sent.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zchat.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

logger = logging.getLogger("zchat.admin")

_POLL: Final = 1.0  # seconds between two looks at the files
_WANTS: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsSocket(ssl.SSLSocket):
    """A server's end. Where a plain socket would block it raises BlockingIOError too."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As a plain socket's; give it room for 16 KiB, or more is there than `select` knows."""
        try:
            return super().recv(buflen, flags)
        except _WANTS:
            raise BlockingIOError from None

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """As `recv`."""
        try:
            return super().recv_into(buffer, nbytes, flags)
        except _WANTS:
            raise BlockingIOError from None

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """As a plain socket's; after it would block, the same bytes have to come first."""
        try:
            return super().send(data, flags)
        except _WANTS:
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """Says that nothing follows, in TLS and in TCP. What still arrives is not decrypted."""
        with contextlib.suppress(OSError, ValueError):  # the client need not answer
            self.unwrap()
        super().shutdown(how)


class Certificate:
    """The certificate of the clients' port, read again when its files change.

    Connections that are up keep what they were made with. A new file that cannot be used is logged
    and the old certificate kept.

    Args:
        certificate: PEM: this server's certificate, and those between it and its authority.
        key: PEM: its private key, without a pass phrase; None: it is in the same file.

    Raises:
        ConfigError: it cannot be used; the text names the file.
    """

    def __init__(self, certificate: Path, key: Path | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._next_look = 0.0
        self._stamp = self._look()
        self._context = self._load()

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """A TLS socket in place of a plain one, which is used up; its handshake is to be done.

        Raises:
            OSError: the client has gone.
        """
        return self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def tick(self, now: float) -> None:
        """Looks at the files, once a second however often it is called."""
        if now < self._next_look:
            return
        self._next_look = now + _POLL
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp  # taken before the files are read: what changes after it is seen
        try:
            self._context = self._load()
        except ConfigError as error:
            logger.error("%s; the certificate that was read before is kept", error)
        else:
            logger.info("certificate %s was read again", self._certificate)

    def _look(self) -> list[tuple[int, int, int]]:
        """What changes when a file does; a link's target counts, as tools replace that."""
        found = []
        for path in (self._certificate, self._key or self._certificate):
            with contextlib.suppress(OSError):
                about = path.stat()
                found.append((about.st_mtime_ns, about.st_size, about.st_ino))
        return found

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # a `send` must not have to wait for a `recv`
        context.sslsocket_class = TlsSocket
        for path in (self._certificate, self._key or self._certificate):
            if not path.is_file():
                raise ConfigError(f"{path}: no such file; [client] in settings.toml names it")
        try:
            # Without a password, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            files = self._certificate if self._key is None else f"{self._certificate}, {self._key}"
            raise ConfigError(f"{files}: no certificate with its key in PEM: {reason}") from error
        return context
