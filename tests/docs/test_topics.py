"""Pages of docs/topics/ whose blocks no other test runs: each block, in a cluster where it asks."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import blocks_of, python_of, run
from tests.support.timing import eventually
from zchat import Application, BackendSession, StaleSession
from zchat.chat.app import app as chat
from zchat.config.settings import Settings, load
from zchat.framework.handlers.filters import filters_of
from zchat.framework.sessions.entrance import Told
from zchat.ops.init import SCAFFOLD
from zchat.testing import Cluster, lines_of, quick

logger = logging.getLogger("zchat.app")

ENTER = "connector.entryHandler.enter"
GUEST = """
from zchat import BackendSession, Handler


class GuestHandler(Handler):
    async def come(self, msg: dict[str, str], session: BackendSession) -> None:
        await session.bind(msg["name"])
        session.set("score", 0)
        await session.push()
"""
"""A handler that makes sessions for blocks that are about them."""


def application(folder: Path, remote: str = "") -> Application:
    """One with that handler, and a remote if a page has one."""
    root = folder / "application"
    guest = root / "servers" / "connector" / "handler" / "guest_handler.py"
    guest.parent.mkdir(parents=True)
    guest.write_text(GUEST)
    if remote:
        path = root / "servers" / "chat" / "remote" / "chat_remote.py"
        path.parent.mkdir(parents=True)
        path.write_text(remote)
    app = Application(str(root / "app.py"))
    app._package = f"docs_{folder.name}"
    return app


async def guest(cluster: Cluster, name: str) -> BackendSession:
    """Somebody's session."""
    client = await cluster.connect(name)
    await client.expect_response("connector.guestHandler.come", {"name": name})
    (session,) = await cluster.running["chat-server-1"].app.sessions.of(name)
    return session


async def test_application(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = python_of("application")
    app = (await run(code, __file__=str(tmp_path / "app.py")))["app"]
    lines = lines_of({"connector": 1, "area": 1})
    async with Cluster(app, lines, tmp_path, quick(Settings()), "production") as cluster:
        motds = {name: server.app.get("motd") for name, server in cluster.running.items()}
        assert motds == {"connector-server-1": "be kind", "area-server-1": "welcome"}
    assert "area-server-1 goes while the sky is blue\n" in capsys.readouterr().out


async def test_protobuf(tmp_path: Path) -> None:
    (code,) = python_of("protobuf")
    app = application(tmp_path)
    await run(code, app=app, Application=Application)
    lines = lines_of({"gate": 1, "connector": 1})
    async with Cluster(app, lines, tmp_path, quick(Settings())) as cluster:
        told = {name: server.app.told for name, server in cluster.running.items()}
        brief = Told(heartbeat=0, dictionary=False, protos=False)
        assert told == {"gate-server-1": brief, "connector-server-1": Told()}


async def test_filters() -> None:
    around, errors = python_of("filters")
    names = await run(around, __file__=__file__)
    found = [each.name for each in filters_of(names["RoomHandler"].close)]
    assert found == ["staff_only", "timeout(1)"]
    missing = (await run(errors, __file__=__file__))["missing"]
    assert missing(KeyError("boat"), None, None) == {"code": 404, "error": "no boat"}
    assert missing(ValueError(), None, None) is None


async def test_rpc(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    remote, calls, filters = python_of("rpc")
    app = application(tmp_path, remote)
    caplog.set_level(logging.DEBUG, "zchat.app")
    await run(filters, app=app, time=time, logger=logger)
    lines = lines_of({"connector": 1, "chat": 2})
    async with Cluster(app, lines, tmp_path, quick(Settings())) as cluster:
        session = await guest(cluster, "ann")
        caplog.clear()
        await run(calls, app=cluster.running["connector-server-1"].app, session=session)
    timed = [text for text in caplog.messages if text.startswith("chat.chatRemote.add at ")]
    assert (
        len(timed) == 2 * 6
    )  # to_all is two calls; each is seen where it is made and where it runs


async def test_sessions(tmp_path: Path) -> None:
    bind, settings, again, all_of_them, hooks, single = python_of("sessions")
    app = application(tmp_path)
    await run(hooks, app=app, logger=logger, forget=lambda session, reason: None)
    await run(single, app=app)
    lines = lines_of({"connector": 2, "chat": 1})
    async with Cluster(app, lines, tmp_path, quick(Settings())) as cluster:
        session = await guest(cluster, "ann")
        names: dict[str, Any] = {"session": session, "StaleSession": StaleSession}
        await run(bind, **names)
        await run(bind.splitlines()[0], **names)
        await run(settings, **names)
        await run(again, **names)
        assert session.get("score") == 2
        frontend = cluster.running[session.frontend].app
        other = await guest(cluster, "bo")
        await run(all_of_them, app=frontend, ref=other.ref)
        await eventually(lambda: frontend.sessions.here() == [])


async def test_channels(tmp_path: Path) -> None:
    room, pushes, presence, wish = python_of("channels")
    app = application(tmp_path)
    await run(presence, app=app)
    handler = app.root / "servers" / "connector" / "handler" / "room_handler.py"
    handler.write_text(f"from zchat import BackendSession, Handler, Wish\n\n\n{wish}")
    lines = lines_of({"connector": 2, "chat": 2})
    async with Cluster(app, lines, tmp_path, quick(Settings())) as cluster:
        session = await guest(cluster, "ann")
        names: dict[str, Any] = {"app": cluster.running["chat-server-1"].app, "session": session}
        names = await run(room, **names)
        assert await names["room"].count() == 0
        bo, cy = await cluster.connect("bo"), await cluster.connect("cy")
        route = "connector.roomHandler.enter"
        assert (await bo.expect_response(route, {"name": "bo"}))["people"] == ["bo"]
        different = {"name": "cy", "presence": "diff"}
        assert (await cy.expect_response(route, different))["people"] == ["bo", "cy"]
        assert await bo.expect_push("onJoin") == {"user": "cy"}
        await run(pushes, **names)
        assert (await bo.expect_push("onNews"))["text"] == "restart at noon"
        await bo.close()
        assert await cy.expect_push("onPresence") == {"joined": [], "left": ["bo"]}


async def test_client(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone, in_a_room = python_of("client")
    lines = lines_of({"gate": 1, "connector": 1, "chat": 1})
    async with Cluster(chat, lines, tmp_path, quick(Settings())) as cluster:
        bo = await cluster.connect("bo")
        await bo.expect_response(ENTER, {"username": "bo", "rid": "pier"})
        for code in (alone, in_a_room):
            await run(code.replace("ws://127.0.0.1:3014", cluster.url("gate-server-1")))
        assert (await bo.expect_push("onChat"))["msg"] == "hello"
    said = capsys.readouterr().out
    assert "['cas']" in said
    assert "here are ['bo', 'ann']" in said


def test_settings_of_transports(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    for block in blocks_of("transports", "toml"):
        path.write_text(block)
        assert load(path) != Settings()


def test_the_ini_of_testing_is_what_projects_get() -> None:
    (block,) = blocks_of("testing", "ini")
    assert set(block.splitlines()) <= set((SCAFFOLD / "pytest.ini").read_text().splitlines())
