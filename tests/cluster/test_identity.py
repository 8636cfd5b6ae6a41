"""Who a server is to its peers."""

from __future__ import annotations

import pytest

from zchat.cluster.envelope import Hello, Welcome
from zchat.cluster.identity import LocalServer, routing_id
from zchat.errors import ConfigError


def test_names() -> None:
    local = LocalServer("chat-1", "chat", "00ff00ff00ff00ff")
    assert local.routing_id == b"chat-1/00ff00ff00ff00ff" == routing_id("chat-1", local.incarnation)
    assert local.hello(3) == Hello(1, "chat-1", "chat", "00ff00ff00ff00ff", 3)
    assert local.welcome(4) == Welcome(1, "chat-1", "chat", "00ff00ff00ff00ff", 4)


@pytest.mark.parametrize("server_id", ["", "a/b", "a\0b", "x" * 250, "ü" * 130])
def test_ids_that_cannot_be_routing_ids(server_id: str) -> None:
    with pytest.raises(ConfigError):
        LocalServer(server_id, "chat", "0123456789abcdef")


def test_the_longest_id() -> None:
    assert len(LocalServer("x" * 238, "chat", "0123456789abcdef").routing_id) == 255
