"""Servers that die, come back, are added and taken out, while people talk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.person import Person
from tests.support.timing import MS, eventually


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path) as cluster:
        yield cluster


async def says_until_heard(speaker: Person, text: str, listener: Person) -> None:
    """Say something as often as it takes: a worker that starts again has a moment of silence."""
    for _ in range(50):
        answer = await speaker.say(text)
        if answer == {}:
            await eventually(lambda: text in listener.texts)
            return
        assert answer["code"] == 503, answer
    raise AssertionError("never said")


async def test_a_worker_that_starts_again_has_its_members(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    bob = await cluster.enter("bob", "lobby", connector=1)
    await alice.say("before")
    await bob.heard(1)
    owner = cluster.owner_of("lobby")
    await cluster.kill(owner)
    await cluster.start(owner)
    await says_until_heard(alice, "after", bob)
    await says_until_heard(bob, "me too", alice)
    carol = await cluster.connect("carol", connector=0)
    assert sorted(await carol.enter("lobby")) == ["alice", "bob", "carol"]
    assert await bob.expect("onAdd") == {"route": "onAdd", "user": "carol"}
    assert (alice.pushes["onLeave"], bob.pushes["onLeave"]) == ([], [])
    assert [push["user"] for push in alice.pushes["onAdd"]] == ["bob", "carol"]


async def test_names_stay_taken_while_a_worker_starts_again(cluster: Cluster) -> None:
    await cluster.enter("alice", "lobby", connector=0)
    owner = cluster.owner_of("lobby")
    await cluster.kill(owner)
    await cluster.start(owner)
    other = await cluster.connect("alice", connector=1)
    answer = await other.request(
        "connector.entryHandler.enter", {"username": "alice", "rid": "lobby"}
    )
    assert answer == {"code": 500, "error": True}


async def test_requests_wait_for_a_worker_that_starts_again(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby")
    owner = cluster.owner_of("lobby")
    await cluster.kill(owner)
    said = alice.client.request("chat.chatHandler.send", {"content": "wait", "target": "*"})
    await cluster.start(owner)
    assert await said == {}
    assert await alice.heard(1) == ["wait"]


async def test_members_of_a_dead_connector_leave_after_the_grace(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    await cluster.enter("bob", "lobby", connector=1)
    await alice.expect("onAdd")
    await cluster.kill("connector-server-2")
    assert await alice.expect("onLeave", 5000 * MS) == {"route": "onLeave", "user": "bob"}
    again = await cluster.connect("bob", connector=0)
    assert await again.enter("lobby") == ["alice", "bob"]


async def test_clients_of_a_dead_connector_come_back_through_the_gate(cluster: Cluster) -> None:
    alice = await cluster.connect("alice", log_in=enter_lobby)
    bob = await cluster.connect("bob", log_in=enter_lobby)
    for connector in ("connector-server-1", "connector-server-2"):
        await cluster.kill(connector)
        await cluster.start(connector)
    await eventually(lambda: alice.client.state.value == bob.client.state.value == "online")
    await says_until_heard(alice, "back", bob)


async def enter_lobby(client: object) -> None:
    """Log in after each connect, as a page would; a name still taken is tried again."""
    answer = await client.request(  # type: ignore[attr-defined]
        "connector.entryHandler.enter",
        {"username": client.uid, "rid": "lobby"},  # type: ignore[attr-defined]
    )
    if "users" not in answer:
        from zchat import Unavailable

        raise Unavailable("still taken")


async def test_a_new_worker_takes_over_rooms_with_their_people(cluster: Cluster) -> None:
    rooms = [f"room{number}" for number in range(20)]
    before = {room: cluster.owner_of(room) for room in rooms}
    people = {
        room: [await cluster.enter(f"{room}a", room, 0), await cluster.enter(f"{room}b", room, 1)]
        for room in rooms
    }
    added = cluster.list_server("chat")
    await cluster.start(added)
    await cluster.settled()
    moved = [room for room in rooms if cluster.owner_of(room) != before[room]]
    assert moved
    assert all(cluster.owner_of(room) == added for room in moved)
    for room, (one, two) in people.items():
        await says_until_heard(one, "still here", two)
        assert sorted(await (await cluster.connect("new", 0)).enter(room)) == sorted(
            ["new", one.name, two.name]
        )
        assert one.pushes["onLeave"] == two.pushes["onLeave"] == []


async def test_a_worker_taken_out_hands_its_rooms_over(cluster: Cluster) -> None:
    room = cluster.rooms_of("chat-server-2", 1)[0]
    alice = await cluster.enter("alice", room, 0)
    bob = await cluster.enter("bob", room, 1)
    cluster.unlist("chat-server-2")
    await eventually(
        lambda: all(
            r.ring().workers == {"chat-server-1"}
            for r in cluster.running.values()
            if r.server.id != "chat-server-2"
        )
    )
    await cluster.stop("chat-server-2")
    await says_until_heard(alice, "moved", bob)
    assert alice.pushes["onLeave"] == bob.pushes["onLeave"] == []


async def test_a_new_connector_gets_people(cluster: Cluster) -> None:
    added = cluster.list_server("connector")
    running = await cluster.start(added)
    gate = cluster.running["gate-server-1"]
    await eventually(lambda: gate.node.is_up(added))
    for number in range(30):
        await cluster.enter(f"person{number}", "lobby")
    assert running.frontend is not None
    assert len(running.frontend.sessions) > 0


async def test_stopping_is_told_and_idempotent(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    running = cluster.running["connector-server-1"]
    await cluster.stop("connector-server-1")
    await running.stop()
    await eventually(lambda: alice.client.state.value == "reconnecting")
