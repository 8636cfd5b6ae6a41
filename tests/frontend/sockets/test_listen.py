"""Listening: the error says which port and who asks."""

from __future__ import annotations

import re
import socket

import pytest

from zchat.errors import ConfigError
from zchat.frontend.sockets.listen import listen


def test_a_free_port_is_the_same_on_every_address() -> None:
    sockets = listen("connector-server-1", "localhost", 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert sockets[0].getsockname()[1] > 0
        assert not any(sock.getblocking() for sock in sockets)
        with socket.create_connection(("127.0.0.1", sockets[0].getsockname()[1])):
            pass
    finally:
        for sock in sockets:
            sock.close()


def test_an_empty_host_is_every_interface() -> None:
    sockets = listen("connector-server-1", "", 0)
    try:
        assert "0.0.0.0" in {sock.getsockname()[0] for sock in sockets}
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", ""])
def test_a_taken_port_is_named_with_who_asks_and_nothing_leaks(host: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = f"connector-server-1 cannot listen on {host or '*'}:{port}: address in use"
        with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
            listen("connector-server-1", host, port)


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("192.0.2.1", "on 192.0.2.1:0: this machine has no such address"),
        ("no-such-host.invalid", "on no-such-host.invalid:0: "),
    ],
)
def test_a_host_that_is_not_here(host: str, text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        listen("gate-server-1", host, 0)
