"""Servers that die, come back, are added and taken out, while people talk."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import FAST, Cluster
from tests.support.logs import ExpectedLogs
from tests.support.person import Person
from tests.support.timing import MS, eventually
from zchat import Application
from zchat.chat.app import app as chat
from zchat.cluster.curve import create_keys
from zchat.config.servers import ServersFile
from zchat.errors import ConfigError, StartError
from zchat.framework.server.running import Running


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path) as cluster:
        yield cluster


async def says_until_heard(speaker: Person, text: str, listener: Person) -> None:
    """Say something as often as it takes: a worker that starts again has a moment of silence."""
    for _ in range(50):
        answer = await speaker.say(text)
        if "offset" in answer:
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
    assert "offset" in await said
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
    await eventually(lambda: "online" not in (alice.client.state.value, bob.client.state.value))
    for connector in ("connector-server-1", "connector-server-2"):
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


async def test_a_connector_that_drains_gets_nobody_any_more(tmp_path: Path) -> None:
    settings = replace(FAST, cluster=replace(FAST.cluster, drain=2000 * MS))
    async with Cluster(tmp_path, settings=settings) as cluster:
        person = await cluster.connect("stays", connector=0, reconnect=False)
        gate = cluster.running["gate-server-1"]
        draining = cluster.running.pop("connector-server-1")
        stopping = asyncio.create_task(draining.stop())
        await eventually(lambda: not gate.node.is_alive("connector-server-1"))
        for number in range(10):
            await cluster.enter(f"new{number}", "lobby")
        second = cluster.running["connector-server-2"].frontend
        assert second is not None
        assert len(second.sessions) == 10
        await person.close()
        await stopping


async def test_status_has_the_counters_of_all_queues(cluster: Cluster) -> None:
    connector = cluster.running["connector-server-1"]
    alice = await cluster.enter("alice", "lobby", connector=0)
    await alice.say("hello")
    counters = (await connector.status())["counters"]
    assert (counters["forwarded"], counters["local"]) == (1, 1)
    assert "pipe_refused" not in counters
    connector.node.client.peers["chat-server-1"].pipe.refused += 2
    connector.node.refused += 1
    counters = (await connector.status())["counters"]
    assert (counters["pipe_refused"], counters["requests_refused"]) == (2, 1)


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


SLOW_HANDLER = """
from zchat import Handler, retry


class SlowHandler(Handler):
    async def wait(self, msg, session):
        self.app.begun.append(msg["n"])
        await self.app.release.wait()
        return {"n": msg["n"]}

    @retry
    async def again(self, msg, session):
        return await self.wait(msg, session)
"""


@pytest.fixture
def slow_app(tmp_path: Path) -> Any:
    """An application whose handlers wait until `release` is set."""
    handlers = tmp_path / "servers" / "chat" / "handler"
    handlers.mkdir(parents=True)
    (handlers / "slow_handler.py").write_text(SLOW_HANDLER)
    app: Any = Application(str(tmp_path / "app.py"))
    app._package = f"slow_{tmp_path.name}"
    app.begun, app.release = [], asyncio.Event()
    return app


async def test_a_server_that_stops_finishes_what_it_began_and_begins_nothing(
    tmp_path: Path, slow_app: Any
) -> None:
    settings = replace(FAST, cluster=replace(FAST.cluster, drain=20.0))
    servers = {"connector": 1, "chat": 1}
    async with Cluster(tmp_path, servers, app=slow_app, settings=settings) as cluster:
        alice = await cluster.connect("alice", connector=0)

        def ask(method: str, number: int) -> asyncio.Task[dict[str, Any]]:
            request = alice.client.request(f"chat.slowHandler.{method}", {"n": number})
            return asyncio.ensure_future(request)

        under_way = ask("wait", 1)
        await eventually(lambda: slow_app.begun == [1])
        stopping = asyncio.ensure_future(cluster.stop("chat-server-1"))
        await asyncio.sleep(0)
        refused = await ask("wait", 2)
        assert (refused["code"], refused["retry"]) == (503, True)
        sent_again = ask("again", 3)
        await alice.client.notify("chat.slowHandler.wait", {"n": 4})
        assert not stopping.done()
        slow_app.release.set()
        assert await under_way == {"n": 1}
        await stopping
        assert slow_app.begun == [1]
        await cluster.start("chat-server-1")
        assert await sent_again == {"n": 3}


async def test_work_that_does_not_end_is_ended(tmp_path: Path, slow_app: Any) -> None:
    servers = {"connector": 1, "chat": 1}
    async with Cluster(tmp_path, servers, app=slow_app) as cluster:
        alice = await cluster.connect("alice", connector=0)
        asked = asyncio.ensure_future(alice.client.request("chat.slowHandler.wait", {"n": 1}))
        await eventually(lambda: slow_app.begun == [1])
        await cluster.stop("chat-server-1")
        asked.cancel()


class Faulty:
    """A component that cannot do what it should."""

    def __init__(self, *, starts: bool) -> None:
        self.starts = starts
        self.stops = 0

    async def start(self) -> None:
        if not self.starts:
            raise ConfigError("no weather service")

    async def stop(self) -> None:
        self.stops += 1
        raise RuntimeError("cannot stop")

    def status(self) -> dict[str, Any]:
        return {"faulty": True}


def made(cluster: Cluster, server_id: str) -> Running:
    """A server that is not started."""
    servers = ServersFile(cluster.folder / "config" / "servers.json", "development")
    return Running(chat, servers, server_id, FAST, cluster.folder)


@pytest.fixture
def alone(tmp_path: Path) -> Cluster:
    """A cluster of which nothing runs."""
    return Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 1})


@pytest.mark.parametrize("server_id", ["gate-server-1", "connector-server-1", "chat-server-1"])
async def test_a_start_that_fails_half_way_leaves_nothing_open(
    alone: Cluster, server_id: str, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.admin", "component Faulty could not stop")
    running = made(alone, server_id)
    begun, faulty = Faulty(starts=True), Faulty(starts=False)
    running.components += [begun, faulty]
    said = rf"{server_id}: component Faulty cannot start: no weather service$"
    with pytest.raises(StartError, match=said):
        await running.start()
    await running.stop()
    assert (begun.stops, faulty.stops) == (1, 0)
    await alone.start(server_id)  # its ports are free again
    await alone.stop(server_id)


async def test_a_component_that_cannot_stop_keeps_nobody_from_it(
    alone: Cluster, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.admin", "Faulty could not stop")
    running = made(alone, "chat-server-1")
    running.components.append(Faulty(starts=True))
    assert running.health() == {"status": "starting", "id": "chat-server-1"}
    await running.start()
    assert running.health()["status"] == "ok"
    status = await running.status()
    assert (status["faulty"], status["type"], status["busy"]) == (True, "chat", 0)
    await running.stop()
    assert running.health()["status"] == "stopping"


async def test_health_names_who_is_missing(alone: Cluster) -> None:
    alone.list_server("chat")
    connector = await alone.start("connector-server-1")

    def is_now(**told: object) -> bool:
        return connector.health() == {"id": "connector-server-1", **told}

    assert is_now(status="waiting", **{"for": ["chat"]})
    await alone.start("chat-server-1")
    await eventually(lambda: is_now(status="degraded", missing=["chat-server-2"]))
    await alone.start("chat-server-2")
    await eventually(lambda: is_now(status="ok"))
    await alone.stop("chat-server-1")
    await eventually(lambda: is_now(status="degraded", missing=["chat-server-1"]))
    for server_id in list(alone.running):
        await alone.stop(server_id)


async def test_a_start_is_one_line_with_ports(
    alone: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "zchat.admin")
    running = await alone.start("chat-server-1")
    server = running.server
    lines = [record.getMessage() for record in caplog.records if record.name == "zchat.admin"]
    ready = f"chat-server-1 is ready: pid {os.getpid()}, ports: ROUTER {server.port}"
    assert lines[-1] == f"{ready}, XPUB {server.pub_port}"
    await alone.stop("chat-server-1")


def test_an_application_that_is_wrong_leaves_nothing_open(alone: Cluster) -> None:
    def configure(app: Application) -> None:
        raise ConfigError("no weather service")

    app = Application(__file__)
    app.configure(configure)
    servers = ServersFile(alone.folder / "config" / "servers.json", "development")
    with pytest.raises(ConfigError, match="no weather service"):
        Running(app, servers, "chat-server-1", FAST, alone.folder)


def test_an_unknown_id_is_an_error_that_names_the_known(alone: Cluster) -> None:
    with pytest.raises(ConfigError, match=r"no server .nobody. .*known: gate-server-1"):
        made(alone, "nobody")


# CURVE


@pytest.fixture
def keyed(alone: Cluster) -> Cluster:
    """A cluster with keys."""
    for name in alone.listed:
        create_keys(alone.folder / "config" / "keys", name)
    return alone


async def test_a_cluster_with_keys_talks(keyed: Cluster) -> None:
    async with keyed as cluster:
        alice, bob = await cluster.enter_all(["alice", "bob"], "lobby")
        assert "offset" in await alice.say("psst")
        assert await bob.heard(1) == ["psst"]


@pytest.mark.parametrize("server_type", ["chat", "connector"])
async def test_a_server_is_added_once_its_key_is_there(
    keyed: Cluster, server_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with keyed as cluster:
        added = cluster.list_server(server_type)
        await eventually(lambda: f"{added}.key: " in caplog.text)
        with pytest.raises(ConfigError, match=r"is missing, and others have keys: zchat keys"):
            made(cluster, added)
        create_keys(cluster.folder / "config" / "keys", added)
        await cluster.start(added)
        await cluster.settled()
        room = cluster.rooms_of(added, 1)[0] if server_type == "chat" else "lobby"
        alice = await cluster.enter("alice", room, connector=-1)
        assert "offset" in await alice.say("hello")
        assert caplog.text.count("servers.json cannot be followed") <= 3


async def test_without_keys_other_machines_are_not_let_near(tmp_path: Path) -> None:
    alone = Cluster(tmp_path, {"chat": 1})
    file = tmp_path / "config" / "servers.json"
    file.write_text(file.read_text().replace("127.0.0.1", "192.0.2.1"))
    with pytest.raises(StartError, match=r"192\.0\.2\.1.* expected CURVE keys \(zchat keys\)"):
        await made(alone, "chat-server-1").start()


async def test_lost_frames_are_fetched_the_last_one_too(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    bob = await cluster.enter("bob", "lobby", connector=1)
    frontend = cluster.running["connector-server-2"].frontend
    assert frontend is not None
    take, seen = frontend.hub.on_frame, itertools.count(1)

    def lossy(channel: str, payload: bytes) -> None:
        if next(seen) % 3:  # every third frame is lost, and so is the last
            take(channel, payload)

    frontend.hub.on_frame = lossy  # type: ignore[method-assign]
    for number in range(30):
        await alice.say(str(number))
    assert await bob.heard(30) == [str(number) for number in range(30)]
    assert frontend.resync.counters["repaired"] > 0


async def test_a_leave_is_told_by_the_workers_next_life(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    bob = await cluster.enter("bob", "lobby", connector=1)
    await alice.expect("onAdd")
    owner = cluster.owner_of("lobby")
    await cluster.kill(owner)
    await bob.close()
    await cluster.start(owner)
    assert await alice.expect("onLeave", 5000 * MS) == {"route": "onLeave", "user": "bob"}


async def test_a_leave_is_told_by_the_rooms_next_owner(tmp_path: Path) -> None:
    settings = replace(FAST, rooms=replace(FAST.rooms, grace=700 * MS))
    async with Cluster(tmp_path, settings=settings) as cluster:
        rooms = [f"room{number}" for number in range(12)]
        before = {room: cluster.owner_of(room) for room in rooms}
        stay = {room: await cluster.enter("alice", room, connector=0) for room in rooms}
        go = [await cluster.enter("bob", room, connector=1) for room in rooms]
        for person in go:
            await person.close()
        await cluster.start(cluster.list_server("chat"))
        await cluster.settled()
        assert any(cluster.owner_of(room) != before[room] for room in rooms)
        for person in stay.values():
            assert (await person.expect("onLeave", 5000 * MS))["user"] == "bob"


async def test_a_switch_whose_old_worker_is_away_leaves_all_the_same(cluster: Cluster) -> None:
    old, new = cluster.rooms_of("chat-server-1", 1)[0], cluster.rooms_of("chat-server-2", 1)[0]
    alice = await cluster.enter("alice", old, connector=0)
    bob = await cluster.enter("bob", old, connector=1)
    await cluster.kill("chat-server-1")
    answer = await bob.client.request(
        "connector.entryHandler.switchRoom", {"rid": new}, timeout=10_000 * MS
    )
    assert answer["users"] == ["bob"]
    await cluster.start("chat-server-1")
    await says_until_heard(alice, "are you there?", alice)
    assert (await alice.expect("onLeave", 5000 * MS))["user"] == "bob"
    assert bob.texts == []


async def test_status_says_how_late_the_loop_is_and_what_was_refused(cluster: Cluster) -> None:
    connector = cluster.running["connector-server-1"]
    alice = await cluster.connect("alice", connector=0)
    assert (await alice.request("connector.entryHandler.gone", {}))["code"] == 500
    status = await connector.status()
    assert 0 <= status["lag"] < 60
    assert status["counters"]["answered_500"] == 1
