"""What backends may order of a frontend's sessions, seen from the wire between servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.application import application
from tests.support.cluster import Cluster
from tests.support.person import Person
from tests.support.signing import H, ending
from tests.support.timing import eventually
from zchat.errors import RequestError
from zchat.framework.server.frontend_part import FrontendPart
from zchat.frontend.session import Session, decode_snapshot

CONNECTOR = "connector-server-1"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    app = application(tmp_path, {"connector/handler/h": H})
    servers = {"gate": 1, "connector": 1, "area": 1}
    async with Cluster(tmp_path, servers, app=app) as cluster:
        area = cluster.running["area-server-1"]
        await eventually(lambda: CONNECTOR in area.node.rpc_server.peers)
        yield cluster


def frontend(cluster: Cluster) -> FrontendPart:
    found = cluster.running[CONNECTOR].frontend
    assert found is not None
    return found


async def somebody(cluster: Cluster) -> tuple[Person, Session]:
    person = await cluster.connect("alice", 0)
    await eventually(lambda: len(frontend(cluster).sessions) == 1)
    return person, next(iter(frontend(cluster).sessions))


async def order(cluster: Cluster, method: str, *args: Any) -> Any:
    """What a worker calls at the connector."""
    return await cluster.running["area-server-1"].node.call(CONNECTOR, f"session.{method}", args)


async def test_settings(cluster: Cluster) -> None:
    _, session = await somebody(cluster)
    set_once = await order(cluster, "push", session.ref, {"a": (0, 1), "b": (0, 2)})
    assert set_once == [True, 1, {"a": 1, "b": 2}]
    assert await order(cluster, "push", session.ref, {"a": (0, 3)}) == [False, 1, {"a": 1, "b": 2}]
    assert await order(cluster, "push", session.ref, {"a": (1, None)}) == [True, 2, {"b": 2}]


async def test_binding(cluster: Cluster) -> None:
    _, session = await somebody(cluster)
    await order(cluster, "bind", session.ref, "alice")
    (found,) = await order(cluster, "of_uid", "alice")
    assert decode_snapshot(found).id == session.id
    with pytest.raises(RequestError, match="already bound to alice"):
        await order(cluster, "bind", session.ref, "bob")
    with pytest.raises(RequestError, match="not bound to bob"):
        await order(cluster, "unbind", session.ref, "bob")
    await order(cluster, "unbind", session.ref, "alice")
    assert await order(cluster, "of_uid", "alice") == []


@pytest.mark.parametrize("method", ["push", "bind", "unbind", "kick", "drop"])
@pytest.mark.parametrize("wrong", [{"session": 99}, {"incarnation": "0" * 16}])
async def test_a_session_that_is_gone(cluster: Cluster, method: str, wrong: dict[str, Any]) -> None:
    _, session = await somebody(cluster)
    ref = session.ref._replace(**wrong)
    argument: Any = {"a": (0, 1)} if method == "push" else "x"
    with pytest.raises(RequestError, match="is gone"):
        await order(cluster, method, ref, argument)
    assert (session.uid, session.settings) == ("", {})
    assert await order(cluster, "get", ref) is None


async def test_a_kick_is_logged_with_its_reason(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    person, session = await somebody(cluster)
    caplog.set_level("INFO", "zchat.session")
    await order(cluster, "bind", session.ref, "alice")
    assert await order(cluster, "kick_uid", "alice", "too loud") == 1
    assert await ending(person) == "too loud"
    assert f"session {session.id} of alice is kicked: too loud" in caplog.text


async def test_leaving_a_channel_without_its_owner_is_no_error(cluster: Cluster) -> None:
    _, session = await somebody(cluster)
    await order(cluster, "drop", session.ref, "lobby")


async def test_a_broadcast_is_for_sessions_with_these_settings(cluster: Cluster) -> None:
    person, session = await somebody(cluster)
    push = cluster.running["area-server-1"].wire.push("onNews", {})
    session.push({"level": 3, "guild": None})
    for where, bound, reached in [
        ({}, False, 1),
        ({"level": 3}, False, 1),
        ({"level": 4}, False, 0),
        ({"guild": None}, False, 0),
        ({}, True, 0),
    ]:
        assert await order(cluster, "broadcast", push, where, bound) == reached
    await order(cluster, "bind", session.ref, "alice")
    heard: list[Any] = []
    person.client.on("onNews", heard.append)
    assert await order(cluster, "broadcast", push, {"level": 3}, True) == 1
    await eventually(lambda: len(heard) >= 1)
