"""Servers in one process: which, on which ports, and how they come and go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.timing import eventually
from zchat.chat.app import app as chat
from zchat.client import Client
from zchat.config.servers import load
from zchat.config.settings import Settings
from zchat.errors import ConfigError, StartError
from zchat.testing.servers import Servers, lines_like, lines_of, quick

FIGURES = quick(Settings())


def servers(folder: Path, **counts: int) -> Servers:
    return Servers(chat, lines_of(counts), folder, FIGURES)


def topology_of(folder: Path, lines: dict[str, list[dict[str, Any]]]) -> Any:
    path = folder / "servers.json"
    path.write_text(json.dumps({"development": lines}))
    return load(path, "development")


# servers.json


def test_so_many_of_each_type(tmp_path: Path) -> None:
    topology = topology_of(tmp_path, {"web": [], **lines_of({"connector": 2, "chat": 1})})
    ids = ["connector-server-1", "connector-server-2", "chat-server-1"]
    assert [server.id for server in topology.servers] == ids
    assert [server.frontend for server in topology.servers] == [True, True, False]
    assert {server.host for server in topology.servers} == {"127.0.0.1"}


def test_a_projects_servers_on_other_ports(tmp_path: Path) -> None:
    door = {"id": "door-a", "host": "10.0.0.1", "port": 4000, "clientPort": 4001, "zone": 3}
    lines = {
        "door": [{**door, "frontend": True, "max-connections": 9, "clientHost": "example.org"}],
        "area": [{"id": "area-a", "host": "10.0.0.2", "port": 6050, "size": [1, 2]}],
    }
    written = topology_of(tmp_path, lines)
    found = topology_of(tmp_path, {"web": [], **lines_like(written)})
    door_a, area_a = found.servers  # and no page
    assert (door_a.id, door_a.type, door_a.frontend) == ("door-a", "door", True)
    assert (door_a.max_connections, door_a.extra) == (9, {"zone": 3})
    assert (door_a.host, door_a.client_host) == ("127.0.0.1", None)
    assert door_a.client_port != 4001
    assert (area_a.id, area_a.frontend, area_a.extra) == ("area-a", False, {"size": [1, 2]})
    assert area_a.port != 6050


def test_a_further_server_is_like_the_first_of_its_type(tmp_path: Path) -> None:
    lines = lines_of({"door": 1, "chat": 1})
    lines["door"][0] |= {"frontend": True, "clientPort": 4001, "zone": 3}
    cluster = Servers(chat, lines, tmp_path, FIGURES)
    assert [cluster.list_server(kind) for kind in ("door", "chat", "gate", "area")] == [
        "door-server-2",
        "chat-server-2",
        "gate-server-1",
        "area-server-1",
    ]
    topology = load(tmp_path / "config" / "servers.json", "development")
    door = topology.get("door-server-2")
    assert (door.frontend, door.extra) == (True, {"zone": 3})
    assert door.client_port not in (None, 4001)
    frontends = [server.id for server in topology.frontends]
    assert frontends == ["door-server-1", "door-server-2", "gate-server-1"]


def test_ids_are_unique(tmp_path: Path) -> None:
    cluster = servers(tmp_path, chat=2)
    cluster.unlist("chat-server-1")
    assert cluster.list_server("chat") == "chat-server-1"
    assert cluster.list_server("chat") == "chat-server-3"
    assert sorted(cluster.listed) == ["chat-server-1", "chat-server-2", "chat-server-3"]


def test_no_test_waits_for_settings() -> None:
    assert FIGURES.client.listen == "127.0.0.1"
    assert FIGURES.cluster.drain == 0
    assert 0 < FIGURES.rooms.grace < Settings().rooms.grace
    assert FIGURES.limits == Settings().limits


# Starting and stopping


async def test_all_start_and_find_each_other(tmp_path: Path) -> None:
    async with servers(tmp_path, gate=1, connector=2, chat=2) as cluster:
        assert sorted(cluster.running) == sorted(cluster.listed)
        healths = {name: r.health()["status"] for name, r in cluster.running.items()}
        assert set(healths.values()) == {"ok"}, healths
        assert cluster.owner_of("lobby") in ("chat-server-1", "chat-server-2")
    assert cluster.running == {}


async def test_frontends_may_be_alone(tmp_path: Path) -> None:
    async with servers(tmp_path, connector=1) as cluster:
        with pytest.raises(LookupError, match="nobody owns 'lobby'"):
            cluster.owner_of("lobby")


async def test_when_one_cannot_start_the_others_stop(tmp_path: Path) -> None:
    connector, other = lines_of({"connector": 1}), lines_of({"chat": 1})
    twin = Servers(chat, {**connector, **other}, tmp_path / "twin", FIGURES)
    async with Servers(chat, connector, tmp_path, FIGURES):
        with pytest.raises(StartError, match="Address already in use"):
            async with twin:
                pass
        assert twin.running == {}


async def test_what_is_not_listed_does_not_start(tmp_path: Path) -> None:
    cluster = servers(tmp_path, chat=1)
    with pytest.raises(ConfigError, match='no server "nobody"'):
        await cluster.start("nobody")


async def test_a_killed_server_says_no_goodbye_and_comes_back(tmp_path: Path) -> None:
    async with servers(tmp_path, connector=1, chat=1) as cluster:
        url = f"ws://127.0.0.1:{cluster.running['connector-server-1'].server.client_port}"
        client = Client(url, reconnect=False)
        await client.start()
        await cluster.kill("connector-server-1")
        assert list(cluster.running) == ["chat-server-1"]
        await eventually(lambda: client.state.value == "offline")
        await cluster.start("connector-server-1")
        await cluster.settled()
        async with Client(url):
            pass
