"""What an author says, and where it holds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zchat import Application, Component, Handler, retry
from zchat.config.topology import Server, Topology
from zchat.framework.app.plan import Names
from zchat.framework.handlers.dispatcher import Dispatcher
from zchat.framework.peers.router import by_channel


class Node:
    """Answers calls and knows who is up."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def is_alive(self, server_id: str) -> bool:
        return server_id == "chat-2"

    async def call(self, *args: Any, **how: bool) -> str:
        self.calls.append(args)
        return "result"


SERVERS = tuple(
    Server(name, name.partition("-")[0], "127.0.0.1", 1, 2)
    for name in ("chat-1", "chat-2", "gate-1")
)


def work(server_id: str = "chat-1", environment: str = "test") -> Any:
    """A server at work, as far as an application looks at it."""
    topology = Topology(environment, SERVERS)
    servers = SimpleNamespace(environment=environment, topology=topology)
    channels = SimpleNamespace(owner=lambda name: "chat-2")
    return SimpleNamespace(
        server=topology.get(server_id),
        settings="settings",
        servers=servers,
        channels=channels,
        node=Node(),
    )


class Session:
    uid = "alice"
    id = 1

    def get(self, key: str) -> Any:
        return "lobby"


@pytest.fixture
def app() -> Application:
    return Application(__file__)


def test_it_knows_where_it_stands(app: Application) -> None:
    assert app.root == Path(__file__).parent
    assert app.handlers() == app.remotes() == []


@pytest.mark.parametrize("name", ["server", "settings", "environment", "channels", "server_types"])
def test_what_only_a_server_at_work_knows(app: Application, name: str) -> None:
    with pytest.raises(RuntimeError, match="not at work"):
        getattr(app, name)
    assert getattr(app.at(work()), name)


def test_servers_listed_and_alive(app: Application) -> None:
    at_work = app.at(work())
    assert [server.id for server in at_work.servers("chat")] == ["chat-1", "chat-2"]
    assert [server.id for server in at_work.servers("chat", alive=True)] == ["chat-2"]
    assert at_work.servers("nothing") == ()
    assert at_work.server_types == ("chat", "gate")


@pytest.mark.parametrize(
    ("environments", "types", "runs"),
    [
        ((), (), True),
        (("test",), (), True),
        (("production",), (), False),
        ((), ("gate", "chat"), True),
        ((), ("gate",), False),
        (("test",), ("gate",), False),
        ("test|production", "gate|chat", True),
        ("production", "chat", False),
    ],
)
def test_configuring_some_servers(
    app: Application, environments: Names, types: Names, runs: bool
) -> None:
    seen: list[Application] = []
    app.configure(seen.append, environments=environments, types=types)
    at_work = app.at(work())
    assert seen == ([at_work] if runs else [])


def test_configure_is_a_decorator_with_and_without_arguments(app: Application) -> None:
    seen: list[str] = []

    @app.configure
    def everywhere(here: Application) -> None:
        seen.append("everywhere")

    @app.configure(environments="test", types="gate")
    def gates(here: Application) -> None:
        seen.append("gates")

    app.at(work("gate-1"))
    app.at(work("chat-1"))
    assert seen == ["everywhere", "gates", "everywhere"]


def test_what_is_configured_for_one_server_holds_there_only(app: Application) -> None:
    def configure(here: Application) -> None:
        here.route("chat", lambda *_: "chat-1")
        here.watch("gate", "chat")
        here.own_channels("chat", posts="onNews")
        here.presence(joined="onJoin", left="onLeave")

    app.watch("gate", "connector")
    app.configure(configure, types=["gate"])
    gate, chat = app.at(work("gate-1")), app.at(work("chat-1"))
    assert list(gate.watched("gate")) == ["connector", "chat"]
    assert list(chat.watched("gate")) == list(app.watched("gate")) == ["connector"]
    assert gate.routers.pick("chat", Session(), "chat.x.y", b"") == "chat-1"
    assert (gate.channel_types, chat.channel_types) == (frozenset({"chat"}), None)
    assert (gate.posts, chat.posts) == ("onNews", "")
    assert (gate.presence_pushes.joined, chat.presence_pushes.joined) == ("onJoin", "")


def test_presence_pushes_have_a_body_without_being_told(app: Application) -> None:
    app.presence(joined="onJoin")
    assert app.presence_pushes.body("alice", "onJoin") == {"uid": "alice"}
    app.presence(body=lambda uid, route: {"who": uid})
    assert app.presence_pushes.body("alice", "onJoin") == {"who": "alice"}


async def test_calls_go_by_the_routers_through_the_node(app: Application) -> None:
    app.route("chat", by_channel("rid"))
    running = work()
    at_work = app.at(running)
    assert at_work.rpc is at_work.rpc
    assert await at_work.rpc.chat.chat_remote.add(Session(), 1, timeout=2.0) == "result"
    assert running.node.calls == [("chat-2", "remote.chat.chatRemote.add", (1,), 2.0)]


def test_applications_at_work_do_not_share_instances(app: Application) -> None:
    class WithApp(Handler):
        pass

    class Without:
        pass

    one, other = app.at(work()), app.at(work())
    handler = one.instance(WithApp)
    assert handler.app is one
    assert one.instance(WithApp) is handler
    assert other.instance(WithApp).app is other
    assert isinstance(one.instance(Without), Without)


def test_handlers_remotes_and_what_may_be_retried(tmp_path: Path) -> None:
    for kind in ("handler", "remote"):
        file = tmp_path / "servers" / "chat" / kind / f"x_{kind}.py"
        file.parent.mkdir(parents=True)
        base = kind.title()
        file.write_text(
            f"from zchat import {base}, retry\n"
            f"class X{base}({base}):\n"
            "    @retry\n"
            "    async def safe(self, msg, session): return {}\n"
            "    async def other(self, msg, session): return {}\n"
        )
    app = Application(str(tmp_path / "app.py"))
    assert [str(entry.route) for entry in app.handlers()] == [
        "chat.xHandler.other",
        "chat.xHandler.safe",
    ]
    assert [str(entry.route) for entry in app.remotes("chat")] == [
        "chat.xRemote.other",
        "chat.xRemote.safe",
    ]
    assert app.handlers("gate") == []
    assert app.retried_routes() == {"chat.xHandler.safe"}
    at_work = app.at(work())
    assert set(Dispatcher(at_work.handlers("chat"), at_work.instance).table) == {
        "chat.xHandler.other",
        "chat.xHandler.safe",
    }


def test_retry_is_for_functions_with_any_name() -> None:
    async def anything() -> None: ...

    assert retry(anything) is anything


# What holds for one server


def test_what_is_said_for_one_server_holds_there_only(app: Application) -> None:
    async def audit(call: Any, msg: Any, session: Any) -> Any: ...

    @app.configure
    def configure(here: Application) -> None:
        if here.server.type == "gate":
            here.set("motd", "welcome")
            here.filter(audit)
            here.before_start(print)
            here.on_error(lambda error, msg, session: None)

    app.set("motd", "hello")
    gate, chat = app.at(work("gate-1")), app.at(work("chat-1"))
    assert (gate.get("motd"), chat.get("motd"), app.get("motd")) == ("welcome", "hello", "hello")
    assert (gate.hooks("before_start", "gate"), chat.hooks("before_start", "gate")) == ([print], [])
    assert len(gate.error_handlers("gate")) == 1
    assert app.error_handlers("gate") == chat.error_handlers("gate") == []


def test_each_server_has_components_of_its_own(app: Application) -> None:
    class Clock(Component):
        pass

    app.add(Clock, types="chat")
    one, other, gate = app.at(work("chat-1")), app.at(work("chat-2")), app.at(work("gate-1"))
    assert one.component(Clock).app is one
    assert other.component(Clock) is not one.component(Clock)
    with pytest.raises(LookupError, match="no component Clock on this server; there are: none"):
        gate.component(Clock)
    assert list(app.configured(work("chat-1")).components) == []


def test_hooks_of_a_server_type_stand_in_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "servers" / "chat" / "lifecycle.py"
    file.parent.mkdir(parents=True)
    file.write_text("def on_server_added(app, server): ...\nasync def before_stop(app): ...\n")
    app = Application(str(tmp_path / "app.py"))
    chat, gate = app.at(work("chat-1")), app.at(work("gate-1"))
    assert len(chat.hooks("on_server_added", "chat")) == len(chat.hooks("before_stop", "chat")) == 1
    assert gate.hooks("before_stop", "gate") == app.hooks("before_stop", "chat") == []
