"""Whether a server can do its work."""

from __future__ import annotations

from typing import Any

import pytest

from zchat.config.topology import Server, Topology
from zchat.framework.server.health import health, needed

NEEDED = {
    server_type: [
        Server(f"{server_type}-{number}", server_type, "127.0.0.1", 1, 2) for number in (1, 2)
    ]
    for server_type in ("chat", "area")
}


@pytest.mark.parametrize(
    ("up", "expected"),
    [
        ({"chat-1", "chat-2", "area-1", "area-2"}, {"status": "ok"}),
        ({"chat-1", "area-1", "area-2"}, {"status": "degraded", "missing": ["chat-2"]}),
        ({"area-1"}, {"status": "waiting", "for": ["chat"]}),
        (set(), {"status": "waiting", "for": ["chat", "area"]}),
    ],
)
def test_who_is_needed_and_not_there(up: set[str], expected: dict[str, Any]) -> None:
    assert health("ok", NEEDED, up.__contains__) == expected


def test_a_server_that_needs_nobody_is_well() -> None:
    assert health("ok", {}, lambda _: False) == {"status": "ok"}


def test_others_do_not_matter_while_it_starts_or_stops() -> None:
    assert health("stopping", NEEDED, lambda _: False) == {"status": "stopping"}


def test_a_frontend_needs_who_is_watched_and_who_owns_channels() -> None:
    everybody = tuple(server for servers in NEEDED.values() for server in servers)
    gate = Server("gate-1", "gate", "127.0.0.1", 1, 2)
    topology = Topology("test", (gate, *everybody))
    chat, area = tuple(NEEDED["chat"]), tuple(NEEDED["area"])
    assert needed(topology, ["area", "nobody"], chat[:1]) == {"area": area, "chat": chat}
    assert needed(topology, [], []) == {}
