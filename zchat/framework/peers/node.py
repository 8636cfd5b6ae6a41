"""A server among its peers: its links, and calls and casts to any server by id.

Frontends keep a DEALER to every backend, owners of channels one to each other, and watchers one to
those they watch; other links are made when they are first used. What a backend has to say to a
frontend goes back on the frontend's own link, so it stays in order with the answers there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zchat.cluster.context import Context
from zchat.cluster.curve import load_public_key
from zchat.cluster.envelope import NOTIFY, Call, Cast, Request
from zchat.cluster.identity import LocalServer
from zchat.cluster.limits import Limits
from zchat.cluster.rpc_client import ClientHandlers, Peer, PeerState, RpcClient
from zchat.cluster.rpc_server import RemotePeer, RpcServer, ServerHandlers
from zchat.config.topology import Server, Topology
from zchat.errors import RequestError, Unavailable
from zchat.framework.peers.absence import Absence
from zchat.framework.peers.context import caller, current, encode_origin
from zchat.framework.peers.methods import Methods, decode, encode
from zchat.framework.peers.under_way import UnderWay

BUSY_LIMIT = 10_000


class Unlisted(Unavailable):
    """Our servers.json has no such server, not yet or no more; nothing was sent."""


def _nothing(*_: Any) -> None:
    """The event is of no interest."""


@dataclass(slots=True)
class NodeEvents:
    """What the parts of a server hear from its links."""

    peer_up: Callable[[str, bool], None] = _nothing
    """(server id, whether it is another process than before): it answers now."""

    frontend_lost: Callable[[str, str], None] = _nothing
    """(server id, incarnation): that life of a server that used us has ended."""

    request: Callable[[RemotePeer, Request], None] = _nothing
    """A client's request, forwarded; answered with `rpc_server`, unless it is a notify."""

    generation: Callable[[str, int], None] = _nothing
    """(server id, generation): that server speaks of a ring of this generation."""

    frontend_up: Callable[[str, str], None] = _nothing
    """(server id, incarnation): that life of a server uses us, by a link that was just made."""

    stirred: Callable[[], None] = _nothing
    """Somebody was called by us, or has not answered us yet, or another server asked or told us
    something: `tick` is to come soon. Casts of ours do not stir: they have no deadline."""


class Node:
    """One server's links.

    When full (10,000 requests and calls run here), further requests of clients are refused with
    Unavailable, notifies dropped, and both are counted in `refused`.

    Args:
        server: this server.
        incarnation: this life of it.
        context: ZeroMQ, with this server's keys.
        methods: what others may call here.
        events: who hears what.
        limits: of queues and silence.
        deadline: seconds that a call may take unless it says otherwise.
        keys: folder with the other servers' public keys; None without CURVE.
    """

    def __init__(
        self,
        server: Server,
        incarnation: str,
        context: Context,
        methods: Methods,
        events: NodeEvents,
        limits: Limits,
        deadline: float,
        keys: Path | None = None,
    ) -> None:
        self.server = server
        self.incarnation = incarnation
        self.context = context
        self.topology = Topology("", ())
        self._events = events
        self.stir = events.stirred
        self._deadline = deadline
        self._keys = keys
        self._lives: dict[str, str] = {}
        self._is_stopping = False
        self._under_way = UnderWay(server.id, methods)
        self._absence = Absence(limits.liveness_interval)
        self.refused = 0
        local = LocalServer(server.id, server.type, incarnation)
        self.client = RpcClient(context, local, self._client_handlers(), limits)
        methods.add_cast("server.stopping", self.client.hear_stopping)
        self.rpc_server = RpcServer(context, local, self._server_handlers(), limits)

    def bind(self) -> None:
        """Listen for other servers.

        Raises:
            OSError: the address is taken.
            ConfigError: the address is open to strangers.
        """
        self.rpc_server.bind(self.server.router_address)

    def follow(self, topology: Topology, wanted: Sequence[Server]) -> None:
        """servers.json was read: keep links to `wanted`, and let go of who is not listed."""
        self.topology = topology
        for server_id in list(self.client.peers):
            if server_id not in topology:
                self.client.disconnect(server_id)
                self._lives.pop(server_id, None)
        for server in wanted:
            self._connect(server)

    def speak_of(self, generation: int) -> None:
        """Tell all peers of a ring of this generation, now and with each later ping."""
        self.client.generation = self.rpc_server.generation = generation
        self.client.ping()
        self.rpc_server.ping()

    def speak_of_stopping(self) -> None:
        """Tell all who use this server, now and when their links are made anew."""
        self._is_stopping = True
        for peer in list(self.rpc_server.peers.values()):
            self._tell_stopping(peer)

    def key_of(self, server_id: str) -> bytes | None:
        """The public key of a server; None without CURVE.

        Raises:
            ConfigError: its key file is missing or broken.
        """
        return load_public_key(self._keys / f"{server_id}.key") if self._keys else None

    def is_up(self, server_id: str) -> bool:
        """Whether that server answers us now; only known of servers we keep a link to."""
        peer = self.client.peers.get(server_id)
        return server_id == self.server.id or (peer is not None and peer.state is PeerState.UP)

    def is_alive(self, server_id: str) -> bool:
        """Whether that server is up and has not said that it is stopping."""
        if server_id == self.server.id:
            return not self._is_stopping
        return self.is_up(server_id) and not self.client.peers[server_id].stopping

    async def call(
        self,
        server_id: str,
        method: str,
        args: Sequence[Any],
        timeout: float | None = None,
        *,
        idempotent: bool = False,
        patient: bool = True,
    ) -> Any:
        """Call a method of a server, this one included.

        Calls of one server by another begin there in the order in which they were made here.

        Args:
            timeout: seconds; the settings' request deadline when None.
            idempotent: send it again by itself when the server died under it.
            patient: wait for a server that is away as long as `timeout`; else for a moment only,
                the settings' liveness interval.

        Raises:
            RequestError: what the method raised; of what is none, only that there was one. Its
                `server` says where.
            Unlisted: there is no such server, or none any more, and it was not asked.
            Unavailable: it could not be reached in time.
            TimedOut: no answer in time; it may have been done.
            TypeError, ValueError, OverflowError: `args` cannot be packed.
        """
        self.stir()
        budget = self._deadline if timeout is None else timeout
        try:
            if server_id == self.server.id:
                return await self._call_self(method, args, budget)
            return await self._call_peer(server_id, method, args, budget, idempotent, patient)
        except RequestError as error:
            error.server = error.server or server_id
            raise

    def cast(self, server_id: str, method: str, args: Sequence[Any]) -> bool:
        """Tell a server something, without an answer; False when it cannot be told."""
        if server_id == self.server.id:
            self._under_way.cast(method, encode(args), server_id)
            return True
        try:
            link = self._link(server_id)
        except Unavailable:
            return False
        if isinstance(link, RemotePeer):
            return self.rpc_server.cast(link, method, args)
        return self.client.cast(server_id, method, args)

    def cast_to_life(
        self, server_id: str, incarnation: str, method: str, args: Sequence[Any]
    ) -> bool:
        """Like `cast`, but only to that life of the server."""
        if server_id == self.server.id:
            return incarnation == self.incarnation and self.cast(server_id, method, args)
        peer = self.rpc_server.peers.get(server_id)
        if peer is None or peer.incarnation != incarnation:
            return False
        return self.rpc_server.cast(peer, method, args)

    def tick(self, now: float) -> None:
        """Do what is due; call it twice a second, and every 100 ms when we were stirred."""
        self.client.tick(now)
        self.rpc_server.tick(now)
        pipes = [peer.pipe for peer in self.client.peers.values()]
        pipes += [peer.pipe for peer in self.rpc_server.peers.values()]
        if any(pipe.unanswered for pipe in pipes):
            self.stir()  # a deadline comes closer

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work that nobody waits for; it is ended by `close`."""
        self._under_way.spawn(work, name)

    @property
    def counters(self) -> Counter[str]:
        """What its links have counted since the start."""
        total = self.client.counters
        total.update(self.rpc_server.counters)
        total["requests_refused"] = self.refused
        return total

    @property
    def busy(self) -> int:
        """How many requests and calls run here now."""
        return len(self._under_way)

    async def close(self) -> None:
        """End the work under way and close all links. Idempotent."""
        await self._under_way.close()
        self.client.close()
        self.rpc_server.close()

    async def _call_self(self, method: str, args: Sequence[Any], budget: float) -> Any:
        before = caller.set(self.server.id)
        try:
            return decode(await self._under_way.run(method, encode(args), budget, self.server.id))
        finally:
            caller.reset(before)

    async def _call_peer(
        self,
        server_id: str,
        method: str,
        args: Sequence[Any],
        budget: float,
        idempotent: bool,
        patient: bool,
    ) -> Any:
        origin = encode_origin(current.get())
        link = self._link(server_id)
        if isinstance(link, RemotePeer):
            return await self.rpc_server.call(link, method, args, budget, origin, idempotent)
        call = self.client.call(server_id, method, args, budget, origin, idempotent)
        try:
            if patient or self.is_up(server_id) or budget <= self._absence.moment:
                return await call
            return await self._absence.bear(server_id, call)
        except Unavailable as error:
            sent = error.server or not error.fields.get("retry", True)
            if sent or server_id in self.topology:
                raise
            # Its line was taken out while the call waited for a link.
            raise Unlisted(error.message, **error.fields) from None

    def _link(self, server_id: str) -> RemotePeer | None:
        """The link of a frontend that uses us; None means our own DEALER, made when needed."""
        if server_id not in self.topology:
            raise Unlisted(f"no server {server_id} in servers.json")
        server = self.topology.get(server_id)
        if server.frontend and not self.server.frontend:
            peer = self.rpc_server.peers.get(server_id)
            if peer is None:
                raise Unavailable(f"{server_id} is not connected to {self.server.id}")
            return peer
        self._connect(server)
        return None

    def _connect(self, server: Server) -> None:
        # What still goes on here while it stops must not bring a link back.
        if server.id == self.server.id or self.client.closed:
            return
        self.client.connect(server.id, server.router_address, self.key_of(server.id))

    def _client_handlers(self) -> ClientHandlers:
        def on_call(peer: Peer, call: Call) -> None:
            self.stir()
            self.spawn(self._under_way.answer(self.client, peer, call), call.method)

        return ClientHandlers(
            on_up=self._on_up,
            on_call=on_call,
            on_cast=self._on_cast,
            on_generation=self._on_generation,
        )

    def _server_handlers(self) -> ServerHandlers:
        def on_call(peer: RemotePeer, call: Call) -> None:
            self.stir()
            self.spawn(self._under_way.answer(self.rpc_server, peer, call), call.method)

        def on_lost(peer: RemotePeer) -> None:
            self._events.frontend_lost(peer.server_id, peer.incarnation)

        return ServerHandlers(
            on_request=self._on_request,
            on_call=on_call,
            on_cast=self._on_cast,
            on_up=self._on_used,
            on_lost=on_lost,
            on_generation=self._on_generation,
        )

    def _on_up(self, peer: Peer) -> None:
        self._absence.end(peer.server_id)
        restarted = self._lives.get(peer.server_id) != peer.incarnation
        self._lives[peer.server_id] = peer.incarnation
        self._on_generation(peer, peer.generation)
        self._events.peer_up(peer.server_id, restarted)

    def _on_used(self, peer: RemotePeer) -> None:
        self._on_generation(peer, peer.generation)
        if self._is_stopping:
            self._tell_stopping(peer)
        self._events.frontend_up(peer.server_id, peer.incarnation)

    def _tell_stopping(self, peer: RemotePeer) -> None:
        self.rpc_server.cast(peer, "server.stopping", (self.server.id, self.incarnation))

    def _on_generation(self, peer: Peer | RemotePeer, generation: int) -> None:
        self._events.generation(peer.server_id, generation)

    def _on_request(self, peer: RemotePeer, request: Request) -> None:
        self.stir()
        if self.busy < BUSY_LIMIT:
            self._events.request(peer, request)
            return
        self.refused += 1
        if not request.kind & NOTIFY:
            error = Unavailable(f"{self.server.id} has too much to do")
            self.rpc_server.fail(peer, request.id, error.code, error.message, **error.fields)

    def _on_cast(self, peer: Peer | RemotePeer, cast: Cast) -> None:
        self.stir()
        self._under_way.cast(cast.method, cast.args, peer.server_id)
