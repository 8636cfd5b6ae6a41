"""Servers that call each other over real sockets."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.logs import ExpectedLogs
from tests.support.ports import free_ports
from tests.support.timing import MS, eventually
from zchat.cluster.context import Context
from zchat.cluster.curve import create_keys
from zchat.cluster.envelope import NOTIFY, Answer, Failure, Reply, Request
from zchat.cluster.limits import Limits
from zchat.cluster.rpc_server import RemotePeer
from zchat.config.topology import Server, Topology
from zchat.errors import BadRequest, ConfigError, RequestError, TimedOut, Unavailable
from zchat.framework.peers import node as module
from zchat.framework.peers.context import NOBODY, Origin, current
from zchat.framework.peers.methods import Methods
from zchat.framework.peers.node import Node, NodeEvents, Unlisted

_lives = itertools.count()


class Peer:
    """A node, its methods, and what it heard."""

    def __init__(self, server: Server, keys: Path | None = None) -> None:
        self.ups: list[tuple[str, bool]] = []
        self.lost: list[tuple[str, str]] = []
        self.casts: list[Any] = []
        self.requests: list[Request] = []
        self.origins: list[Origin] = []
        methods = Methods()
        for name in ("echo", "fail", "hang", "unpackable", "quit"):
            methods.add(name, getattr(self, name))
        methods.add_cast("tell", self.tell)
        methods.add_cast("stumble", self.stumble)
        self.context = Context()
        events = NodeEvents(
            lambda peer, restarted: self.ups.append((peer, restarted)),
            lambda peer, life: self.lost.append((peer, life)),
            self.request,
        )
        life = f"{next(_lives):016x}"
        self.node = Node(server, life, self.context, methods, events, Limits(), 5.0, keys)

    async def echo(self, value: Any) -> Any:
        self.origins.append(current.get())
        return value

    async def fail(self, code: int, fields: dict[str, Any]) -> None:
        raise RequestError.of(code, "refused", fields if code else {"what": object()})

    async def hang(self) -> None:
        await asyncio.Event().wait()

    async def unpackable(self) -> object:
        return object()

    async def quit(self) -> None:
        raise asyncio.CancelledError

    def tell(self, value: Any) -> None:
        self.casts.append(value)

    def stumble(self) -> None:
        raise ValueError("over it")

    def request(self, peer: RemotePeer, request: Request) -> None:
        self.requests.append(request)
        self.node.rpc_server.reply(peer, request.id, b"answer")

    async def close(self) -> None:
        await self.node.close()
        self.context.close()


class Bench:
    """Two backends and a frontend; the frontend and the first backend keep links."""

    def __init__(self) -> None:
        routers = free_ports(4)
        names = ("chat-1", "chat-2", "connector-1", "gate-1")
        self.servers = {
            name: Server(
                name,
                name.partition("-")[0],
                "127.0.0.1",
                port,
                1,
                frontend=name.startswith(("connector", "gate")),
            )
            for name, port in zip(names, routers, strict=True)
        }
        self.topology = Topology("test", tuple(self.servers.values()))
        self.peers: dict[str, Peer] = {}

    def start(self, name: str, *wanted: str) -> Peer:
        peer = self.peers[name] = Peer(self.servers[name])
        peer.node.bind()
        peer.node.follow(self.topology, [self.servers[other] for other in wanted])
        return peer

    async def stop(self, name: str) -> None:
        await self.peers.pop(name).close()


@asynccontextmanager
async def servers() -> AsyncIterator[Bench]:
    bench = Bench()
    try:
        yield bench
    finally:
        for name in list(bench.peers):
            await bench.stop(name)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with servers() as bench:
        bench.start("chat-1")
        bench.start("chat-2")
        bench.start("connector-1", "chat-1")
        await eventually(lambda: bench.peers["connector-1"].node.is_up("chat-1"))
        yield bench


# (who calls, whom): a frontend's own link, a backend back on that link, a link made when it is
# needed, and nobody else at all.
PATHS = [
    ("connector-1", "chat-1"),
    ("chat-1", "connector-1"),
    ("chat-1", "chat-2"),
    ("chat-1", "chat-1"),
]


@pytest.mark.parametrize(("caller", "callee"), PATHS)
async def test_calls_reach_any_server(bench: Bench, caller: str, callee: str) -> None:
    node = bench.peers[caller].node
    assert await node.call(callee, "echo", ({"a": [1, b"x"]},)) == {"a": [1, b"x"]}


@pytest.mark.parametrize(("caller", "callee"), PATHS)
async def test_the_origin_goes_along(bench: Bench, caller: str, callee: str) -> None:
    current.set(Origin("connector-1", 7, 42))
    await bench.peers[caller].node.call(callee, "echo", (1,))
    current.set(NOBODY)
    await bench.peers[caller].node.call(callee, "echo", (1,))
    assert bench.peers[callee].origins == [Origin("connector-1", 7, 42), NOBODY]


@pytest.mark.parametrize(("caller", "callee"), PATHS)
async def test_errors_come_back_as_they_were(bench: Bench, caller: str, callee: str) -> None:
    node = bench.peers[caller].node
    with pytest.raises(BadRequest, match="refused") as error:
        await node.call(callee, "fail", (400, {"path": "x"}))
    assert error.value.fields == {"path": "x"}
    with pytest.raises(BadRequest, match="arguments of fail"):
        await node.call(callee, "fail", (1,))
    with pytest.raises(RequestError, match="no method nothing"):
        await node.call(callee, "nothing", ())


@pytest.mark.parametrize(("caller", "callee"), PATHS)
async def test_fields_with_odd_names_and_values_do_no_harm(
    bench: Bench, caller: str, callee: str
) -> None:
    node = bench.peers[caller].node
    for name in ("peer", "request_id", "code", "message", "self", "error", "link"):
        with pytest.raises(RequestError, match="refused") as error:
            await node.call(callee, "fail", (500, {name: 1, "path": "x"}))
        assert error.value.fields["path"] == "x"
    with pytest.raises(RequestError, match="refused"):
        await node.call(callee, "fail", (0, {}))


@pytest.mark.parametrize("method", ["unpackable", "quit"])
@pytest.mark.parametrize(("caller", "callee"), PATHS)
async def test_what_is_no_request_error_is_told_to_the_log_only(
    bench: Bench, expected_logs: ExpectedLogs, caller: str, callee: str, method: str
) -> None:
    expected_logs("zchat.cluster", f"{method} from .* failed")
    with pytest.raises(RequestError, match="internal error") as error:
        await bench.peers[caller].node.call(callee, method, ())
    assert (error.value.code, error.value.fields, error.value.server) == (500, {}, callee)


@pytest.mark.parametrize(("caller", "callee"), PATHS)
async def test_a_call_that_takes_too_long(bench: Bench, caller: str, callee: str) -> None:
    node = bench.peers[caller].node
    call = asyncio.ensure_future(node.call(callee, "hang", (), 50 * MS))
    while not call.done():
        node.tick(asyncio.get_running_loop().time())
        await asyncio.sleep(5 * MS)
    with pytest.raises(TimedOut):
        await call
    await eventually(lambda: not bench.peers[callee].node.busy)


@pytest.mark.parametrize(("caller", "callee"), PATHS)
async def test_casts(bench: Bench, expected_logs: ExpectedLogs, caller: str, callee: str) -> None:
    expected_logs("zchat.cluster", f"from {caller}: no cast nothing")
    expected_logs("zchat.cluster", f"from {caller}: arguments of tell")
    expected_logs("zchat.cluster", f"stumble from {caller} failed")
    node = bench.peers[caller].node
    await node.call(callee, "echo", (1,))  # casts go to servers that are up
    casts: list[tuple[str, tuple[Any, ...]]] = [
        ("nothing", ()),
        ("tell", ()),
        ("stumble", ()),
        ("tell", (1,)),
        ("tell", (2,)),
    ]
    assert all(node.cast(callee, method, args) for method, args in casts)
    await eventually(lambda: len(bench.peers[callee].casts) == 2)
    assert bench.peers[callee].casts == [1, 2]


async def test_a_cast_to_one_life_of_a_frontend(bench: Bench) -> None:
    chat, connector = bench.peers["chat-1"].node, bench.peers["connector-1"]
    life = connector.node.incarnation
    assert chat.cast_to_life("connector-1", life, "tell", (1,))
    assert not chat.cast_to_life("connector-1", "another", "tell", (2,))
    assert not chat.cast_to_life("gate-1", life, "tell", (3,))
    assert chat.cast_to_life("chat-1", chat.incarnation, "tell", (4,))
    assert not chat.cast_to_life("chat-1", "another", "tell", (5,))
    await eventually(lambda: connector.casts == [1])
    assert bench.peers["chat-1"].casts == [4]


@pytest.mark.parametrize("server_id", ["gate-1", "nobody"])
async def test_servers_that_cannot_be_reached(bench: Bench, server_id: str) -> None:
    """A frontend that does not use us, and a server that is not listed."""
    chat = bench.peers["chat-1"].node
    with pytest.raises(Unavailable, match=server_id):
        await chat.call(server_id, "echo", (1,))
    assert not chat.cast(server_id, "tell", (1,))
    assert not chat.is_up(server_id)


async def test_who_is_up_and_who_started_again(bench: Bench) -> None:
    connector = bench.peers["connector-1"]
    assert connector.ups == [("chat-1", True)]
    assert connector.node.is_up("connector-1")
    await bench.stop("chat-1")
    bench.start("chat-1")
    await eventually(lambda: len(connector.ups) == 2, 10_000 * MS)
    assert connector.ups[1] == ("chat-1", True)


async def test_a_frontends_life_that_ends_is_told(bench: Bench) -> None:
    life = bench.peers["connector-1"].node.incarnation
    await bench.stop("connector-1")
    bench.start("connector-1", "chat-1")
    await eventually(lambda: bench.peers["chat-1"].lost)
    assert bench.peers["chat-1"].lost == [("connector-1", life)]


async def test_who_is_not_listed_any_more_is_let_go(bench: Bench) -> None:
    connector = bench.peers["connector-1"].node
    await connector.call("chat-2", "echo", (1,))
    connector.follow(Topology("test", (bench.servers["chat-1"],)), ())
    assert (connector.is_up("chat-1"), connector.is_up("chat-2")) == (True, False)
    with pytest.raises(Unavailable, match="no server chat-2"):
        await connector.call("chat-2", "echo", (1,))


@pytest.mark.parametrize("patient", [True, False])
async def test_a_call_that_waits_for_a_server_that_is_taken_out(
    bench: Bench, patient: bool
) -> None:
    """Nothing was sent: who called may ask another one."""
    connector = bench.peers["connector-1"].node
    await bench.stop("chat-2")
    waiting = asyncio.ensure_future(connector.call("chat-2", "echo", (1,), patient=patient))
    await asyncio.sleep(0)
    connector.follow(Topology("test", (bench.servers["chat-1"],)), ())
    with pytest.raises(Unlisted, match="could not reach chat-2"):
        await waiting


async def test_a_call_that_was_sent_to_a_server_that_is_taken_out(bench: Bench) -> None:
    """Whether it was done is not known: it must not be done by another one as well."""
    connector = bench.peers["connector-1"].node
    assert await connector.call("chat-2", "echo", (1,)) == 1
    waiting = asyncio.ensure_future(connector.call("chat-2", "hang", ()))
    await eventually(lambda: bench.peers["chat-2"].node.busy)
    connector.follow(Topology("test", (bench.servers["chat-1"],)), ())
    with pytest.raises(Unavailable, match="lost the link to chat-2") as lost:
        await waiting
    assert not isinstance(lost.value, Unlisted)


async def test_ticks_come_quickly_while_an_answer_is_waited_for(bench: Bench) -> None:
    node = bench.peers["connector-1"].node
    stirred: list[None] = []
    node.stir = lambda: stirred.append(None)
    node.tick(time.monotonic())
    assert stirred == []
    waiting = asyncio.ensure_future(node.call("chat-1", "hang", (), 60.0))
    await eventually(lambda: bench.peers["chat-1"].node.busy)
    stirred.clear()
    node.tick(time.monotonic())
    assert len(stirred) == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    stirred.clear()
    node.tick(time.monotonic())
    assert stirred == []


def ask(bench: Bench, kind: int = 0) -> list[Answer]:
    """Forward a client's request to chat-1; the answers come into the list."""
    answers: list[Answer] = []
    client = bench.peers["connector-1"].node.client
    client.request("chat-1", "chat.x.y", b"session", b"body", 5.0, kind, answers.append, 42)
    return answers


async def test_requests_of_clients_are_handed_on(bench: Bench) -> None:
    answers = ask(bench)
    await eventually(lambda: answers)
    assert isinstance(answers[0], Reply)
    assert answers[0].body == b"answer"
    (request,) = bench.peers["chat-1"].requests
    assert (request.route, request.body, request.message_id) == ("chat.x.y", b"body", 42)


async def test_when_full_requests_are_refused_and_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_LIMIT", 1)
    chat = bench.peers["chat-1"].node
    chat.spawn(asyncio.sleep(60), "work")
    answers = ask(bench)
    await eventually(lambda: answers)
    failure = answers[0]
    assert isinstance(failure, Failure)
    assert (failure.code, failure.fields) == (503, {"retry": True})
    ask(bench, NOTIFY)
    await eventually(lambda: chat.refused == 2)
    assert chat.counters["requests_refused"] == 2
    assert bench.peers["chat-1"].requests == []


async def test_who_is_about_to_stop_is_up_but_not_alive(bench: Bench) -> None:
    connector, chat = bench.peers["connector-1"].node, bench.peers["chat-1"].node
    assert connector.is_alive("chat-1")
    assert not connector.is_alive("chat-2")
    chat.speak_of_stopping()
    await eventually(lambda: not connector.is_alive("chat-1"))
    assert connector.is_up("chat-1")
    assert not chat.is_alive("chat-1")


async def test_who_links_later_is_told_of_the_stop_too(bench: Bench) -> None:
    bench.peers["chat-1"].node.speak_of_stopping()
    gate = bench.start("gate-1", "chat-1").node
    await eventually(lambda: gate.is_up("chat-1"))
    await eventually(lambda: not gate.is_alive("chat-1"))


async def test_the_next_life_of_who_stopped_is_alive(bench: Bench) -> None:
    connector = bench.peers["connector-1"].node
    bench.peers["chat-1"].node.speak_of_stopping()
    await eventually(lambda: not connector.is_alive("chat-1"))
    await bench.stop("chat-1")
    bench.start("chat-1")
    await eventually(lambda: connector.is_alive("chat-1"))


async def test_calls_of_a_life_that_ended_before_they_ran_do_not_run(bench: Bench) -> None:
    """What a frontend claimed must not come after its loss."""
    chat = bench.peers["chat-1"]
    peer = chat.node.rpc_server.peers["connector-1"]
    call = asyncio.ensure_future(bench.peers["connector-1"].node.call("chat-1", "echo", (1,)))
    ran: list[str] = []
    spawn: Callable[..., None] = chat.node.spawn

    def lost_meanwhile(work: Any, name: str) -> None:
        spawn(work, name)
        ran.append(name)
        peer.alive = False

    chat.node.spawn = lost_meanwhile  # type: ignore[method-assign]
    await eventually(lambda: ran)
    await eventually(lambda: not chat.node.busy)
    assert chat.origins == []
    peer.alive = True
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_closing_ends_what_is_under_way(bench: Bench) -> None:
    chat = bench.peers["chat-1"].node
    call = asyncio.ensure_future(bench.peers["connector-1"].node.call("chat-1", "hang", (), 5))
    await eventually(lambda: chat.busy == 1)
    await chat.close()
    assert chat.busy == 0
    await chat.close()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_a_closed_node_makes_no_link(bench: Bench) -> None:
    connector = bench.peers["connector-1"].node
    await connector.close()
    assert not connector.cast("chat-1", "noted", ())
    with pytest.raises(Unavailable):
        await connector.call("chat-1", "echo", (), 5)
    assert connector.client.peers == {}


async def test_arguments_that_cannot_be_packed_are_the_callers_error(bench: Bench) -> None:
    for callee in ("chat-1", "connector-1"):
        with pytest.raises(TypeError):
            await bench.peers["chat-1"].node.call(callee, "echo", (object(),))


async def test_keys_of_others(tmp_path: Path) -> None:
    create_keys(tmp_path, "chat-2")
    bench = Bench()
    with_keys, without = (Peer(bench.servers["chat-1"], keys) for keys in (tmp_path, None))
    try:
        assert without.node.key_of("chat-2") is None
        assert len(with_keys.node.key_of("chat-2") or b"") == 40
        with pytest.raises(ConfigError, match="connector-1"):
            with_keys.node.key_of("connector-1")
    finally:
        await with_keys.close()
        await without.close()


def test_origins_are_small() -> None:
    """One goes along with every call."""
    assert len(msgspec.msgpack.encode(Origin("connector-server-1", 100_000, 1000))) < 32
