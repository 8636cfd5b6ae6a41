"""Which URL names which transport."""

from __future__ import annotations

import pytest

from zchat.client.scheme import transport_of
from zchat.client.tcp import TcpTransport
from zchat.client.transport import Transport, WebSocketTransport


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("ws://127.0.0.1:3014", WebSocketTransport),
        ("wss://chat.example/path", WebSocketTransport),
        ("tcp://127.0.0.1:3014", TcpTransport),
        ("tls://[::1]:3014", TcpTransport),
    ],
)
async def test_schemes(url: str, kind: type[Transport]) -> None:
    made = transport_of(url)(lambda data: None, lambda code, reason: None, 1000)
    assert isinstance(made, kind)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1", "tcp://127.0.0.1", "tls://:3014", "ws://", "127.0.0.1:3014", ""]
)
def test_no_transport(url: str) -> None:
    with pytest.raises(ValueError, match="expected ws://, wss://, tcp:// or tls://host:port"):
        transport_of(url)
