"""Listening sockets, with an error that says which port and who asks for it."""

from __future__ import annotations

import errno
import socket
from typing import Final

from zchat.errors import ConfigError

_BACKLOG: Final = 1024  # clients of a dead neighbour all come at once; the kernel may allow less

_REASONS: Final = {
    errno.EADDRINUSE: "address in use",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "permission denied",
}


def listen(server_id: str, host: str, port: int) -> list[socket.socket]:
    """Binds and listens on every address that `host` stands for, all on one port.

    Args:
        server_id: who asks, for the error.
        host: a name or an address; empty: all interfaces.
        port: 0: any free one.

    Returns:
        non-blocking sockets, at least one.

    Raises:
        ConfigError: "connector-server-1 cannot listen on 127.0.0.1:3050: address in use".
    """
    sockets: list[socket.socket] = []
    try:
        addresses = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in sorted(set(addresses), key=lambda found: found[0]):
            if port == 0 and sockets:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            _add(sockets, family, address, optional=host in ("", "localhost"))
    except OSError as error:
        for sock in sockets:
            sock.close()
        reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
        shown = f"[{host}]" if ":" in host else host or "*"
        raise ConfigError(f"{server_id} cannot listen on {shown}:{port}: {reason}") from error
    return sockets


def _add(
    sockets: list[socket.socket], family: int, address: tuple[object, ...], *, optional: bool
) -> None:
    """Appends a listening socket; an IPv6 one only if there is IPv6, where both will do."""
    if optional and family == socket.AF_INET6 and sockets and not _has_ipv6():
        return
    sock = socket.socket(family, socket.SOCK_STREAM)
    sockets.append(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.setblocking(False)
    sock.bind(address)
    sock.listen(_BACKLOG)


def _has_ipv6() -> bool:
    """Whether ::1 can be bound: containers often have the protocol and none of its addresses."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
