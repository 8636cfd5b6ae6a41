"""A frontend in its cluster: what its clients meet, and what backends may order of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.frontend.wire import HANDSHAKE, NOTIFY, Door, masked, request
from tests.support.application import application
from tests.support.cluster import FAST, UNLIMITED, Cluster
from tests.support.person import Person
from tests.support.ports import free_ports
from tests.support.timing import MS, eventually
from zchat import BackendSession, Handler
from zchat.config.settings import Settings
from zchat.errors import TimedOut
from zchat.framework.channels.channel import Channel
from zchat.framework.server.frontend_part import FrontendPart
from zchat.framework.server.running import Running
from zchat.frontend.session import Session
from zchat.frontend.sockets.disconnect import (
    HANDSHAKE_TIMEOUT,
    KICKED,
    MESSAGE_TOO_BIG,
    SLOW_READER,
    TOO_MANY_BYTES,
    TOO_MANY_MESSAGES,
    Disconnect,
)
from zchat.protocol import package
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.message import encode_request

CONNECTOR = "connector-server-1"
ONE_EACH = {"gate": 1, "connector": 1, "chat": 1}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, ONE_EACH) as cluster:
        yield cluster


def frontend(running: Running) -> FrontendPart:
    assert running.frontend is not None
    return running.frontend


def connector(cluster: Cluster) -> FrontendPart:
    return frontend(cluster.running[CONNECTOR])


@contextlib.contextmanager
def at_door(cluster: Cluster, server_id: str = CONNECTOR) -> Iterator[Door]:
    """Where clients made of bare sockets come in; they are closed at the end."""
    running = cluster.running[server_id]
    assert running.server.client_port is not None
    door = Door(frontend(running)._acceptor, running.server.client_port)
    try:
        yield door
    finally:
        for peer in door.peers:
            peer.close()


async def only_session(cluster: Cluster) -> Session:
    await eventually(lambda: len(connector(cluster).sessions) == 1)
    return next(iter(connector(cluster).sessions))


async def order(cluster: Cluster, method: str, *args: Any) -> Any:
    """What a worker calls at the connector."""
    return await cluster.running["chat-server-1"].node.call(CONNECTOR, method, args)


# Orders of backends


async def test_a_backend_kicks_and_the_client_is_told_why(cluster: Cluster) -> None:
    with at_door(cluster) as door:
        peer = await door.working()
        session = await only_session(cluster)
        await order(cluster, "session.kick", session.ref, "too loud")
        assert b"too loud" in (await peer.package()).body
        assert await peer.goodbye() == (KICKED.code, "too loud")
    await eventually(lambda: len(connector(cluster).sessions) == 0)


async def test_a_move_that_fails_leaves_its_client_where_it_was(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been let in all the same: then it would be in two rooms, and know of one."""

    async def add(channel: Channel, *args: Any, **how: Any) -> Any:
        await real(channel, *args, **how)
        raise TimedOut("the answer was lost")

    alice = await cluster.enter("alice", "lobby", connector=0)
    real = Channel.add
    monkeypatch.setattr(Channel, "add", add)
    answer = await alice.client.request("connector.entryHandler.switchRoom", {"rid": "den"})
    assert answer["code"] == TimedOut.code
    assert set(connector(cluster).hub.channels) == {"lobby"}
    host = cluster.running["chat-server-1"].owner
    assert host is not None
    await eventually(lambda: set(host.host.channels) == {"lobby"}, 8000 * MS)
    assert "offset" in await alice.say("still here")


async def test_a_session_that_closes_while_it_joins_leaves_nothing(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    for _ in range(5):
        ghost = await cluster.connect("ghost", connector=0)
        entering = asyncio.ensure_future(
            ghost.client.request(
                "connector.entryHandler.enter", {"username": "ghost", "rid": "lobby"}
            )
        )
        await asyncio.sleep(0)
        await ghost.close()
        await asyncio.gather(entering, return_exceptions=True)
    host = cluster.running["chat-server-1"].owner
    assert host is not None
    await eventually(lambda: host.host.channels["lobby"].presence.uids() == ["alice"], 8000 * MS)
    assert set(connector(cluster).hub.channels) == {"lobby"}
    assert len(connector(cluster).hub.channels["lobby"].memberships) == 1
    assert alice.client.state.value == "online"


# Limits reach the connections


def limited(**limits: int) -> Settings:
    return replace(FAST, limits=replace(FAST.limits, **limits))


async def flood(person: Person, count: int) -> list[dict[str, Any]]:
    return await asyncio.gather(*(person.say(str(number)) for number in range(count)))


async def test_too_many_requests_at_once_are_refused_and_counted(tmp_path: Path) -> None:
    async with Cluster(tmp_path, ONE_EACH, settings=limited(requests_in_flight=3)) as cluster:
        alice = await cluster.enter("alice", "lobby", connector=0)
        codes = [answer.get("code", 200) for answer in await flood(alice, 20)]
        assert codes[:3] == [200, 200, 200]
        refused = codes.count(429)
        assert refused > 0
        assert connector(cluster).forwarder.counters["too_many_in_flight"] == refused
        assert (await cluster.running[CONNECTOR].status())["counters"]["too_many_in_flight"]
        assert "offset" in await alice.say("all is well")


@pytest.mark.parametrize(
    ("limits", "payload", "expected"),
    [
        ({"messages_per_second": 1, "messages_burst": 5}, NOTIFY, TOO_MANY_MESSAGES),
        ({"bytes_per_second": 1, "bytes_burst": 200, "message_bytes": 200}, NOTIFY, TOO_MANY_BYTES),
        ({"message_bytes": 128}, b"\x04\x00\x01\x00" + b"x" * 256, MESSAGE_TOO_BIG),
    ],
)
async def test_who_sends_too_much_is_told_why_it_is_closed(
    tmp_path: Path, limits: dict[str, int], payload: bytes, expected: Disconnect
) -> None:
    async with Cluster(tmp_path, ONE_EACH, settings=limited(**limits)) as cluster:
        with at_door(cluster) as door:
            peer = await door.working()
            await peer.send(masked(payload) * 20)
            rest = await peer.rest()
        assert expected.code.to_bytes(2, "big") in rest
        assert door.counters == {expected.name: 1}


async def test_a_slow_reader_is_cut_off_alone(tmp_path: Path) -> None:
    """Its connection ends while the hub walks over the room: nobody else may notice."""
    settings = replace(UNLIMITED, limits=replace(UNLIMITED.limits, outbox_bytes=4096))
    async with Cluster(tmp_path, ONE_EACH, settings=settings) as cluster:
        before = await cluster.enter("before", "lobby", connector=0)
        with at_door(cluster) as door:
            slow = await door.working(receive_buffer=4096)
            route, body = "connector.entryHandler.enter", b'{"username":"slow","rid":"lobby"}'
            enter = encode_request(1, route, body, RouteDictionary((), ()))
            await slow.send(masked(package.encode(package.DATA, enter)))
            await before.expect("onAdd")
            after = await cluster.enter("after", "lobby", connector=0)
            said = 0
            while door.counters.get(SLOW_READER.name, 0) == 0:
                assert "offset" in await before.say(f"{said}" + "x" * 50_000)
                said += 1
        for person in (before, after):
            texts = await person.heard(said)
            assert [text.rstrip("x") for text in texts] == [str(n) for n in range(said)]
        assert await before.expect("onLeave") == {"route": "onLeave", "user": "slow"}


async def test_too_many_connections_are_refused_with_503(tmp_path: Path) -> None:
    async with Cluster(tmp_path, ONE_EACH, settings=limited(connections=1)) as cluster:
        with at_door(cluster) as door:
            first, second = await door.working(), await door.connect()
            await second.send(request())
            status, headers, body = await second.response()
            assert status == 503
            assert "Retry-After" in headers
            assert b"as many connections as it may" in body
            first.close()
            await eventually(lambda: not door.connections.sockets)
            await door.working()


async def test_the_handshake_has_a_time_limit(tmp_path: Path) -> None:
    settings = replace(FAST, client=replace(FAST.client, handshake_timeout=500 * MS))
    async with Cluster(tmp_path, ONE_EACH, settings=settings) as cluster:
        with at_door(cluster) as door:
            working, silent, halfway = (
                await door.working(),
                await door.upgraded(),
                await door.upgraded(),
            )
            await halfway.send(masked(HANDSHAKE))
            await halfway.package()
            for peer in (silent, halfway):
                assert (await peer.goodbye())[0] == HANDSHAKE_TIMEOUT.code
                peer.close()
            await eventually(lambda: len(door.connections.sockets) == 1)
            assert len(connector(cluster).sessions) == 1  # the others were never told of upstairs
            await working.send(masked(NOTIFY))


async def test_the_heartbeat_is_the_settings(tmp_path: Path) -> None:
    settings = replace(FAST, client=replace(FAST.client, heartbeat=17))
    async with Cluster(tmp_path, ONE_EACH, settings=settings) as cluster:
        with at_door(cluster) as door:
            peer = await door.upgraded()
            await peer.send(masked(HANDSHAKE))
            assert b'"heartbeat":17' in (await peer.package()).body


# For load balancers and pages


@pytest.mark.parametrize("server_id", ["gate-server-1", CONNECTOR])
async def test_every_frontend_says_whether_it_is_well(cluster: Cluster, server_id: str) -> None:
    with at_door(cluster, server_id) as door:
        peer = await door.connect()
        await peer.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        status, _, body = await peer.response()
    assert status == 200
    assert body == b'{"status":"ok","id":"%s"}' % server_id.encode()


async def test_foreign_pages_are_refused(tmp_path: Path) -> None:
    client = replace(FAST.client, allowed_origins=("https://chat.example",))
    async with Cluster(tmp_path, ONE_EACH, settings=replace(FAST, client=client)) as cluster:
        with at_door(cluster) as door:
            for origin, expected in (("https://chat.example", 101), ("https://evil.example", 403)):
                peer = await door.connect()
                await peer.send(request(Origin=origin))
                assert (await peer.response())[0] == expected


async def test_stopping_tells_clients_and_lets_go_of_everything(cluster: Cluster) -> None:
    with at_door(cluster) as door:
        peer = await door.working()
        stopping = asyncio.ensure_future(connector(cluster).stop(5.0))
        assert await peer.goodbye() == (1001, "server is stopping")
        peer.close()
        await stopping
    await connector(cluster).stop(5.0)
    assert len(connector(cluster).sessions) == 0


# Frontends whose clients are told less than the cluster has


class Desk(Handler):
    async def come(self, msg: Any, session: BackendSession) -> dict[str, Any]:
        await session.bind(msg["name"])
        joined = await self.app.channels.get("lobby").add(msg["name"], session)
        return {"members": joined.members}


class Board(Handler):
    async def write(self, msg: Any, session: BackendSession) -> dict[str, Any]:
        await self.app.channels.get("lobby").publish("onNote", {"text": msg["text"]})
        missed = await self.app.push_to(["ann", "bob"], "onNudge", {"text": msg["text"]})
        return {"n": len(missed), "none": "of the schema"}


@pytest.fixture
async def two_kinds(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster with codes and schemas, and a type of frontends that keeps them to itself."""
    files: dict[str, Any] = {
        "dictionary": ["onNote"],
        "serverProtos": {
            "onNote": {"required string text": 1, "optional uInt32 offset": 2},
            "onNudge": {"required string text": 1},
            "area.board.write": {"optional uInt32 n": 1},
        },
        "clientProtos": {"area.board.write": {"required string text": 1}},
    }
    (tmp_path / "config").mkdir()
    for name, value in files.items():
        (tmp_path / "config" / f"{name}.json").write_text(json.dumps(value))
    kinds = {
        "connector/handler/desk": Desk,
        "plain/handler/desk": Desk,
        "area/handler/board": Board,
    }
    app = application(tmp_path, kinds)
    app.configure(
        lambda here: here.handshake(heartbeat=0, dictionary=False, protos=False), types="plain"
    )
    made = Cluster(tmp_path, {"connector": 1, "plain": 1, "area": 1}, app=app)
    made._lines["plain"][0] |= {"frontend": True, "clientPort": free_ports(1)[0]}
    made._write()
    async with made as cluster:
        yield cluster


async def test_all_hear_the_same_whatever_their_frontend_tells_them(two_kinds: Cluster) -> None:
    ann = Person("ann", two_kinds.url("connector"), None)
    bob = Person("bob", two_kinds.url("plain"), None)
    two_kinds._people += [ann, bob]
    for person, kind in ((ann, "connector"), (bob, "plain")):
        person.listen("onNote")
        person.listen("onNudge")
        await person.start()
        await person.request(f"{kind}.desk.come", {"name": person.name})
    for person in (ann, bob):
        answer = await person.request("area.board.write", {"text": person.name})
        assert answer["n"] == 0
        assert "none" not in answer
    for person in (ann, bob):
        notes = [await person.expect("onNote") for _ in range(2)]
        assert [(note["text"], note["offset"]) for note in notes] == [("ann", 1), ("bob", 2)]
        assert [(await person.expect("onNudge"))["text"] for _ in range(2)] == ["ann", "bob"]
    refused = await bob.request("area.board.write", {"text": 1})
    assert "n" not in refused
    plain = frontend(two_kinds.running["plain-server-1"])
    assert plain.connections.silence is None
    assert plain.hub.counters["deliveries"] == 2
    assert two_kinds.running["connector-server-1"].wire.protos
