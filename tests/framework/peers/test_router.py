"""Which server runs a request."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from tests.support.logs import ExpectedLogs
from zchat.config.topology import Server
from zchat.errors import BadRequest, RequestError, Unavailable
from zchat.framework.peers.router import (
    RoutedMessage,
    Router,
    Routers,
    at_random,
    by_channel,
    by_session,
    least_connections,
)
from zchat.protocol.schema import compile_routes, parse
from zchat.rendezvous import choose

CHATS = tuple(Server(f"chat-{n}", "chat", "127.0.0.1", 1, 2) for n in (1, 2, 3))
IDS = [server.id for server in CHATS]
GATE = Server("gate-1", "gate", "127.0.0.1", 3, 4, client_port=5, frontend=True)


class Session:
    def __init__(self, uid: str = "", id: int = 1, **settings: Any) -> None:  # noqa: A002
        self.uid = uid
        self.id = id
        self._settings = settings

    def get(self, key: str) -> Any:
        return self._settings.get(key)


class Channels:
    """Knows one owner of everything."""

    def __init__(self, owner: str | None) -> None:
        self._owner = owner

    def owner(self, name: str) -> str | None:
        return self._owner


class Cluster:
    server_types = ("chat", "empty")

    def __init__(self, owner: str | None = None) -> None:
        self.channels = Channels(owner)

    def servers(self, server_type: str, /) -> tuple[Server, ...]:
        return {"chat": CHATS, "gate": (GATE,)}.get(server_type, ())

    def least_loaded(self, servers: Sequence[Server], /) -> Server | None:
        return servers[1]


def pick(
    router: Router, session: Session | None = None, raw: bytes = b"", owner: str | None = None
) -> str:
    routers = Routers(Cluster(owner), {"chat": router})
    return routers.pick("chat", session or Session(), "chat.chatHandler.send", raw)


def test_by_default_a_uid_goes_to_one_server() -> None:
    routers = Routers(Cluster(), {})
    picked = [routers.pick("chat", Session("alice", n), "chat.x.y", b"") for n in range(5)]
    assert picked == [choose("alice", IDS)] * 5


def test_sessions_without_a_uid_are_spread() -> None:
    assert {pick(by_session(), Session(id=n)) for n in range(50)} == set(IDS)


def test_by_a_setting_of_the_session() -> None:
    picked = {pick(by_session("team"), Session("alice", n, team="red")) for n in range(5)}
    assert picked == {choose("red", IDS)}
    assert pick(by_session("team"), Session("alice")) == choose("alice", IDS)
    assert pick(by_session("team"), Session(id=7, team="")) == choose("7", IDS)


def test_to_the_least_loaded() -> None:
    assert pick(least_connections()) == "chat-2"


def test_at_random() -> None:
    router = at_random(Random(1))
    assert {pick(router) for _ in range(50)} == set(IDS)


def test_a_router_for_all_types_without_one() -> None:
    routers = Routers(Cluster(), {"*": lambda *_: "chat-3"})
    assert routers.pick("chat", Session(), "chat.x.y", b"") == "chat-3"
    routers = Routers(Cluster(), {"*": lambda *_: "chat-3", "chat": lambda *_: "chat-1"})
    assert routers.pick("chat", Session(), "chat.x.y", b"") == "chat-1"


def test_by_channel_goes_to_its_owner() -> None:
    assert pick(by_channel("rid"), Session(rid="lobby"), owner="chat-2") == "chat-2"


@pytest.mark.parametrize("owner", [None, "area-1"])
def test_without_an_owner_of_the_type_the_name_decides(owner: str | None) -> None:
    chosen = pick(by_channel("rid"), Session(rid="lobby"), owner=owner)
    assert chosen == choose("lobby", IDS)


def test_by_channel_without_a_channel() -> None:
    with pytest.raises(RequestError, match="no rid yet"):
        pick(by_channel("rid"))


def test_routers_may_look_at_the_message() -> None:
    def router(session: Any, msg: RoutedMessage, app: Any, servers: Any) -> Server:
        assert msg.route == "chat.chatHandler.send"
        found: Server = servers[msg.body["n"]]
        return found

    assert pick(router, raw=b'{"n":1}') == "chat-2"


@pytest.mark.parametrize("raw", [b"{}", b"no json", b'{"n":99}', b'{"n":"x"}', b"[]"])
def test_a_router_that_stumbles_over_a_clients_bytes_is_logged_and_refuses(
    raw: bytes, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.app", "the router of chat failed")
    with pytest.raises(RequestError, match="internal error"):
        pick(lambda session, msg, app, servers: servers[msg.body["n"]], raw=raw)


@pytest.mark.parametrize("answer", [None, "", "chat-9", Server("gate-1", "gate", "h", 1, 2)])
def test_a_server_that_is_not_there_is_unavailable(answer: Server | str | None) -> None:
    with pytest.raises(Unavailable, match="no server of type chat for this request"):
        pick(lambda *_: answer)


def test_what_a_router_refuses_is_told() -> None:
    def refuse(*_: Any) -> str:
        raise RequestError("not today", code=418)

    with pytest.raises(RequestError, match="not today"):
        pick(refuse)


def test_types_without_servers() -> None:
    routers = Routers(Cluster(), {})
    with pytest.raises(Unavailable):
        routers.pick("empty", Session(), "empty.x.y", b"")
    with pytest.raises(RequestError) as refused:
        routers.pick("x" * 1000, Session(), "x.y.z", b"")
    assert not isinstance(refused.value, Unavailable)
    assert len(refused.value.message) < 100


def test_frontends_are_called_by_servers_and_not_by_clients_of_others() -> None:
    routers = Routers(Cluster(), {})
    assert routers.pick("gate", Session(), "gate.gateRemote.x", None) == "gate-1"
    with pytest.raises(RequestError, match="only clients that connect to them") as refused:
        routers.pick("gate", Session(), "gate.gateHandler.queryEntry", b"{}")
    assert refused.value.body()["code"] == 500
    assert "retry" not in refused.value.body()


def test_a_router_reads_bodies_by_their_schema() -> None:
    routers = Routers(Cluster(), {"chat": lambda session, msg, app, servers: msg.body["to"]})
    routers.schemas = compile_routes(parse({"chat.h.say": {"optional string to": 1}}).messages)
    assert routers.pick("chat", Session(), "chat.h.say", b"\x0a\x06chat-2") == "chat-2"
    assert routers.pick("chat", Session(), "chat.h.other", b'{"to":"chat-3"}') == "chat-3"
    with pytest.raises(BadRequest, match="expected 6 bytes") as caught:
        routers.pick("chat", Session(), "chat.h.say", b"\x0a\x06chat")
    assert caught.value.fields == {"path": "to"}
