"""From the scheme of a URL to the transport that it names.

    ws, wss     WebSocket
    tcp, tls    packages over TCP

`wss` and `tls` are encrypted. All of them reach the same port of a frontend.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from zchat.client.tcp import TcpTransport
from zchat.client.transport import Transport, WebSocketTransport

MakeTransport = Callable[
    [Callable[[bytes], None], Callable[[int | None, str], None], int], Transport
]
"""Makes a transport from on_message, on_close and limit; see `Transport`."""


def transport_of(url: str, ssl_context: ssl.SSLContext | None = None) -> MakeTransport:
    """What makes the transports for a URL.

    Args:
        ssl_context: by which connections are encrypted; None: the system's authorities are trusted.

    Raises:
        ValueError: no transport has that scheme, or there is no host, or no port where there is no
            usual one.
    """
    parts = urlsplit(url)
    if parts.scheme in ("ws", "wss") and parts.hostname:
        return partial(WebSocketTransport, ssl_context=ssl_context)
    if parts.scheme in ("tcp", "tls") and parts.hostname and parts.port:
        return partial(TcpTransport, ssl_context=ssl_context)
    raise ValueError(f"url {url!r}; expected ws://, wss://, tcp:// or tls://host:port")
