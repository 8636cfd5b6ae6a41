"""Conversations recorded with the original servers, held again with ours.

Places like 13.2 and 22.7 are of the description of Pomelo's wire.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.frontend.wire import ACK, Peer, masked
from tests.protocol.vectors import apps, frames, scenarios
from tests.support.cluster import FAST, Cluster
from tests.support.logs import ExpectedLogs
from tests.support.ports import free_ports
from tests.support.probe.app import app as probe
from tests.support.replay import (
    CLOSED,
    HEARTBEAT,
    Conversation,
    Override,
    Value,
    push,
    response,
    told,
    upgraded,
    values,
)
from tests.support.timing import MS
from zchat.protocol import message, package
from zchat.protocol.dictionary import EMPTY

BEATING = replace(FAST, client=replace(FAST.client, heartbeat=3))
"""The recorded connectors' heartbeat."""

HASTY = replace(BEATING, cluster=replace(FAST.cluster, request_deadline=300 * MS))
"""A handler that never answers is given up sooner than in the recording."""

SILENT = "heartbeat: a client that never sends one"
"""Held in a test of its own, in which time is not waited for."""

LATE = "responses of every kind (backend"
UNCODED = "route code to a server without dictionary"
PLAIN = ("sessions: singleSession", "handshake: server without any option", UNCODED)
"""Held with a frontend that tells its clients of no codes, schemas and heartbeats."""

PUSHES = "push: dictionary"
SCHEMAS = "protobuf: request body"
BINDING = "sessions: bind, rebind"
SINGLE = "sessions: singleSession"
ROUTES = "unknown and malformed routes"
TALK = "chat tutorial: enter, talk"
TWICE = "chat tutorial: duplicate name"

OVERRIDES = (
    # scenario, what was recorded, what zchat sends, why
    Override("chat tutorial: gate", "ack", (HEARTBEAT,), "6.6: the chat's gate beats as well"),
    Override(
        "responses of every kind (frontend",
        'data response id=2 body={"r"',
        (response(2, {"r": "connector.h.route", "keys": ["x"]}),),
        "12.2: no __route__ is put into bodies",
    ),
    Override(
        LATE,
        'data response id=2 body={"r"',
        (response(2, {"r": "area.h.route", "keys": ["x"]}),),
        "12.2: no __route__ is put into bodies",
    ),
    Override(
        "responses of every kind (frontend",
        'data response id=14 body={"a":2}',
        (),
        "22.7, 22.10: every request gets exactly one response",
    ),
    Override(
        LATE,
        'data response id=16 body={"code":500}',
        (response(16, {"code": 504}),),
        "22.7: a failure; the code says that time ran out and the outcome is unknown",
    ),
    Override(
        ROUTES,
        'data request id=7 route="nodot"',
        (response(7, {"code": 500}),),
        "22.7: every request gets a response",
    ),
    Override(
        ROUTES,
        'data request id=8 route=""',
        (response(8, {"code": 500}),),
        "22.7: every request gets a response",
    ),
    Override(
        ROUTES,
        "data request id=9 route=999 (code)",
        (response(9, {"code": 500}),),
        "22.7: every request gets a response",
    ),
    Override(
        ROUTES,
        "data request id=10 route=0 (code)",
        (response(10, {"code": 500}),),
        "22.7: every request gets a response",
    ),
    Override(
        UNCODED,
        "data request id=1 route=3 (code)",
        (response(1, {"code": 500}),),
        "22.7: every request gets a response",
    ),
    Override(
        PUSHES,
        'data push route="onPb" body=',
        (),
        "8.6: what does not fit its schema is not pushed, and whoever pushes it is told",
        whole=True,
    ),
    Override(
        PUSHES,
        'data response id=5 body={"err":null',
        (
            response(5, {"code": 500}),
            push("onPush", ""),
            response(6, {"err": None, "fails": []}),
        ),
        "8.6, 22.7: the handler does not catch it; and an empty text is a body like any other",
    ),
    Override(
        BINDING,
        'data response id=3 body={"err":"session has already',
        (response(3, {"err": "session is already bound to u1", "uid": "u1"}),),
        "14.2: in other words",
    ),
    Override(
        BINDING,
        'data response id=3 body={"err":"session has not',
        (response(3, {"err": "session is not bound to zz", "uid": "u1"}),),
        "14.3: in other words",
    ),
    Override(
        SINGLE,
        'data response id=1 body={"err":"singleSession',
        (response(1, {"err": "s is signed in on another connection", "uid": None}),),
        "14.2: in other words",
    ),
    *(
        Override(
            scenario,
            "closed by server",
            (("kick", {"reason": "kick"}), CLOSED),
            "15.1: a kick without a reason says that it is one",
        )
        for scenario in (
            'kick from the frontend {"how":"uid","uid":"k"}',
            'kick from the frontend {"how":"sid"}',
            'kick from the backend {"how":"backuid"}',
        )
    ),
    Override(
        'route method "constructor"',
        'kick {"reason":"attack"}',
        (response(1, {"code": 500}),),
        "22.9: a route is looked up in a table, so this one is merely unknown",
    ),
    Override(
        'route method "constructor"',
        "closed by server",
        (),
        "22.7: an unknown route is answered and the connection kept",
    ),
    Override(
        "websocket: two packages in one binary message",
        "closed by server",
        (HEARTBEAT,),
        "22.1: several packages in one message are taken; one answer serves all heartbeats",
    ),
    Override(
        "websocket: one-byte heartbeat and a short body",
        "data response id=7",
        (CLOSED,),
        "11.6, 22.9: a package that ends early is malformed; its missing bytes are not made up",
    ),
    Override(
        "chat tutorial: gate",
        'data response id=3 body={"code":500}',
        (response(3, {"code": 400, "path": "uid"}),),
        "20.2: without uid the answer says which field is missing",
    ),
    Override(
        TALK,
        'data response id=1 body={"users":["alice","zhang","bob"]}',
        (response(1, {"users": ["alice", "bob", "zhang"]}),),
        "20.2: the list is in joining order, not grouped by connector",
    ),
    Override(
        TALK,
        'data response id=5 body={"code":500}',
        (response(5, {"code": 404, "error": "nobody is not here"}),),
        "22.7: a failure; the code says that it is no fault of the server",
    ),
    Override(
        TWICE,
        'data response id=1 body={"users":["alice","alice"]}',
        (response(1, {"code": 500, "error": True}),),
        "20.2: a name is taken on whichever connector",
    ),
    Override(TWICE, 'data push route="onAdd"', (), "20.2: the second alice did not get in"),
    Override(TWICE, 'data push route="onLeave"', (), "20.2: the second alice did not get in"),
)
"""Line by line: where zchat does something else than the recorded servers."""


def replayed(chat: bool) -> list[str]:
    """The conversations to hold, with the chat or with the probe."""
    return [
        name for name in scenarios() if name.startswith("chat tutorial") is chat and name != SILENT
    ]


CHAT = {"gate": 1, "connector": 2, "chat": 2}
ON_CHAT = {"required string msg": 1, "required string from": 2, "required string target": 3}
"""The tutorial's proto."""


def configure(folder: Path, **files: Any) -> None:
    """Write files of config/."""
    (folder / "config").mkdir()
    for name, value in files.items():
        (folder / "config" / f"{name}.json").write_text(json.dumps(value))


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, CHAT, settings=BEATING) as cluster:
        yield cluster


@pytest.fixture
async def tutorial(tmp_path: Path) -> AsyncIterator[Cluster]:
    """The chat with the tutorial's protos."""
    configure(tmp_path, serverProtos={"onChat": ON_CHAT}, clientProtos={})
    async with Cluster(tmp_path, CHAT, settings=BEATING) as cluster:
        yield cluster


@pytest.fixture
async def probes(tmp_path: Path) -> AsyncIterator[Cluster]:
    told = apps()["probe"]
    files = ("dictionary", "serverProtos", "clientProtos")
    configure(tmp_path, **{name: told[f"{name}_json"] for name in files})
    servers = {"gate": 1, "connector": 1, "plain": 1, "area": 2}
    made = Cluster(tmp_path, servers, app=probe, settings=HASTY)
    made._lines["plain"][0] |= {"frontend": True, "clientPort": free_ports(1)[0]}
    made._write()
    async with made as cluster:
        yield cluster


def port_of(cluster: Cluster, server_type: str, index: int = 0) -> int:
    """Where clients reach a server."""
    port = urlsplit(cluster.url(server_type, index)).port
    assert port is not None
    return port


def conversation(cluster: Cluster, scenario: str) -> Conversation:
    """Ready to be held with this cluster."""
    chats = scenario.startswith("chat tutorial")
    connectors = [port_of(cluster, "connector", index) for index in range(2 if chats else 1)]
    gate = port_of(cluster, "gate")

    def port(connection: str) -> int:
        if connection == "gate" or "like the tutorial gate" in scenario:
            return gate
        if scenario.startswith(PLAIN):
            return port_of(cluster, "plain")
        return connectors[-1] if connection in ("bob", "alice@2") else connectors[0]

    free: dict[str, Any] = {
        "sid": lambda value: type(value) is int,
        "port": lambda value: value in connectors,
        "dict": lambda value: True,
        "routeToCode": lambda value: True,
        "codeToRoute": lambda value: True,
    }
    wire = cluster.running["connector-server-1"].wire
    fence = "chat.chatHandler.nope" if chats else "area.h.num"
    return Conversation(scenario, OVERRIDES, port, wire, free, fence, again=chats)


@pytest.mark.parametrize("scenario", replayed(chat=False))
async def test_probe(probes: Cluster, scenario: str, expected_logs: ExpectedLogs) -> None:
    said = " ".join(told(frame) for frame in frames(scenario) if frame.get("dir") == "client")
    if '.err"' in said or '.thr"' in said:
        expected_logs("zchat.app", "(err|thr) failed")
    if scenario.startswith((PUSHES, SCHEMAS)):
        expected_logs("zchat.app", "(push|pbresp) failed")
    held = conversation(probes, scenario)
    await held.replay(frames(scenario))
    assert held.used == {entry for entry in OVERRIDES if scenario.startswith(entry.scenario)}


@pytest.mark.parametrize("scenario", replayed(chat=True))
async def test_chat(tutorial: Cluster, scenario: str) -> None:
    held = conversation(tutorial, scenario)
    await held.replay(frames(scenario))
    assert held.used == {entry for entry in OVERRIDES if scenario.startswith(entry.scenario)}


def test_no_conversation_is_left_out_in_silence() -> None:
    held = {*replayed(chat=True), *replayed(chat=False), SILENT}
    assert held == set(scenarios())
    assert all(any(name.startswith(entry.scenario) for name in held) for entry in OVERRIDES)


async def test_a_client_that_never_beats(probes: Cluster) -> None:
    frontend = probes.running["connector-server-1"].frontend
    assert frontend is not None
    connections = frontend.connections
    start = connections.clock()
    held = conversation(probes, SILENT)
    for frame in frames(SILENT):
        await held.settle()
        moment = start + frame["t"]
        connections.clock = partial(float, moment)
        connections.tick(moment)
        if "event" not in frame:
            await held.take(frame)
    client = held.client("a")
    await client.settle()
    assert client.heard.others[-1] != CLOSED  # 9.3: 2 intervals have passed, the slack has not
    connections.tick(moment + 2.5)
    client.expected.take([CLOSED])
    await held.replay(())
    assert client.heard.pushes == []
    assert connections.counters["heartbeat_timeout"] == 1


async def test_the_probe_has_the_recorded_dictionary_and_protos(probes: Cluster) -> None:
    """Codes and schemas of the live cluster, which has the recorded files in config/."""
    answer = told(frames("handshake: full options, first contact")[1])
    recorded = json.loads(answer.removeprefix("handshake "))["sys"]
    dictionary, protos = probes.running["gate-server-1"].wire
    assert {key: recorded[key] for key in dictionary.as_wire()} == dictionary.as_wire()
    assert protos.as_wire() == recorded["protos"]


async def test_the_chat_has_more_routes_than_the_tutorial(chat: Cluster) -> None:
    answer = told(frames("chat tutorial: send without entering")[1])
    recorded = json.loads(answer.removeprefix("handshake "))["sys"]["dict"]
    ours = chat.running["gate-server-1"].dictionary.as_wire()["dict"]
    assert ours.keys() - recorded.keys() == {
        "chat.chatHandler.history",
        "connector.entryHandler.switchRoom",
    }
    assert sorted(ours, key=ours.__getitem__) == sorted(ours)


# What stock clients rely on beside: 17.1

HELLO = {"sys": {"type": "js-websocket", "version": "0.0.1", "rsa": {}, "protoVersion": 0}}


async def shake(peer: Peer, hello: dict[str, Any]) -> dict[str, Any]:
    """Shake hands; returns the answer's `sys`."""
    data = package.encode(package.HANDSHAKE, json.dumps(hello).encode())
    await peer.send(masked(data))
    ((kind, answer),) = await receive(peer)
    assert kind == "handshake"
    await peer.send(masked(ACK))
    assert await receive(peer) == [HEARTBEAT]
    system: dict[str, Any] = answer["sys"]
    return system


def users(received: list[Value]) -> tuple[int, list[str]]:
    """Of the one answer to an enter: its id, and who is there."""
    ((kind, number, answer),) = received
    assert kind == "response"
    return number, answer["users"]


async def receive(peer: Peer) -> list[Value]:
    """The packages of the next message."""
    _, payload = await peer.frame()
    return values(payload)


def request(number: int, route: str, body: dict[str, Any]) -> bytes:
    """A request as a package."""
    data = message.encode_request(number, route, json.dumps(body).encode(), EMPTY)
    return package.encode(package.DATA, data)


def enter(number: int, name: str) -> bytes:
    """The tutorial's login."""
    return request(number, "connector.entryHandler.enter", {"username": name, "rid": "r"})


async def test_ids_go_on_after_the_gate(chat: Cluster) -> None:
    gate = await upgraded(port_of(chat, "gate"))
    await shake(gate, HELLO)
    await gate.send(masked(request(1, "gate.gateHandler.queryEntry", {"uid": "alice"})))
    ((_, number, entry),) = await receive(gate)
    assert (number, entry["code"], entry["host"]) == (1, 200, "127.0.0.1")
    gate.close()
    connector = await upgraded(entry["port"])
    await shake(connector, HELLO)
    await connector.send(masked(enter(2, "alice")))
    assert users(await receive(connector)) == (2, ["alice"])
    connector.close()


async def test_the_dictionary_is_always_sent_in_full(chat: Cluster) -> None:
    """The browser client never says that it has it, and forgets it at each handshake."""
    wire = chat.running["connector-server-1"].dictionary.as_wire()
    for _ in range(2):
        peer = await upgraded(port_of(chat, "connector"))
        system = await shake(peer, HELLO)
        assert {key: system[key] for key in wire} == wire
        assert "protos" not in system
        peer.close()


@pytest.mark.parametrize("server_type", ["gate", "connector"])
async def test_protos_kept_from_elsewhere_are_forgotten(chat: Cluster, server_type: str) -> None:
    peer = await upgraded(port_of(chat, server_type))
    system = await shake(
        peer, {"sys": {**HELLO["sys"], "protoVersion": "2zWPnSlRsRxjqgcU215Uxg=="}}
    )
    assert system["protos"] == {"server": {}, "client": {}, "version": 0}
    peer.close()


async def test_several_packages_in_one_message(chat: Cluster) -> None:
    peer = await upgraded(port_of(chat, "connector"))
    await shake(peer, HELLO)
    say = [
        request(number, "chat.chatHandler.send", {"content": f"{number}", "target": "*"})
        for number in (2, 3, 4)
    ]
    await peer.send(masked(enter(1, "alice")))
    assert users(await receive(peer)) == (1, ["alice"])
    beat = package.encode(package.HEARTBEAT)
    await peer.send(masked(b"".join([beat, *say, beat])))
    heard: list[Value] = []
    while len(heard) < 7:
        heard += await receive(peer)
    assert [value for value in heard if value == HEARTBEAT] == [HEARTBEAT]
    assert sorted(value[1] for value in heard if value[0] == "response") == [2, 3, 4]
    assert [value[2]["msg"] for value in heard if value[0] == "push"] == ["2", "3", "4"]
    peer.close()


async def test_a_browsers_emoji_reaches_browsers(chat: Cluster) -> None:
    """It writes one as two halves of three bytes, and reads only an escape: 12.6."""
    peer = await upgraded(port_of(chat, "connector"))
    await shake(peer, HELLO)
    await peer.send(masked(enter(1, "alice")))
    await receive(peer)
    halves = "\U0001f600".encode("utf-16-be", "surrogatepass")
    cesu = b"".join(
        chr(int.from_bytes(halves[at : at + 2], "big")).encode("utf-8", "surrogatepass")
        for at in (0, 2)
    )
    body = b'{"content":"' + cesu + b'","target":"*"}'
    data = message.encode_request(2, "chat.chatHandler.send", body, EMPTY)
    await peer.send(masked(package.encode(package.DATA, data)))
    raw: list[bytes] = []
    while not any(b"onChat" in payload for payload in raw):
        raw.append((await peer.frame())[1])
    assert b"\\ud83d\\ude00" in raw[-1]
    peer.close()
