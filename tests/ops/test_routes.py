"""The table of routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ops.project import Project
from tests.support.application import application
from zchat import Application, BackendSession, Filter, Handler, Remote, retry, serial, timeout
from zchat.config.servers import ServersFile
from zchat.config.settings import Settings
from zchat.framework.handlers.filters import Call
from zchat.ops import routes


@Filter
async def audit(call: Call, msg: Any, session: BackendSession) -> Any: ...


class WalkHandler(Handler):
    @retry
    @timeout(2)
    @serial
    async def step(self, msg: Any, session: BackendSession) -> None: ...


class WalkRemote(Remote):
    async def stop(self, uid: str) -> None: ...


@pytest.fixture
def servers(tmp_path: Path) -> ServersFile:
    return ServersFile(Project(tmp_path, "gate", "chat").servers_json, "development")


@pytest.fixture
def app(tmp_path: Path) -> Application:
    places = ("chat/handler/walk_handler", "area/handler/walk_handler")
    parts: dict[str, type] = dict.fromkeys(places, WalkHandler)
    return application(tmp_path, {**parts, "chat/remote/walk_remote": WalkRemote})


def rows(app: Application, servers: ServersFile) -> list[list[str]]:
    """The table without the places."""
    lines = routes.table(app, servers, Settings()).splitlines()
    return [[*line.split()[:2], *line.split()[3:]] for line in lines]


def test_filters_stand_behind_each_handler(app: Application, servers: ServersFile) -> None:
    app.filter(audit)
    assert rows(app, servers) == [
        ["handler", "area.walkHandler.step", "retry", "audit", "timeout(2)", "serial"],
        ["handler", "chat.walkHandler.step", "retry", "audit", "timeout(2)", "serial"],
        ["remote", "chat.walkRemote.stop"],
    ]


def test_so_do_those_that_are_configured_for_its_server(
    app: Application, servers: ServersFile
) -> None:
    made: list[object] = []

    @app.configure
    def configure(here: Application) -> None:
        here.add(made.append)
        if here.server.type == "chat":
            here.filter(timeout(here.settings.cluster.request_deadline))

    table = rows(app, servers)
    assert table[0][2:] == ["retry", "timeout(2)", "serial"]
    assert table[1][2:] == ["retry", "timeout(5)", "timeout(2)", "serial"]
    assert made == [], "components are made by servers that run"


def test_a_server_that_is_looked_at_is_not_at_work(app: Application, servers: ServersFile) -> None:
    app.configure(lambda here: print(here.channels))
    with pytest.raises(RuntimeError, match="not at work while it is configured"):
        rows(app, servers)
