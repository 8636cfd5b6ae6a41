"""The files of config/ that say how routes and bodies are written; a cluster that has them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.cluster import Cluster
from tests.support.logs import ExpectedLogs
from tests.support.sources import ROOT
from tests.support.timing import eventually
from zchat import Application, BackendSession
from zchat.client import Client, connect
from zchat.errors import ConfigError
from zchat.framework.handlers import loader
from zchat.framework.handlers.loader import Found
from zchat.framework.sessions.wire import Wire, load_wire
from zchat.protocol import message, package
from zchat.protocol.dictionary import MAX_CODE
from zchat.rooms.stream import MAX_BODY_BYTES
from zchat.route import Route

ROUTES = ["area.h.ask", "gate.h.ask"]


def write(folder: Path, **files: Any) -> Path:
    """Write files of config/, as JSON unless they are text."""
    for name, value in files.items():
        text = value if isinstance(value, str) else json.dumps(value, indent=1)
        (folder / f"{name}.json").write_text(text)
    return folder


def test_without_files_all_is_json_and_pushes_have_no_codes(tmp_path: Path) -> None:
    wire = load_wire(tmp_path, ROUTES)
    assert wire.dictionary.as_wire()["dict"] == {"area.h.ask": 1, "gate.h.ask": 2}
    assert not wire.protos


def test_pushes_get_the_codes_after_the_handlers(tmp_path: Path) -> None:
    wire = load_wire(write(tmp_path, dictionary=["onB", "onA"]), ROUTES)
    assert [wire.dictionary.code(route) for route in ("onB", "onA")] == [3, 4]


def test_a_push_is_bounded_as_a_publication_is(tmp_path: Path) -> None:
    wire = load_wire(tmp_path, [])
    assert wire.push("onNote", {"text": "x" * (MAX_BODY_BYTES - 11)})
    with pytest.raises(ValueError, match="at most 262144 are sent"):
        wire.push("onNote", {"text": "x" * (MAX_BODY_BYTES - 10)})


def test_pushes_are_written_by_code_and_schema(tmp_path: Path) -> None:
    files = {"dictionary": ["onB"], "serverProtos": {"onB": {"required string s": 1}}}
    wire = load_wire(write(tmp_path, **files), ROUTES)
    (found,) = package.decode(wire.push("onB", {"s": "hi"}))
    assert found.body == bytes.fromhex("070003") + b"\x0a\x02hi"
    assert message.decode(found.body, wire.dictionary).route == "onB"
    with pytest.raises(ValueError, match="s: required, and missing"):
        wire.push("onB", {})


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("dictionary", {}, "dictionary.json: expected a list of push routes, found {}"),
        ("dictionary", ["onA", 5], r"dictionary.json:3: \[1\]: expected a route of 1 to 255"),
        ("dictionary", [""], r"dictionary.json:2: \[0\]: expected a route of 1 to 255 bytes"),
        ("dictionary", ["x"] * MAX_CODE, "2 handlers and 65535 pushes; at most 65535"),
        ("dictionary", "[", "dictionary.json:1: not valid JSON"),
        ("serverProtos", [], "serverProtos.json: expected an object of routes"),
        (
            "serverProtos",
            {"a.b.c": {"optional string s": 1, "optional bool b": 2}},
            "serverProtos.json:4: a.b.c.optional bool b: unknown type bool",
        ),
        (
            "clientProtos",
            {"a.b.c": {"message P": {"required string s": "1"}}},
            "clientProtos.json:4: a.b.c.message P.required string s: expected a tag",
        ),
        (
            "clientProtos",
            {"r": {"required string s": 1, "required string t": 1}},
            "clientProtos.json:4: r.required string t: another field of this message has the same",
        ),
        ("clientProtos", '{"r": {}, "r": {}}', "clientProtos.json:1: r: given twice"),
        ("serverProtos", {"onHistoryLost": {}}, "onHistoryLost: this push is zchat's own"),
        ("serverProtos", {"onPresence": {}}, "onPresence: this push is zchat's own"),
    ],
)
def test_what_is_wrong_names_file_and_line(
    tmp_path: Path, name: str, value: Any, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        load_wire(write(tmp_path, **{name: value}), ROUTES)


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "topics" / "protobuf.md").read_text()
    dictionary, protos = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    wire = load_wire(write(tmp_path, dictionary=dictionary, serverProtos=protos), ROUTES)
    body = {"msg": "hi", "from": "ann", "target": "*", "ts": 1700000000000}
    (found,) = package.decode(wire.push("onChat", body))
    push = message.decode(found.body, wire.dictionary)
    assert wire.protos.at_client.decode(push.route, push.body) == body


# A cluster that has them

FILES = {
    "dictionary": ["onNews"],
    "clientProtos": {
        "chat.h.say": {"required string room": 1, "optional uInt32 n": 2},
        "chat.h.typed": {"required string name": 1, "optional int32 n": 2},
        "connector.h.ask": {"optional string s": 1},
    },
    "serverProtos": {
        "onNews": {"required string text": 1, "optional string epoch": 2, "optional uInt32 n": 3}
        | {"optional uInt32 offset": 4},
        "chat.h.say": {"optional uInt32 code": 1, "optional string error": 2}
        | {"optional string path": 3, "repeated uInt32 ns": 4},
        "chat.h.strict": {"required string text": 1},
        "connector.h.ask": {"optional uInt32 code": 1, "optional string s": 2},
    },
}


class Typed(msgspec.Struct):
    """A message that is checked at the edge."""

    name: str
    n: int = 7


class H:
    """Handlers of both types."""

    def __init__(self, app: Any = None) -> None:
        self.app = app

    async def say(self, msg: dict[str, Any], session: BackendSession) -> Any:
        channel = self.app.channels.get(msg["room"])
        await channel.add("me", session)
        await channel.publish("onNews", {"text": msg["room"], "n": msg.get("n")})
        return {"ns": [1, 300]}

    async def wrong(self, msg: dict[str, Any], session: BackendSession) -> Any:
        await self.app.channels.get("room").publish("onNews", {"text": 5})

    async def strict(self, msg: dict[str, Any], session: BackendSession) -> Any:
        return {"text": 5} if msg.get("bad") else {"text": "ok", "more": 1}

    async def typed(self, msg: Typed, session: BackendSession) -> Any:
        return {"name": msg.name, "n": msg.n}

    async def ask(self, msg: dict[str, Any], session: BackendSession) -> Any:
        return {"s": msg.get("s", "")[::-1]}


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Application:
    methods = [("chat", name) for name in ("say", "wrong", "strict", "typed")]
    found = [
        Found(Route(kind, "h", name), H, name, Path("h.py"), 1)
        for kind, name in [*methods, ("connector", "ask")]
    ]

    def load(root: Path, name: str, kind: str, server_type: str | None) -> list[Found]:
        if kind != "handler":
            return []
        return [it for it in found if server_type in (None, str(it.route).split(".")[0])]

    monkeypatch.setattr(loader, "load", load)
    application = Application(__file__)

    def instance(self: Application, cls: type) -> Any:
        return cls(self)

    monkeypatch.setattr(Application, "instance", instance)
    return application


@pytest.fixture
async def cluster(tmp_path: Path, app: Application) -> AsyncIterator[Cluster]:
    (tmp_path / "config").mkdir()
    write(tmp_path / "config", **FILES)
    async with Cluster(tmp_path, {"connector": 1, "chat": 2}, app=app) as running:
        yield running


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with connect(cluster.url("connector")) as connected:
        yield connected


def wires(cluster: Cluster) -> Iterator[Wire]:
    return (running.wire for running in cluster.running.values())


async def test_all_servers_have_the_same_versions(cluster: Cluster) -> None:
    assert len({(wire.dictionary.version, wire.protos.version) for wire in wires(cluster)}) == 1


async def test_publications_carry_the_members_that_their_schema_declares(client: Client) -> None:
    heard: list[dict[str, Any]] = []
    client.on("onNews", heard.append)
    for room in ("room1", "room2", "room3", "room4"):
        assert await client.request("chat.h.say", {"room": room, "n": 5}) == {"ns": [1, 300]}
    await eventually(lambda: len(heard) == 4)
    heard.sort(key=lambda it: str(it["text"]))
    assert [(it["text"], it["n"], it["offset"]) for it in heard] == [
        (f"room{number}", 5, 1) for number in (1, 2, 3, 4)
    ]
    assert all(it.keys() == {"text", "n", "epoch", "offset"} for it in heard)


async def test_a_body_that_does_not_fit_is_the_clients_fault(cluster: Cluster) -> None:
    """A client without the schema sends JSON on a route that has one."""
    codec = Mixed(next(wires(cluster)))
    async with connect(cluster.url("connector"), codec=codec) as client:
        answer = await client.request("chat.h.say", {"room": "room"})
        assert (answer["code"], "tags of the schema" in answer["error"]) == (400, True)
        answer = await client.request("chat.h.typed", {"name": "x"})
        assert (answer["code"], "tags of the schema" in answer["error"]) == (400, True)


class Mixed:
    """Writes JSON, reads by schema."""

    def __init__(self, wire: Wire) -> None:
        self._bodies = wire.protos.at_client

    def encode(self, route: str, value: Any) -> bytes:
        return json.dumps(value).encode()

    def decode(self, route: str, data: bytes) -> Any:
        return self._bodies.decode(route, data)


async def test_typed_messages_are_checked_behind_the_schema(client: Client) -> None:
    assert await client.request("chat.h.typed", {"name": "x"}) == {"name": "x", "n": 7}
    assert await client.request("chat.h.typed", {"name": "x", "n": -3}) == {"name": "x", "n": -3}


async def test_answers_that_do_not_fit_are_logged_and_answered(
    client: Client, expected_logs: ExpectedLogs
) -> None:
    assert await client.request("chat.h.strict") == {"text": "ok"}
    expected_logs("zchat.app", "chat.h.strict failed")
    assert await client.request("chat.h.strict", {"bad": 1}) == {}  # all that its schema can say
    expected_logs("zchat.app", "chat.h.wrong failed")
    assert (await client.request("chat.h.wrong"))["code"] == 500


async def test_a_frontends_own_answers_have_schemas_as_well(
    cluster: Cluster, client: Client
) -> None:
    assert await client.request("connector.h.ask", {"s": "abc"}) == {"s": "cba"}
    for server in ("chat-server-1", "chat-server-2"):
        await cluster.kill(server)
        cluster.unlist(server)
    answer = await client.request("chat.h.say", {"room": "room"})
    assert answer["code"] in (500, 503)
