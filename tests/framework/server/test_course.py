"""In which order a server starts and stops, and what an application does at that."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import cast

import pytest

from tests.support.cluster import FAST, Cluster
from tests.support.logs import ExpectedLogs
from tests.support.timing import MS
from zchat import Application, Component
from zchat.config.servers import ServersFile
from zchat.errors import StartError
from zchat.framework.server.running import Running


def made(cluster: Cluster, app: Application) -> Running:
    """A worker that is not started."""
    servers = ServersFile(cluster.folder / "config" / "servers.json", "development")
    return Running(app, servers, "chat-server-1", FAST, cluster.folder)


@pytest.fixture
def alone(tmp_path: Path) -> Cluster:
    """A cluster of which nothing runs."""
    return Cluster(tmp_path, {"chat": 1})


class Board(Component):
    """Says what happens to it."""

    async def start(self) -> None:
        self.note("starts")

    async def after_start(self) -> None:
        self.note("after start")

    async def stop(self) -> None:
        self.note("stops")

    def note(self, what: str) -> None:
        running = cast(Running, self.app._work)
        self.app.get("notes").append(f"board {what}, {running.health()['status']}")


@pytest.fixture
def noting(tmp_path: Path) -> tuple[Application, list[str]]:
    """An application that says what happens, and what it has said."""
    notes: list[str] = []
    app = Application(str(tmp_path / "app.py"))
    app.set("notes", notes)
    app.add(Board)

    @app.before_start
    async def prepare(app: Application) -> None:
        notes.append(f"before start of {app.server.id}")

    @app.after_start
    def greet(app: Application) -> None:
        assert app.component(Board) in app.components
        notes.append("after start")

    @app.before_stop
    async def finish(app: Application) -> None:
        await asyncio.sleep(0.01)
        notes.append("before stop")

    return app, notes


async def test_hooks_and_components_have_their_turn(
    tmp_path: Path, noting: tuple[Application, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    app, notes = noting
    async with Cluster(tmp_path, {"connector": 1}, app=app):
        assert notes == [
            "before start of connector-server-1",
            "board starts, starting",
            "board after start, starting",
            "after start",
        ]
        notes.clear()
    assert notes == ["before stop", "board stops, stopping"]


async def test_start_and_stop_are_printed_lists(
    tmp_path: Path, noting: tuple[Application, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "zchat.admin")
    async with Cluster(tmp_path, {"connector": 1, "chat": 1}, app=noting[0]) as cluster:
        await cluster.stop("connector-server-1")
        await cluster.stop("chat-server-1")
    said = [text for text in caplog.messages if re.match(r"(starting|stopping) \d/\d", text)]
    hooks = "noting.<locals>."
    assert said == [
        f"starting 1/7 before_start {hooks}prepare",
        "starting 2/7 peers",
        "starting 3/7 rooms",
        "starting 4/7 timers",
        "starting 5/7 component Board",
        "starting 6/7 after_start of Board",
        f"starting 7/7 after_start {hooks}greet",
        f"starting 1/7 before_start {hooks}prepare",
        "starting 2/7 peers",
        "starting 3/7 timers",
        "starting 4/7 component Board",
        "starting 5/7 clients",
        "starting 6/7 after_start of Board",
        f"starting 7/7 after_start {hooks}greet",
        f"stopping 1/7 before_stop {hooks}finish",
        "stopping 2/7 new requests",
        "stopping 3/7 clients",
        "stopping 4/7 requests under way",
        "stopping 5/7 component Board",
        "stopping 6/7 timers",
        "stopping 7/7 peers",
        f"stopping 1/7 before_stop {hooks}finish",
        "stopping 2/7 new requests",
        "stopping 3/7 requests under way",
        "stopping 4/7 component Board",
        "stopping 5/7 timers",
        "stopping 6/7 peers",
        "stopping 7/7 rooms",
    ]


@pytest.mark.parametrize("moment", ["before_start", "after_start"])
async def test_a_hook_that_fails_stops_what_was_started(
    alone: Cluster, noting: tuple[Application, list[str]], moment: str, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.admin", f"{moment} .*fail cannot start")
    app, notes = noting

    def fail(app: Application) -> None:
        raise KeyError("x")

    getattr(app, moment)(fail)
    with pytest.raises(StartError, match=rf"chat-server-1: {moment} .*fail cannot start: KeyError"):
        await made(alone, app).start()
    stopped = "board stops, stopping"
    assert notes[-1] == (stopped if moment == "after_start" else "before start of chat-server-1")
    assert "before stop" not in notes
    await alone.start("chat-server-1")  # its ports are free again
    await alone.stop("chat-server-1")


async def test_a_hook_that_does_not_end_does_not_keep_a_server(
    alone: Cluster,
    noting: tuple[Application, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    expected_logs: ExpectedLogs,
) -> None:
    expected_logs("zchat.admin", "before_stop .*hang could not stop")
    monkeypatch.setattr("zchat.framework.server.course._LEAST_DRAIN", 200 * MS)
    app, notes = noting

    @app.before_stop
    async def hang(app: Application) -> None:
        await asyncio.Event().wait()

    running = made(alone, app)
    await running.start()
    await running.stop()
    assert notes[-2:] == ["before stop", "board stops, stopping"]


async def test_who_is_killed_has_no_time_for_hooks(
    tmp_path: Path, noting: tuple[Application, list[str]]
) -> None:
    app, notes = noting
    async with Cluster(tmp_path, {"chat": 1}, app=app) as cluster:
        await cluster.running.pop("chat-server-1").stop(0)
    assert "before stop" not in notes
