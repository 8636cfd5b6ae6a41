"""Sessions from anywhere in the cluster: found, kicked, pushed to, set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.application import application
from tests.support.cluster import Cluster
from tests.support.person import Person
from tests.support.signing import H, ending, signed_in
from tests.support.timing import eventually
from zchat import RequestError, Unavailable
from zchat.frontend.session import Session

BOTH = ("connector-server-1", "connector-server-2")


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    app = application(tmp_path, {"connector/handler/h": H, "area/handler/h": H})
    servers = {"gate": 1, "connector": 2, "area": 1}
    async with Cluster(tmp_path, servers, app=app) as cluster:
        area = cluster.running["area-server-1"]
        await eventually(lambda: area.node.rpc_server.peers.keys() >= {*BOTH, "gate-server-1"})
        yield cluster


async def twice(cluster: Cluster) -> tuple[Person, Person]:
    """One person on both connectors."""
    return await signed_in(cluster, "alice", 0), await signed_in(cluster, "alice", 1)


def sessions_of(cluster: Cluster, connector: int = 0) -> list[Session]:
    frontend = cluster.running[BOTH[connector]].frontend
    assert frontend is not None
    return list(frontend.sessions)


@pytest.mark.parametrize("server", ["area-server-1", "connector-server-1", "gate-server-1"])
async def test_a_persons_sessions_are_found_from_everywhere(cluster: Cluster, server: str) -> None:
    await twice(cluster)
    here = cluster.running[server].app.sessions
    found = await here.of("alice")
    assert sorted(session.frontend for session in found) == list(BOTH)
    assert {session.uid for session in found} == {"alice"}
    assert await here.of("bob") == []
    again = await here.get(found[0].ref)
    assert again is not None
    assert again.ref == found[0].ref
    assert await here.get(found[0].ref._replace(session=99)) is None
    assert await here.get(found[0].ref._replace(incarnation="another life")) is None


async def test_a_frontend_knows_those_that_it_holds(cluster: Cluster) -> None:
    await signed_in(cluster, "alice", 0)
    await cluster.connect("nobody yet", 0)
    await signed_in(cluster, "bob", 1)
    await eventually(lambda: len(sessions_of(cluster)) == 2)
    held = cluster.running[BOTH[0]].app.sessions.here()
    assert {(session.frontend, session.uid) for session in held} == {
        (BOTH[0], "alice"),
        (BOTH[0], ""),
    }
    assert cluster.running["area-server-1"].app.sessions.here() == []


async def test_a_found_session_can_be_set_and_kicked(cluster: Cluster) -> None:
    alice, _ = await twice(cluster)
    (session, _) = sorted(
        await cluster.running["area-server-1"].app.sessions.of("alice"), key=lambda s: s.frontend
    )
    session.set("level", 3)
    await session.push()
    assert sessions_of(cluster)[0].settings == {"level": 3}
    await session.kick("enough")
    assert await ending(alice) == "enough"
    with pytest.raises(RequestError, match="is gone"):
        await session.kick("again")


@pytest.mark.parametrize("server", ["area-server-1", "connector-server-1"])
async def test_a_person_is_kicked_wherever_it_is(cluster: Cluster, server: str) -> None:
    alice, also_alice = await twice(cluster)
    bob = await signed_in(cluster, "bob", 0)
    here = cluster.running[server].app.sessions
    assert await here.kick("alice", "banned") == 2
    for person in (alice, also_alice):
        assert await ending(person) == "banned"
    assert await here.kick("alice") == 0
    assert (await bob.request("connector.h.bind", {"uid": "bob"}))["uid"] == "bob"


async def test_one_session_is_kicked_by_its_name(cluster: Cluster) -> None:
    alice, also_alice = await twice(cluster)
    here = cluster.running["area-server-1"].app.sessions
    ref = sessions_of(cluster)[0].ref
    await here.kick_session(ref, "you")
    assert await ending(alice) == "you"
    assert also_alice.client.state.value == "online"
    with pytest.raises(RequestError, match="gone"):
        await here.kick_session(ref)


async def test_a_former_lifes_session_is_not_its_namesake(cluster: Cluster) -> None:
    await signed_in(cluster, "alice", 0)
    session = sessions_of(cluster)[0]
    stale = session.ref._replace(incarnation="0" * 16)
    with pytest.raises(RequestError, match="gone"):
        await cluster.running["area-server-1"].app.sessions.kick_session(stale, "not you")
    assert sessions_of(cluster) == [session]


@pytest.mark.parametrize("server_type", ["connector", "area"])
@pytest.mark.parametrize("body", [{}, {"uid": "alice"}])
async def test_who_kicks_itself_gets_the_answer_first(
    cluster: Cluster, server_type: str, body: dict[str, Any]
) -> None:
    alice = await signed_in(cluster, "alice", 0)
    answer = await alice.request(f"{server_type}.h.kick", {**body, "reason": "bye"})
    assert answer == {"kicked": 1}
    assert await ending(alice) == "bye"


async def test_pushes_reach_people_and_name_who_is_not_there(cluster: Cluster) -> None:
    alice, also_alice = await twice(cluster)
    bob = await signed_in(cluster, "bob", 1)
    for server in cluster.running.values():
        missing = await server.app.push_to(
            ["bob", "eve", "alice", "eve", "bob"], "onNote", {"n": 1}
        )
        assert missing == ["eve"]
        for person in (alice, also_alice, bob):
            assert await person.expect("onNote") == {"n": 1}
    assert await cluster.running["area-server-1"].app.push_to([], "onNote", {}) == []
    with pytest.raises(TypeError):
        await cluster.running["area-server-1"].app.push_to(["bob"], "onNote", {"n": object()})


async def test_a_push_goes_on_without_a_dead_frontend(cluster: Cluster) -> None:
    alice, _ = await twice(cluster)
    await cluster.kill("connector-server-2")
    area = cluster.running["area-server-1"]
    await eventually(lambda: "connector-server-2" not in area.node.rpc_server.peers)
    assert await area.app.push_to(["alice", "bob"], "onNote", {"n": 1}) == ["bob"]
    assert await alice.expect("onNote") == {"n": 1}
    with pytest.raises(Unavailable) as caught:
        await area.app.sessions.kick("alice", "banned")
    assert caught.value.server == "connector-server-2"
    assert await ending(alice) == "banned"


async def test_two_that_set_the_same_do_not_overwrite_each_other(cluster: Cluster) -> None:
    alice = await signed_in(cluster, "alice", 0)
    answers = await asyncio.gather(*(alice.request("area.h.count", {}) for _ in range(8)))
    assert sorted(answer["count"] for answer in answers) == list(range(1, 9))
    assert sum(answer["refused"] for answer in answers) > 0
    assert sessions_of(cluster)[0].settings == {"count": 8}


async def test_a_broadcast_reaches_the_clients_of_a_type(cluster: Cluster) -> None:
    people = [*await twice(cluster), await cluster.connect("nobody yet", 0)]
    heard: list[list[Any]] = [[] for _ in people]
    for person, pushes in zip(people, heard, strict=True):
        person.client.on("onNews", pushes.append)
    await eventually(lambda: len(sessions_of(cluster)) == 2)
    app = cluster.running["area-server-1"].app
    assert await app.broadcast("connector", "onNews", {"n": 1}) == 3
    assert await app.broadcast("connector", "onNews", {"n": 2}, bound=True) == 2
    sessions_of(cluster)[0].push({"level": 3})
    assert await app.broadcast("connector", "onNews", {"n": 3}, where={"level": 3}) == 1
    assert await app.broadcast("gate", "onNews", {"n": 4}) == 0
    assert await app.broadcast("area", "onNews", {"n": 5}) == 0
    await eventually(lambda: sum(len(pushes) for pushes in heard) == 6)
    assert sorted(len(pushes) for pushes in heard) in ([1, 2, 3], [2, 2, 2])
    with pytest.raises(TypeError):
        await app.broadcast("connector", "onNews", object())
