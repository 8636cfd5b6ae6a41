"""The servers as values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zchat.config.topology import Changes, Server, Topology, diff
from zchat.errors import ConfigError

CHAT = Server("chat-1", "chat", "10.0.0.1", 6050, 16050)
CHAT_2 = replace(CHAT, id="chat-2", port=6051, pub_port=16051)
GATE = Server("gate-1", "gate", "::1", 23014, 13014, client_port=3014, frontend=True)
TOPOLOGY = Topology("development", (CHAT, GATE, CHAT_2))


def test_addresses_as_zeromq_writes_them() -> None:
    assert CHAT.router_address == "tcp://10.0.0.1:6050"
    assert CHAT.pub_address == "tcp://10.0.0.1:16050"
    assert GATE.router_address == "tcp://[::1]:23014"
    assert GATE.pub_address == "tcp://[::1]:13014"


def test_ports_say_what_they_are_for() -> None:
    assert list(GATE.ports()) == [("clients", 3014), ("ROUTER", 23014), ("XPUB", 13014)]
    assert list(CHAT.ports()) == [("ROUTER", 6050), ("XPUB", 16050)]


def test_look_up() -> None:
    assert TOPOLOGY.get("gate-1") is GATE
    assert "gate-1" in TOPOLOGY
    assert "gate-2" not in TOPOLOGY
    assert TOPOLOGY.of_type("chat") == (CHAT, CHAT_2)
    assert TOPOLOGY.of_type("none") == ()
    assert TOPOLOGY.of_type("chat") is TOPOLOGY.of_type("chat")
    assert TOPOLOGY.types == ("chat", "gate")
    assert TOPOLOGY.frontends == (GATE,)


def test_an_unknown_id_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ConfigError) as caught:
        TOPOLOGY.get("chat-3")
    assert str(caught.value) == (
        'no server "chat-3" in environment development; known: chat-1, gate-1, chat-2'
    )


def test_a_server_with_application_keys_can_be_in_a_set() -> None:
    assert len({CHAT, replace(CHAT, extra={"region": ["eu"]})}) == 2


def test_diff() -> None:
    moved = replace(CHAT, host="10.0.0.2")
    new = replace(CHAT_2, id="chat-3")
    changes = diff(TOPOLOGY, replace(TOPOLOGY, servers=(moved, GATE, new)))
    assert changes == Changes(added=(new,), removed=(CHAT_2,), changed=(moved,))
    assert changes


def test_order_warnings_and_supervisor_options_are_no_change() -> None:
    same = (CHAT_2, replace(GATE, supervisor={"priority": "1"}), CHAT)
    assert not diff(TOPOLOGY, Topology("development", same, ("careful",)))
