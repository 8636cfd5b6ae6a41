"""A project's cluster in one process, as the tests of its author see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zchat.client import Disconnected
from zchat.config.servers import load
from zchat.errors import ConfigError
from zchat.testing.cluster import Cluster

ENTRY = "connector.entryHandler.entry"
ENTER = "connector.entryHandler.enter"
SEND = "chat.chatHandler.send"


def contents(folder: Path) -> dict[Path, bytes]:
    """All files but those that Python's own cache adds."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


async def test_the_servers_of_a_project(project: Path, tmp_path: Path) -> None:
    before = contents(project)
    async with Cluster.of_project(project, tmp_path / "own") as cluster:
        assert list(cluster.running) == ["connector-server-1"]
        ann = await cluster.connect("ann")
        answer = await ann.expect_response(ENTRY)
        assert answer == {"code": 200, "msg": "game server is ok."}
        ports = dict(cluster.running["connector-server-1"].server.ports())
        assert not {3010, 3150} & set(ports.values())
    assert contents(project) == before


async def test_the_environment_is_chosen_as_everywhere(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / "config" / "servers.json"
    lines = json.loads(path.read_text())
    lines["staging"] = {"connector": [{"id": "only-one", "host": "127.0.0.1", "port": 3010}]}
    path.write_text(json.dumps(lines))
    monkeypatch.setenv("ZCHAT_ENV", "staging")
    async with Cluster.of_project(project, tmp_path / "own") as cluster:
        assert list(cluster.running) == ["only-one"]
        assert cluster.running["only-one"].app.environment == "staging"


async def test_the_gate_says_where_to_go(talk: Path, tmp_path: Path) -> None:
    async with Cluster.of_project(talk, tmp_path / "own") as cluster:
        assert len(cluster.running) == 5
        for name in ("ann", "bo", "cy", "dov"):
            await cluster.connect(name)
        gate = cluster.running["gate-server-1"].frontend
        assert gate is not None
        assert await _connections(cluster, "gate-server-1") == 0
        connectors = ("connector-server-1", "connector-server-2")
        assert sum([await _connections(cluster, name) for name in connectors]) == 4


async def _connections(cluster: Cluster, server_id: str) -> int:
    count: int = (await cluster.running[server_id].status())["connections"]
    return count


async def test_a_frontend_may_be_named(talk: Path, tmp_path: Path) -> None:
    async with Cluster.of_project(talk, tmp_path / "own") as cluster:
        await cluster.connect("ann", "connector-server-2")
        assert await _connections(cluster, "connector-server-2") == 1
        expected = (
            "no frontend 'chat-server-1'; there are: "
            "gate-server-1, connector-server-1, connector-server-2"
        )
        with pytest.raises(LookupError, match=expected):
            await cluster.connect("ann", "chat-server-1")


async def test_without_a_frontend_nobody_connects(talk: Path, tmp_path: Path) -> None:
    (talk / "config" / "servers.json").write_text(
        '{"development": {"chat": [{"id": "a", "host": "127.0.0.1", "port": 6050}]}}'
    )
    async with Cluster.of_project(talk, tmp_path / "own") as cluster:
        with pytest.raises(LookupError, match="no server that takes clients"):
            await cluster.connect("ann")


async def test_what_a_killed_server_knew_is_in_the_journal(talk: Path, tmp_path: Path) -> None:
    async with Cluster.of_project(talk, tmp_path / "own") as cluster:
        assert (tmp_path / "own" / "journal.sqlite").exists()
        ann = await cluster.connect("ann")
        await ann.expect_response(ENTER, {"username": "ann", "rid": "pier"})
        first = await ann.expect_response(SEND, {"content": "before", "target": "*"})
        owner = cluster.owner_of("pier")
        await cluster.kill(owner)
        await cluster.start(owner)
        second = await ann.expect_response(SEND, {"content": "after", "target": "*"})
        assert (second["epoch"], second["offset"]) == (first["epoch"], first["offset"] + 1)


async def test_a_server_may_be_added(talk: Path, tmp_path: Path) -> None:
    async with Cluster.of_project(talk, tmp_path / "own") as cluster:
        assert await cluster.add("chat") == "chat-server-3"
        assert cluster.running["connector-server-1"].node.is_up("chat-server-3")
        owners = {cluster.owner_of(f"room{number}") for number in range(100)}
        assert "chat-server-3" in owners
        assert await cluster.add("connector") == "connector-server-3"
        await cluster.connect("ann", "connector-server-3")


async def test_the_journal_may_be_in_memory(talk: Path, tmp_path: Path) -> None:
    path = talk / "config" / "settings.toml"
    path.write_text(path.read_text().replace('#path = "run/journal.sqlite"', 'path = ""'))
    async with Cluster.of_project(talk, tmp_path / "own") as cluster:
        ann = await cluster.connect("ann")
        await ann.expect_response(ENTER, {"username": "ann", "rid": "pier"})
        await ann.expect_response(SEND, {"content": "hello", "target": "*"})
    assert list((tmp_path / "own").rglob("*.sqlite")) == []


async def test_other_files_of_the_configuration_count(project: Path, tmp_path: Path) -> None:
    (project / "config" / "dictionary.json").write_text('["onNews"]')
    async with Cluster.of_project(project, tmp_path / "own") as cluster:
        assert cluster.running["connector-server-1"].dictionary.code("onNews") is not None
        ann = await cluster.connect("ann")
        await ann.expect_response(ENTRY)


async def test_tls_is_for_other_tests(project: Path, tmp_path: Path) -> None:
    path = project / "config" / "settings.toml"
    path.write_text(path.read_text().replace('#certificate = ""', 'certificate = "gone.pem"'))
    async with Cluster.of_project(project, tmp_path / "own") as cluster:
        await cluster.connect("ann")


async def test_clients_are_closed_before_their_servers(project: Path, tmp_path: Path) -> None:
    async with Cluster.of_project(project, tmp_path / "own") as cluster:
        ann = await cluster.connect("ann")
    with pytest.raises(Disconnected):
        await ann.request(ENTRY)
    assert (await ann.expect_end()).reason == "closed by this client"


@pytest.mark.parametrize("name", ["servers.json", "settings.toml"])
async def test_what_is_wrong_with_a_project_is_named(
    project: Path, tmp_path: Path, name: str
) -> None:
    (project / "config" / name).write_text("{")
    with pytest.raises(ConfigError, match=name):
        Cluster.of_project(project, tmp_path / "own")


async def test_the_projects_file_is_not_the_clusters(project: Path, tmp_path: Path) -> None:
    written = load(project / "config" / "servers.json", "development")
    async with Cluster.of_project(project, tmp_path / "own") as cluster:
        own = load(cluster.folder / "config" / "servers.json", "development")
    assert own.of_type("web") == ()
    assert len(written.of_type("web")) == 1
