"""What the tests of zchat.cluster share: servers that note what they hear, bare sockets, a wire."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq

from tests.support.timing import MS, PATIENCE, eventually
from zchat.cluster.context import Context
from zchat.cluster.curve import Security
from zchat.cluster.envelope import Answer, Call, Cast, Envelope, Request, decode, encode
from zchat.cluster.identity import LocalServer
from zchat.cluster.limits import Limits
from zchat.cluster.peer import UP, Peer
from zchat.cluster.rpc_client import ClientHandlers, RpcClient
from zchat.cluster.rpc_server import RemotePeer, RpcServer, ServerHandlers

LOCAL = "tcp://127.0.0.1:0"

_lives = itertools.count(1)


def life() -> str:
    """An incarnation that no other server of the test run has."""
    return f"{next(_lives):016x}"


class Clock:
    """Time that stands still until the test moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Worker:
    """An RpcServer that notes what it hears; `on_request` may be replaced."""

    context: Context
    server: RpcServer
    address: str = ""
    requests: list[tuple[RemotePeer, Request]] = field(default_factory=list)
    calls: list[tuple[RemotePeer, Call]] = field(default_factory=list)
    casts: list[tuple[RemotePeer, Cast]] = field(default_factory=list)
    ups: list[RemotePeer] = field(default_factory=list)
    losses: list[RemotePeer] = field(default_factory=list)
    generations: list[int] = field(default_factory=list)
    on_request: Callable[[RemotePeer, Request], None] | None = None
    on_call: Callable[[RemotePeer, Call], None] | None = None

    def heard_request(self, peer: RemotePeer, request: Request) -> None:
        self.requests.append((peer, request))
        if self.on_request is not None:
            self.on_request(peer, request)

    def heard_call(self, peer: RemotePeer, call: Call) -> None:
        self.calls.append((peer, call))
        if self.on_call is not None:
            self.on_call(peer, call)

    def echo(self, peer: RemotePeer, request: Request) -> None:
        self.server.reply(peer, request.id, request.body)

    def kill(self) -> None:
        """Ends as a process would: without a word."""
        self.server.close()
        self.context.close()


@dataclass
class Frontend:
    """An RpcClient that notes what it hears."""

    context: Context
    client: RpcClient
    answers: list[Answer] = field(default_factory=list)
    calls: list[tuple[Peer, Call]] = field(default_factory=list)
    casts: list[tuple[Peer, Cast]] = field(default_factory=list)
    ups: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    generations: list[int] = field(default_factory=list)
    on_call: Callable[[Peer, Call], None] | None = None

    def heard_call(self, peer: Peer, call: Call) -> None:
        self.calls.append((peer, call))
        if self.on_call is not None:
            self.on_call(peer, call)

    def request(self, body: bytes = b"body", budget: float = PATIENCE, kind: int = 0) -> int:
        """A request to the worker; its answer comes to `answers`."""
        return self.client.request(
            "chat-1", "chat.chatHandler.send", b"session", body, budget, kind, self.answers.append
        )

    def kill(self) -> None:
        self.client.close()
        self.context.close()


class Cluster:
    """Makes servers and ends them; ticks those that live by real time."""

    def __init__(self) -> None:
        self._made: list[Worker | Frontend] = []
        self._contexts: list[Context] = []
        self._closers: list[Callable[[], None]] = []
        self._ticker: asyncio.Task[None] | None = None

    def context(self, security: Security | None = None) -> Context:
        context = Context(security)
        self._contexts.append(context)
        return context

    def worker(
        self,
        address: str = LOCAL,
        incarnation: str = "",
        limits: Limits | None = None,
        clock: Callable[[], float] | None = None,
        security: Security | None = None,
    ) -> Worker:
        """A bound RpcServer called chat-1, in a context of its own as if it were a process."""
        context = self.context(security)
        clock = clock or asyncio.get_running_loop().time
        handlers = ServerHandlers(
            on_request=lambda peer, request: worker.heard_request(peer, request),
            on_call=lambda peer, call: worker.heard_call(peer, call),
            on_cast=lambda peer, cast: worker.casts.append((peer, cast)),
            on_up=lambda peer: worker.ups.append(peer),
            on_lost=lambda peer: worker.losses.append(peer),
            on_generation=lambda peer, generation: worker.generations.append(generation),
        )
        local = LocalServer("chat-1", "chat", incarnation or life())
        worker = Worker(context, RpcServer(context, local, handlers, limits, clock))
        worker.address = worker.server.bind(address)
        self._made.append(worker)
        return worker

    def frontend(
        self,
        address: str = "",
        server_id: str = "connector-1",
        incarnation: str = "",
        limits: Limits | None = None,
        clock: Callable[[], float] | None = None,
        security: Security | None = None,
        server_key: bytes | None = None,
    ) -> Frontend:
        """An RpcClient, connected to the worker at `address` if one is given."""
        context = self.context(security)
        clock = clock or asyncio.get_running_loop().time
        handlers = ClientHandlers(
            on_up=lambda peer: frontend.ups.append(peer.incarnation),
            on_lost=lambda peer: frontend.losses.append(peer.server_id),
            on_call=lambda peer, call: frontend.heard_call(peer, call),
            on_cast=lambda peer, cast: frontend.casts.append((peer, cast)),
            on_generation=lambda peer, generation: frontend.generations.append(generation),
        )
        local = LocalServer(server_id, "connector", incarnation or life())
        frontend = Frontend(context, RpcClient(context, local, handlers, limits, clock))
        if address:
            frontend.client.connect("chat-1", address, server_key)
        self._made.append(frontend)
        return frontend

    async def pair(
        self, limits: Limits | None = None, clock: Callable[[], float] | None = None
    ) -> tuple[Worker, Frontend]:
        """A worker and a frontend with the link up."""
        worker = self.worker(limits=limits, clock=clock)
        frontend = self.frontend(worker.address, limits=limits, clock=clock)
        await up(frontend)
        return worker, frontend

    def ticking(self) -> None:
        """From now on all servers are ticked by real time."""
        self._ticker = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            for made in self._made:
                server = made.server if isinstance(made, Worker) else made.client
                server.tick(asyncio.get_running_loop().time())
            await asyncio.sleep(0.01)

    def on_close(self, close: Callable[[], None]) -> None:
        self._closers.append(close)

    async def close(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        for close in reversed(self._closers):
            close()
        for made in self._made:
            made.kill()
        for context in self._contexts:
            context.close()


async def up(frontend: Frontend) -> Peer:
    """Waits for the link to the worker."""
    peer = frontend.client.peers["chat-1"]
    await eventually(lambda: peer.state is UP)
    return peer


class Bare:
    """A bare pyzmq socket, as a stranger would use one."""

    def __init__(self, cluster: Cluster, kind: int, **options: object) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        for name, value in options.items():
            setattr(self.socket, name, value)
        cluster.on_close(self.close)

    def close(self) -> None:
        self._context.destroy(linger=0)

    def bind(self) -> str:
        self.socket.bind(LOCAL)
        return self.socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    async def receive(self, timeout: float = PATIENCE) -> list[bytes]:
        await eventually(lambda: self.socket.poll(0), timeout)
        return self.socket.recv_multipart()

    async def envelopes(self) -> list[Envelope]:
        """One message, decoded; a ROUTER's routing id is left out."""
        return decode((await self.receive())[-1])

    def say(self, *envelopes: Envelope, to: bytes | None = None) -> None:
        frames = [encode(envelopes)] if to is None else [to, encode(envelopes)]
        self.socket.send_multipart(frames)


def in_one_turn(*steps: Callable[[], object]) -> None:
    """Runs steps in one later turn of the loop, after it has looked at its FDs.

    Between two steps messages have time to arrive: a send in the second step then eats the signal
    of what the first one made the other end write.
    """

    def step(run: Callable[[], object]) -> None:
        run()
        time.sleep(20 * MS)

    for run in steps:
        asyncio.get_running_loop().call_soon(step, run)


class Wire(asyncio.Protocol):
    """One direction of a connection through a Wall; hands its bytes to the other."""

    other: Wire

    def __init__(self, wall: Wall) -> None:
        self._wall = wall
        self.transport: asyncio.Transport | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._wall.wires.add(self)
        for data in self._early:
            transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._wall.frozen:
            self._wall.swallowed += len(data)
        else:
            self.other.write(data)

    def write(self, data: bytes) -> None:
        if self.transport is None:
            self._early.append(data)
        else:
            self.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._wall.wires.discard(self)
        if self.other.transport is not None:
            self.other.transport.abort()


class Wall:
    """A TCP relay whose links can be cut, held up, or not made at all."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("tcp://").split(":")
        self.target = (host, int(port))
        self.wires: set[Wire] = set()
        self.frozen = False
        self.swallowed = 0
        """Bytes that came while it was frozen."""
        self.open = True
        self._connecting: set[asyncio.Task[object]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> str:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", 0)
        return f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _accept(self) -> Wire:
        inner, outer = Wire(self), Wire(self)
        inner.other, outer.other = outer, inner
        loop = asyncio.get_running_loop()
        task: asyncio.Task[object] = loop.create_task(self._reach(outer))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return inner

    async def _reach(self, outer: Wire) -> None:
        try:
            if not self.open:
                raise ConnectionRefusedError
            await asyncio.get_running_loop().create_connection(lambda: outer, *self.target)
        except OSError:
            transport = await eventually(lambda: outer.other.transport)
            assert transport is not None
            transport.abort()

    def cut(self) -> None:
        """Breaks all links; new ones can be made if `open`."""
        for wire in list(self.wires):
            if wire.transport is not None:
                wire.transport.abort()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await eventually(lambda: not self._connecting and not self.wires)
        await self._server.wait_closed()
