"""What an application hears of other servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.timing import eventually
from zchat import Application
from zchat.config.topology import Server


@pytest.fixture
def app(tmp_path: Path) -> Application:
    app = Application(str(tmp_path / "app.py"))
    app.watch("gate", "connector")
    return app


async def test_the_hook_for_all_started_is_called_once_by_each(
    tmp_path: Path, app: Application
) -> None:
    called: list[str] = []

    @app.after_all_started
    def note(app: Application) -> None:
        called.append(app.server.id)

    cluster = Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 2}, app=app)
    first = ["chat-server-2", "connector-server-1", "gate-server-1"]
    try:
        for server_id in first:
            await cluster.start(server_id)
        asker = cluster.running["gate-server-1"]._neighbours._gathering
        await eventually(lambda: len(asker._started) == 3)
        assert called == [], "one is missing"
        await cluster.start("chat-server-1")
        await eventually(lambda: sorted(called) == sorted([*first, "chat-server-1"]))
        for running in cluster.running.values():
            running._poll()
            assert running._neighbours._gathered
        assert len(called) == 4
    finally:
        await cluster.stop_all()


async def test_hooks_hear_of_servers_that_come_and_go(tmp_path: Path, app: Application) -> None:
    heard: list[tuple[str, str, str]] = []

    @app.on_server_added
    async def added(app: Application, server: Server) -> None:
        assert server in app.servers(server.type)
        heard.append((app.server.id, "added", server.id))

    def removed(app: Application, server: Server) -> None:
        assert server not in app.servers(server.type)
        heard.append((app.server.id, "removed", server.id))

    app.on_server_removed(removed, types="gate")
    async with Cluster(tmp_path, {"gate": 1, "chat": 1}, app=app) as cluster:
        new = cluster.list_server("chat")
        await eventually(
            lambda: (
                sorted(heard) == [("chat-server-1", "added", new), ("gate-server-1", "added", new)]
            )
        )
        cluster.unlist(new)
        await eventually(lambda: heard[-1] == ("gate-server-1", "removed", new))
        assert len(heard) == 3


async def test_the_least_loaded_connector_is_found_out(tmp_path: Path, app: Application) -> None:
    async with Cluster(tmp_path, {"gate": 1, "connector": 2}, app=app) as cluster:
        for name in ("alice", "bob", "carol"):
            await cluster.connect(name, connector=0)
        gate = cluster.running["gate-server-1"]
        at_gate = gate.app
        connectors = at_gate.servers("connector", alive=True)
        assert at_gate.least_loaded(connectors) is connectors[0], "nothing is known yet"
        await eventually(lambda: gate.loads.of("connector-server-1") == 3)
        chosen = [at_gate.least_loaded(connectors) for _ in range(4)]
        assert [server.id for server in chosen if server] == ["connector-server-2"] * 3 + [
            "connector-server-1"
        ]
        assert at_gate.least_loaded([]) is None


async def test_a_server_that_is_away_is_chosen_only_if_all_are(
    tmp_path: Path, app: Application
) -> None:
    async with Cluster(tmp_path, {"gate": 1, "connector": 2}, app=app) as cluster:
        at_gate = cluster.running["gate-server-1"].app
        connectors = at_gate.servers("connector")
        await cluster.kill("connector-server-1")
        await eventually(lambda: not at_gate.servers("connector", alive=True)[1:])
        chosen = [at_gate.least_loaded(connectors) for _ in range(3)]
        assert {server.id for server in chosen if server} == {"connector-server-2"}
        await cluster.kill("connector-server-2")
        await eventually(lambda: not at_gate.servers("connector", alive=True))
        assert at_gate.least_loaded(connectors) in connectors
