from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.client.fake_server import (
    DICTIONARY,
    NO_ANSWER,
    FakeServer,
    GreetingHandshake,
    fake_server,
)
from zchat.client import (
    Backoff,
    Client,
    Disconnected,
    Ending,
    State,
    StateChange,
    connect,
    raise_for_code,
)
from zchat.errors import ProtocolError, RequestError, TimedOut, Unavailable
from zchat.protocol.handshake import ServerHandshake
from zchat.protocol.protos import NO_PROTOS, Protos
from zchat.protocol.schema import parse

ECHO = "test.testHandler.echo"
HUNG = "test.testHandler.hang"
GATE = "gate.gateHandler.queryEntry"


@pytest_asyncio.fixture
async def gate(server: FakeServer) -> AsyncIterator[FakeServer]:
    """A second server, which sends everybody to the first."""
    async with fake_server() as started:
        started.handlers[GATE] = lambda body: {
            "code": 200,
            "host": "127.0.0.1",
            "port": server.port,
        }
        yield started


class Watch:
    """Records the states of a client and waits for one."""

    def __init__(self, client: Client) -> None:
        self.changes: list[StateChange] = []
        self._changed = asyncio.Event()
        client.on_state(self._note)

    def _note(self, change: StateChange) -> None:
        self.changes.append(change)
        self._changed.set()

    @property
    def states(self) -> list[str]:
        return [change.state.value for change in self.changes]

    async def until(self, state: State, count: int = 1) -> StateChange:
        """The `count`th change to this state."""
        while True:
            found = [change for change in self.changes if change.state is state]
            if len(found) >= count:
                return found[count - 1]
            self._changed.clear()
            await self._changed.wait()


class Sleeper:
    """Sleeps no time and remembers how long it should have."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    async def __call__(self, delay: float) -> None:
        self.delays.append(delay)
        await asyncio.sleep(0.005)  # lets a server that restarts get to it


def returning(server: FakeServer, sleep: Sleeper | None = None, **options: Any) -> Client:
    """A client whose attempts follow each other without a pause."""
    return connect(
        server.url,
        backoff=Backoff(base=1.0, cap=8.0, random=lambda: 1.0),
        sleep=sleep or Sleeper(),
        **options,
    )


async def test_directly_to_a_connector(server: FakeServer) -> None:
    async with connect(server.url, user={"n": 1}) as client:
        assert client.state is State.ONLINE
        assert await client.request(ECHO, {"a": 1}) == {"a": 1}
        assert await client.request(ECHO) == {}
        await client.notify(ECHO, {"b": 2})
        await server.until(lambda: len(server.messages) == 3)
        assert server.requests[0].user == {"n": 1}
        assert server.requests[0].client_type == "zchat-python"
    assert client.state.value == "offline"
    assert server.messages[2].body == b'{"b":2}'


async def test_through_the_gate(server: FakeServer, gate: FakeServer) -> None:
    async with connect(gate.url, uid="alice") as client:
        assert await client.request(ECHO, {"a": 1}) == {"a": 1}
        assert [received.body for received in gate.messages] == [b'{"uid":"alice"}']
        assert gate.connections == []
        assert len(server.connections) == 1
        # The gate told the dictionary; the connector has the same one and need not.
        assert server.requests[0].dict_version == DICTIONARY.version


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ({"code": 500}, RequestError, "answered with code 500"),
        ({"code": 503, "error": "no connector", "retry": True}, RequestError, "no connector"),
        ({"code": 200}, ProtocolError, "names no host and port"),
        ({"code": 200, "host": "127.0.0.1", "port": "1"}, ProtocolError, "no host and port"),
        ([], ProtocolError, "no object"),
    ],
)
async def test_gate_that_helps_nobody(
    gate: FakeServer, answer: Any, error: type[Exception], text: str
) -> None:
    gate.handlers[GATE] = lambda body: answer
    client = connect(gate.url, uid="alice")
    with pytest.raises(error, match=text):
        await client.start()
    assert client.state is State.OFFLINE


async def test_start_that_fails_says_so_at_once() -> None:
    async with fake_server() as server:
        url = server.url
    client = connect(url)
    watch = Watch(client)
    with pytest.raises(Disconnected, match="cannot connect"):
        await client.start()
    assert watch.states == ["connecting", "offline"]
    with pytest.raises(Disconnected, match="not connected: offline"):
        await client.request(ECHO)
    with pytest.raises(Disconnected, match="not connected: offline"):
        await client.notify(ECHO)
    await client.close()


async def test_start_twice(server: FakeServer) -> None:
    async with connect(server.url) as client:
        with pytest.raises(RuntimeError, match="client that is online"):
            await client.start()
        await client.close()
        await client.start()
        assert await client.request(ECHO) == {}


@pytest.mark.parametrize("url", ["127.0.0.1:3014", "http://127.0.0.1", ""])
def test_urls_of_other_kinds(url: str) -> None:
    with pytest.raises(ValueError, match="expected ws://"):
        connect(url)


async def test_pushes(server: FakeServer) -> None:
    async with connect(server.url) as client:
        first: list[Any] = []
        second: list[Any] = []
        off = client.on("onNews", first.append)
        client.on("onNews", second.append)
        client.on("onOther", second.append)
        server.push("onNews", {"n": 1})
        server.push("onUnheard", {})
        server.push("onOther", {"n": 2})
        await client.request(ECHO)
        off()
        off()
        server.push("onNews", {"n": 3})
        await client.request(ECHO)
        assert first == [{"n": 1}]
        assert second == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_pushes_of_any_route(server: FakeServer) -> None:
    async with connect(server.url) as client:
        pushes: list[tuple[str, Any]] = []
        news: list[Any] = []
        off = client.on_any(lambda route, body: pushes.append((route, body)))
        client.on("onNews", news.append)
        server.push("onNews", {"n": 1})
        server.push("onOther", {"n": 2})
        await client.request(ECHO)
        off()
        server.push("onNews", {"n": 3})
        await client.request(ECHO)
        assert pushes == [("onNews", {"n": 1}), ("onOther", {"n": 2})]
        assert news == [{"n": 1}, {"n": 3}]


async def test_callback_that_fails_disturbs_nobody(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(server.url) as client:
        heard: list[Any] = []

        def fail(body: Any) -> None:
            raise KeyError("mine")

        client.on("onNews", fail)
        client.on("onNews", heard.append)
        with caplog.at_level(logging.CRITICAL, "zchat.client"):
            server.push("onNews", {"n": 1})
            server.push("onNews", {"n": 2})
            await client.request(ECHO)
        assert heard == [{"n": 1}, {"n": 2}]


async def test_push_that_is_not_json_is_dropped(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(server.url) as client:
        heard: list[Any] = []
        client.on("onNews", heard.append)
        server.connections[0].say(bytes.fromhex("04000004070003") + b"{")
        await client.request(ECHO)
        assert heard == []
        assert "a push on onNews is dropped" in caplog.text


async def test_next_push(server: FakeServer) -> None:
    async with connect(server.url) as client:
        waiting = asyncio.create_task(client.next_push("onNews", 5.0))
        await client.request(ECHO)
        server.push("onNews", {"n": 1})
        server.push("onNews", {"n": 2})
        assert await waiting == {"n": 1}
        with pytest.raises(TimedOut, match=r"no push on onNews within 0.01 s"):
            await client.next_push("onNews", 0.01)


async def test_time_limits_of_requests(server: FakeServer) -> None:
    server.handlers[HUNG] = lambda body: NO_ANSWER
    async with connect(server.url, timeout=0.01) as client:
        with pytest.raises(TimedOut):
            await client.request(HUNG)
        assert await client.request(ECHO, {"a": 1}, timeout=5.0) == {"a": 1}


async def test_log_in_comes_before_online(server: FakeServer) -> None:
    states: list[State] = []

    async def log_in(client: Client) -> None:
        states.append(client.state)
        await client.request(ECHO, {"name": "alice"})

    async with connect(server.url, log_in=log_in) as client:
        assert states == [State.CONNECTING]
        assert client.state is State.ONLINE


@pytest.mark.parametrize("error", [RequestError("name taken"), KeyError("bug")])
async def test_log_in_that_fails_at_start(server: FakeServer, error: Exception) -> None:
    async def log_in(client: Client) -> None:
        raise error

    client = connect(server.url, log_in=log_in)
    with pytest.raises(type(error)):
        await client.start()
    assert client.state is State.OFFLINE
    await client.close()


async def test_comes_back_and_logs_in_again(server: FakeServer) -> None:
    sleep = Sleeper()

    async def log_in(client: Client) -> None:
        await client.request(ECHO, {"name": "alice"})

    client = returning(server, sleep, log_in=log_in)
    watch = Watch(client)
    async with client:
        heard: list[Any] = []
        client.on("onNews", heard.append)
        server.connections[0].drop()
        change = await watch.until(State.RECONNECTING)
        assert (change.delay, change.ending) == (1.0, Ending("connection lost", reconnect=True))
        await watch.until(State.ONLINE, 2)
        server.push("onNews", {"n": 1})
        await client.request(ECHO)
        assert heard == [{"n": 1}]
    assert [received.body for received in server.messages[:2]] == [b'{"name":"alice"}'] * 2
    assert [request.dict_version for request in server.requests] == [None, DICTIONARY.version]
    assert watch.states == [
        "connecting",
        "online",
        "reconnecting",
        "connecting",
        "online",
        "offline",
    ]
    assert sleep.delays == [1.0]


async def test_comes_back_through_the_gate(server: FakeServer, gate: FakeServer) -> None:
    client = returning(gate, uid="alice")
    watch = Watch(client)
    async with client, fake_server() as other:
        gate.handlers[GATE] = lambda body: {"code": 200, "host": "127.0.0.1", "port": other.port}
        await server.stop()
        await watch.until(State.ONLINE, 2)
        assert len(other.connections) == 1
        assert await client.request(ECHO, {"a": 1}) == {"a": 1}


async def test_backs_off_while_the_server_is_away(server: FakeServer) -> None:
    sleep = Sleeper()
    client = returning(server, sleep)
    watch = Watch(client)
    async with client:
        await server.stop()
        await watch.until(State.RECONNECTING, 5)
        server.start()
        await watch.until(State.ONLINE, 2)
        assert sleep.delays[:5] == [1.0, 2.0, 4.0, 8.0, 8.0]
        # It was online for a moment only: the next loss does not start from the beginning.
        server.connections[0].drop()
        assert (await watch.until(State.RECONNECTING, len(sleep.delays) + 1)).delay == 8.0


async def test_log_in_that_is_refused_for_a_while(server: FakeServer) -> None:
    answers = iter([{}, {"code": 500, "error": "still there"}, {"code": 500}, {}])
    server.handlers[ECHO] = lambda body: next(answers)

    async def log_in(client: Client) -> None:
        raise_for_code(await client.request(ECHO))

    client = returning(server, log_in=log_in)
    watch = Watch(client)
    async with client:
        server.connections[0].drop()
        await watch.until(State.ONLINE, 2)
    endings = [change.ending for change in watch.changes if change.state is State.RECONNECTING]
    assert [ending.reason for ending in endings if ending is not None] == [
        "connection lost",
        "cannot log in: still there",
        "cannot log in: answered with code 500",
    ]


async def test_connection_lost_during_log_in(server: FakeServer) -> None:
    losses = iter([False, True, True, False])

    async def log_in(client: Client) -> None:
        if next(losses):
            server.connections[-1].drop()
            with pytest.raises(Disconnected):
                await client.request(ECHO)

    client = returning(server, log_in=log_in)
    watch = Watch(client)
    async with client:
        server.connections[0].drop()
        await watch.until(State.ONLINE, 2)
        assert await client.request(ECHO, {"a": 1}) == {"a": 1}
        assert watch.states.count("reconnecting") == 3


async def test_log_in_with_a_bug_ends_it(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    bugs: list[Exception] = []

    async def log_in(client: Client) -> None:
        if bugs:
            raise bugs[0]
        bugs.append(KeyError("bug"))

    client = returning(server, log_in=log_in)
    watch = Watch(client)
    async with client:
        server.connections[0].drop()
        change = await watch.until(State.OFFLINE)
        assert change.ending == Ending("KeyError('bug')", reconnect=False)
        assert "log_in failed" in caplog.text


async def test_kick_is_final_and_says_why(server: FakeServer) -> None:
    client = returning(server)
    watch = Watch(client)
    async with client:
        await client.request(ECHO)  # then the server has our confirmation, and may kick
        server.connections[0].kick("because", 4500)
        change = await watch.until(State.OFFLINE)
        assert change.ending == Ending("because", reconnect=False, kicked=True, code=4500)
        with pytest.raises(Disconnected, match="offline"):
            await client.request(ECHO)
    assert watch.states == ["connecting", "online", "offline"]


async def test_kick_that_invites_to_come_back(server: FakeServer) -> None:
    client = returning(server)
    watch = Watch(client)
    async with client:
        await client.request(ECHO)
        server.connections[0].kick("slow reader", 4002)
        change = await watch.until(State.RECONNECTING)
        assert change.ending == Ending("slow reader", reconnect=True, kicked=True, code=4002)
        await watch.until(State.ONLINE, 2)


async def test_refused_on_the_way_back(server: FakeServer) -> None:
    client = returning(server)
    watch = Watch(client)
    async with client:
        server.handshake = ServerHandshake(check_client=lambda kind, version: False)
        server.connections[0].drop()
        change = await watch.until(State.OFFLINE)
        assert change.ending is not None
        assert change.ending.reason == "handshake refused with code 501"


async def test_without_reconnect(server: FakeServer) -> None:
    client = returning(server, reconnect=False)
    watch = Watch(client)
    async with client:
        server.connections[0].drop()
        await watch.until(State.OFFLINE)
    assert watch.states == ["connecting", "online", "offline"]


async def test_closed_while_it_waits_to_come_back(server: FakeServer) -> None:
    async def forever(delay: float) -> None:
        await asyncio.Event().wait()

    client = connect(server.url, sleep=forever)
    watch = Watch(client)
    await client.start()
    server.connections[0].drop()
    await watch.until(State.RECONNECTING)
    await client.close()
    await client.close()
    assert watch.states == ["connecting", "online", "reconnecting", "offline"]


def closes_at(state: State, client: Client) -> list[asyncio.Task[None]]:
    """Closes the client in the moment it reaches a state; gives the closing tasks."""
    closing: list[asyncio.Task[None]] = []

    def close(change: StateChange) -> None:
        if change.state is state and not closing:
            closing.append(asyncio.ensure_future(client.close()))

    client.on_state(close)
    return closing


@pytest.mark.parametrize("state", [State.RECONNECTING, State.CONNECTING])
async def test_closed_by_a_watcher(server: FakeServer, state: State) -> None:
    client = returning(server)
    watch = Watch(client)
    await client.start()
    closing = closes_at(state, client)
    server.connections[0].drop()
    await watch.until(State.OFFLINE)
    await asyncio.gather(*closing)
    assert client.state is State.OFFLINE


async def test_closed_during_log_in(server: FakeServer) -> None:
    async def log_in(client: Client) -> None:
        await client.close()

    client = connect(server.url, log_in=log_in)
    with pytest.raises(Disconnected, match="closed by this client"):
        await client.start()
    assert client.state is State.OFFLINE


async def test_requests_that_wait_fail_when_it_is_closed(server: FakeServer) -> None:
    server.handlers[HUNG] = lambda body: NO_ANSWER
    client = connect(server.url)
    await client.start()
    asking = asyncio.create_task(client.request(HUNG))
    await server.until(lambda: len(server.messages) == 1)
    await client.close()
    with pytest.raises(Disconnected, match="closed by this client"):
        await asking


async def test_too_many_requests_wait(server: FakeServer) -> None:
    server.handlers[HUNG] = lambda body: NO_ANSWER
    async with connect(server.url, max_pending=1) as client:
        asking = asyncio.create_task(client.request(HUNG))
        await server.until(lambda: len(server.messages) == 1)
        with pytest.raises(Unavailable):
            await client.request(ECHO)
        asking.cancel()


async def test_what_the_server_says_of_the_user(server: FakeServer) -> None:
    server.handshake = GreetingHandshake()
    async with connect(server.url, user="me") as client:
        assert client.user == {"hello": "me"}


async def test_many_clients_at_once(server: FakeServer) -> None:
    clients = [connect(server.url) for _ in range(50)]
    await asyncio.gather(*(client.start() for client in clients))
    heard = [asyncio.create_task(client.next_push("onNews", 5.0)) for client in clients]
    await asyncio.gather(*(client.request(ECHO) for client in clients))
    server.push("onNews", {"n": 1})
    assert await asyncio.gather(*heard) == [{"n": 1}] * 50
    await asyncio.gather(*(client.close() for client in clients))


async def test_steps_of_logging_in_follow_each_other(server: FakeServer) -> None:
    steps: list[int] = []

    def step(number: int) -> Callable[[Client], Awaitable[object]]:
        async def note(client: Client) -> None:
            await client.request(ECHO)
            steps.append(number)

        return note

    client = returning(server, log_in=step(1))
    client.on_log_in(step(2))
    watch = Watch(client)
    async with client:
        with pytest.raises(RuntimeError, match="a client that is online"):
            client.on_log_in(step(3))
        server.connections[0].drop()
        await watch.until(State.ONLINE, 2)
    assert steps == [1, 2, 1, 2]


async def test_a_dropped_connection_comes_back(server: FakeServer) -> None:
    server.handlers[HUNG] = lambda body: NO_ANSWER
    client = returning(server)
    watch = Watch(client)
    client.drop()  # there is no connection yet
    async with client:
        asking = asyncio.create_task(client.request(HUNG))
        await server.until(lambda: len(server.messages) == 1)
        client.drop("a tunnel")
        with pytest.raises(Disconnected, match="a tunnel, before the answer"):
            await asking
        change = await watch.until(State.RECONNECTING)
        assert change.ending == Ending("a tunnel", reconnect=True)
        await watch.until(State.ONLINE, 2)
        assert await client.request(ECHO, {"a": 1}) == {"a": 1}


PROTOS = Protos(
    parse({ECHO: {"optional string s": 1}, "onNews": {"required uInt32 n": 1}}).messages,
    parse({ECHO: {"required string s": 1, "optional uInt32 n": 2}}).messages,
)


async def test_bodies_by_the_servers_schemas(server: FakeServer) -> None:
    server.handshake = ServerHandshake(heartbeat=30, dictionary=DICTIONARY, protos=PROTOS)
    async with connect(server.url) as client:
        assert await client.request(ECHO, {"s": "é", "n": 7}) == {"s": "é"}
        assert server.messages[0].body == bytes.fromhex("0a02c3a91007")
        with pytest.raises(ValueError, match="s: expected a string"):
            await client.request(ECHO, {"s": 5})
        news = asyncio.create_task(client.next_push("onNews", 5))
        await asyncio.sleep(0)
        server.push("onNews", {"n": 300})
        assert await news == {"n": 300}


async def test_schemas_are_kept_by_their_version(server: FakeServer) -> None:
    server.handshake = ServerHandshake(heartbeat=30, dictionary=DICTIONARY, protos=PROTOS)
    client = connect(server.url, backoff=Backoff(0, 0))
    for handshake in (
        server.handshake,
        ServerHandshake(heartbeat=30, protos=NO_PROTOS),
        server.handshake,
    ):
        server.handshake = handshake
        async with client:
            assert await client.request(ECHO, {"s": "a"}) == {"s": "a"}
    assert [asked.proto_version for asked in server.requests] == [
        None,
        PROTOS.version,
        PROTOS.version,
    ]
    assert [received.body[:1] for received in server.messages] == [b"\x0a", b"{", b"\x0a"]
