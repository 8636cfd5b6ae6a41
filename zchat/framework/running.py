"""One server of an application, running: its parts, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from zchat.cluster.context import Context
from zchat.cluster.curve import Security, load_keys
from zchat.cluster.envelope import IDEMPOTENT, NOTIFY, Request
from zchat.cluster.limits import Limits
from zchat.cluster.rpc_server import RemotePeer
from zchat.config.exposure import own_key
from zchat.config.servers import ServersFile
from zchat.config.settings import Settings
from zchat.config.topology import Server, Topology
from zchat.errors import ConfigError, Unavailable
from zchat.framework.backend_session import BackendSession
from zchat.framework.channels import Channels
from zchat.framework.dispatcher import Dispatcher
from zchat.framework.frontend_part import FrontendPart
from zchat.framework.heard_ring import HeardRing
from zchat.framework.journal_ring import JournalRing
from zchat.framework.membership import Membership, RingSource, owners
from zchat.framework.methods import Methods
from zchat.framework.node import Node, NodeEvents
from zchat.framework.owner_part import OwnerPart
from zchat.framework.remotes import PREFIX
from zchat.frontend.session import Snapshot, decode_snapshot
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.handshake import ServerHandshake
from zchat.rooms.channel import Framer
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import Store

if TYPE_CHECKING:
    from zchat.framework.application import Application

logger = logging.getLogger("zchat.admin")

_TICK = 0.1
_POLL = 0.5


class Component(Protocol):
    """A part of a server beside zchat's own."""

    async def start(self) -> None:
        """Begin to work; called when the server's own parts have started."""

    async def stop(self) -> None:
        """Let go. Called first of all parts; idempotent."""

    def status(self) -> dict[str, Any]:
        """What `zchat status` shows of it."""


class Running:
    """A server of `app`.

    Args:
        app: what it runs.
        servers: servers.json.
        server_id: which of its servers this is.
        settings: of the cluster.
        folder: the project's; paths in settings are relative to it.

    Raises:
        ConfigError: no such server, or the application is wrong.
    """

    def __init__(
        self,
        app: Application,
        servers: ServersFile,
        server_id: str,
        settings: Settings,
        folder: Path,
    ) -> None:
        self.servers = servers
        self.server: Server = servers.topology.get(server_id)
        self.settings = settings
        self._folder = folder
        self.started = time.monotonic()
        self.components: list[Component] = []
        """Parts beside zchat's own; add them before the start."""
        self.methods = Methods()
        self._timers: list[asyncio.TimerHandle] = []
        self._state = "starting"
        self._complaint = ""
        security = _security(self.server, settings, folder)
        self._context = Context(security)
        self._keys = folder / settings.cluster.keys if security.keys else None
        self._keys_read = self._keys_stamp()
        try:
            self._make(app)
        except BaseException:
            self._context.close()
            raise

    # Parts

    def _make(self, app: Application) -> None:
        self.app = app.at(self)
        self.node = Node(
            self.server,
            secrets.token_hex(8),
            self._context,
            self.methods,
            NodeEvents(self._peer_up, self._frontend_lost, self._request, self._told),
            _limits(self.settings),
            self.settings.cluster.request_deadline,
            self._keys,
        )
        self._make_application()
        self._make_parts()
        self.methods.add("server.status", self.status)

    def _make_application(self) -> None:
        """What the application brings: handlers, remotes, routes with codes."""
        app, own = self.app, self.server.type
        self.dispatcher = Dispatcher(app.handlers(own), app.instance)
        for entry in app.remotes(own):
            method = getattr(app.instance(entry.cls), entry.method)
            self.methods.add(PREFIX + str(entry.route), method)
        routes = [str(entry.route) for entry in app.handlers()]
        self.dictionary = RouteDictionary(routes, ())

    def _make_parts(self) -> None:
        self.owner: OwnerPart | None = None
        self.frontend: FrontendPart | None = None
        framer = Framer(self.app.presence_pushes, self.dictionary)
        topology = self.servers.topology
        if self.server in owners(topology, self.app.channel_types):
            store = self.app.parts.store(self.settings, self._folder)
            self.rings, learn = self._owners_rings(store)
            self.owner = OwnerPart(
                self.node,
                self.methods,
                framer,
                store,
                self.app.parts,
                self.ring,
                learn,
                self.settings,
            )
        else:
            self.rings = self._others_rings()
        if self.server.takes_clients:
            self.frontend = FrontendPart(
                self.node,
                self.methods,
                self.dispatcher,
                self._handshake(),
                self.app.routers.pick,
                self.app.retried_routes(),
                self.app.parts,
                self.ring,
                self.settings,
                self.health,
            )
        host = self.owner.host if self.owner else None
        deadline = self.settings.cluster.request_deadline
        self.channels = Channels(self.server.id, host, self.ring, self.node.call, deadline)

    def _owners_rings(self, store: Store) -> tuple[RingSource, Callable[[], Awaitable[None]]]:
        """Where a worker has its ring from, and how it learns of a newer one."""
        types, changed = self.app.channel_types, self._ring_changed
        if not self.settings.journal.path:
            alone = Membership(self.server.id, types, changed)
            return alone, lambda: alone.keep(time.monotonic())
        shared = JournalRing(self.server.id, types, store, changed)
        return shared, shared.learn

    def _others_rings(self) -> RingSource:
        if not self.settings.journal.path:
            return Membership(self.server.id, self.app.channel_types, self._ring_changed)
        return HeardRing(
            lambda server_id: self.node.call(server_id, "ring.get", ()), self._ring_changed
        )

    def _handshake(self) -> ServerHandshake:
        return ServerHandshake(
            heartbeat=self.settings.client.heartbeat,
            dictionary=self.dictionary,
            limit=self.settings.limits.message_bytes,
        )

    def ring(self) -> Ring:
        """The ring of now."""
        return self.rings.ring

    # Start and stop

    async def start(self) -> None:
        """Start the parts, lower ones first; clients are let in last.

        Raises:
            ConfigError: an address cannot be had, or a key is missing. What was started is
                stopped.
        """
        try:
            self._bind(self.node.bind)
            self._follow(self.servers.topology)
            if self.owner:
                self._bind(self.owner.start)
                await self.rings.keep(time.monotonic())
            self._every(_TICK, self._tick)
            self._every(_POLL, self._poll)
            if self.frontend:
                self.frontend.start()
            for component in self.components:
                await component.start()
        except BaseException:
            await self.stop(0)
            raise
        self._state = "ok"
        ports = ", ".join(f"{use} {port}" for use, port in self._ports())
        logger.info("%s is ready: pid %d, ports: %s", self.server.id, os.getpid(), ports)

    async def stop(self, seconds: float | None = None) -> None:
        """Stop the parts, clients first. Idempotent: a second call returns at once.

        From here on no request begins. Those under way are answered, as far as the time allows.

        Args:
            seconds: that all of it may take; the settings' drain when None.
        """
        if self._state == "stopping":
            return
        was_ready, self._state = self._state == "ok", "stopping"
        self.node.speak_of_stopping()
        drain = self.settings.cluster.drain if seconds is None else seconds
        deadline = time.monotonic() + drain
        for component in reversed(self.components):
            await self._stop_component(component)
        if self.frontend:
            await self.frontend.stop(drain)
        await self._finish_work(deadline)
        for timer in self._timers:
            timer.cancel()
        await self.node.close()
        if self.owner:
            await self.owner.stop()
        self._context.close()
        if was_ready:
            logger.info("%s has stopped", self.server.id)

    async def _stop_component(self, component: Component) -> None:
        """A component's fault must not keep clients from being seen off."""
        try:
            await component.stop()
        except Exception:
            logger.exception("%s could not stop", type(component).__name__)

    async def _finish_work(self, deadline: float) -> None:
        """Let requests under way be answered."""
        while self.node.busy and time.monotonic() < deadline:  # noqa: ASYNC110 (a count, no event)
            await asyncio.sleep(0.01)

    def _bind(self, bind: Callable[[], object]) -> None:
        try:
            bind()
        except OSError as error:
            raise ConfigError(f"{self.server.id}: {error.strerror}") from error

    def _ports(self) -> Iterator[tuple[str, int]]:
        """Those of servers.json that are in use here."""
        for use, port in self.server.ports():
            if use != "XPUB" or self.owner:
                yield use, port

    def _every(self, seconds: float, function: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        index = len(self._timers)

        def run() -> None:
            self._timers[index] = loop.call_later(seconds, run)
            function()

        self._timers.append(loop.call_later(seconds, run))

    def _tick(self) -> None:
        now = time.monotonic()
        self.node.tick(now)
        if self.owner:
            self.owner.host.tick()
        if self.frontend:
            self.frontend.tick(now)

    # servers.json and the links

    def _poll(self) -> None:
        self.node.spawn(self._keep_ring(), "ring")
        changes = self.servers.poll()
        if changes is not None:
            logger.info(
                "servers.json: added %s, removed %s, changed %s",
                *(
                    ", ".join(server.id for server in group) or "none"
                    for group in (changes.added, changes.removed, changes.changed)
                ),
            )
        keys = self._keys_stamp()
        if changes is not None or keys != self._keys_read or self._complaint:
            self._keys_read = keys
            self._try_follow()

    def _keys_stamp(self) -> int:
        """Changes when a key is added or taken out; the folder itself may be replaced."""
        keys = self._keys
        return keys.stat().st_mtime_ns if keys is not None and keys.is_dir() else 0

    def _try_follow(self) -> None:
        """Follow servers.json; what is wrong is said once, and tried again with the next poll."""
        try:
            self._context.reload_allowed()
            self._follow(self.servers.topology)
        except ConfigError as error:
            if str(error) != self._complaint:
                logger.error("%s; servers.json cannot be followed until it is mended", error)
            self._complaint = str(error)
        else:
            self._complaint = ""

    def _follow(self, topology: Topology) -> None:
        owning = owners(topology, self.app.channel_types)
        backends = [server for server in topology.servers if not server.frontend]
        wanted = backends if self.frontend else list(owning) if self.owner else []
        for server_type in self.app.watched(self.server.type):
            wanted += topology.of_type(server_type)
        self.node.follow(topology, wanted)
        if self.frontend:
            self.frontend.follow(owning)
        self.rings.follow(topology)
        if self._state == "ok":
            self.node.spawn(self._keep_ring(), "ring")

    def _ring_changed(self, old: Ring, new: Ring) -> None:
        logger.info("channels are owned by %s", ", ".join(sorted(new.workers)) or "nobody")
        self.node.speak_of(new.generation)
        if self.owner:
            self.owner.ring_changed()
        if self.frontend:
            self.frontend.ring_changed(new)

    def _peer_up(self, server_id: str, restarted: bool) -> None:
        self.rings.heard(server_id)
        if self.frontend:
            self.frontend.owner_up(server_id, restarted)

    def _told(self, server_id: str, generation: int) -> None:
        if generation > self.ring().generation and self._state != "stopping":
            self.node.spawn(self._learn_ring(server_id, generation), "ring")

    async def _keep_ring(self) -> None:
        try:
            await self.rings.keep(time.monotonic())
        except Exception:
            logger.exception("the ring cannot be kept")

    async def _learn_ring(self, server_id: str, generation: int) -> None:
        try:
            await self.rings.told(server_id, generation)
        except Exception:
            logger.exception("the ring of generation %d cannot be learned", generation)

    def _frontend_lost(self, server_id: str, incarnation: str) -> None:
        if self.owner:
            self.owner.host.frontend_lost(server_id, incarnation)

    def _request(self, peer: RemotePeer, request: Request) -> None:
        if self._state == "stopping":
            self._refuse(peer, request)
            return
        snapshot = decode_snapshot(request.session)  # what it raises is answered by the RpcServer
        self.node.spawn(self._answer(peer, request, snapshot), request.route)

    def _refuse(self, peer: RemotePeer, request: Request) -> None:
        """No request begins while we stop.

        Idempotent ones stay unanswered: whoever sent them sends them again, to our next life or,
        when our line is taken out of servers.json, to whom it picks then.
        """
        if not request.kind & (NOTIFY | IDEMPOTENT):
            error = Unavailable(f"{self.server.id} is stopping")
            self.node.rpc_server.fail(peer, request.id, error.code, error.message, **error.fields)

    async def _answer(self, peer: RemotePeer, request: Request, snapshot: Snapshot) -> None:
        session = BackendSession(snapshot, self.node.call)
        budget = request.budget_ms / 1000
        message = request.message_id
        body = await self.dispatcher.answer(request.route, session, request.body, message, budget)
        if not request.kind & NOTIFY:
            self.node.rpc_server.reply(peer, request.id, body)

    # For operators

    def health(self) -> dict[str, Any]:
        """What /healthz answers.

        `ok` once everything that clients need here is within reach, and `degraded` while servers
        are `missing` whose work others of their type do. It is `waiting` `for` types of which
        nobody answers.
        """
        health: dict[str, Any] = {"status": self._state, "id": self.server.id}
        if self._state != "ok":
            return health
        needed = self._needed()
        waiting = [
            server_type
            for server_type, listed in needed.items()
            if not any(self.node.is_up(server.id) for server in listed)
        ]
        missing = [
            server.id
            for listed in needed.values()
            for server in listed
            if not self.node.is_up(server.id)
        ]
        if waiting:
            health |= {"status": "waiting", "for": waiting}
        elif missing:
            health |= {"status": "degraded", "missing": missing}
        return health

    def _needed(self) -> dict[str, tuple[Server, ...]]:
        """The listed servers that this one works with, by type."""
        if not self.frontend:
            return {}
        topology = self.servers.topology
        owning = owners(topology, self.app.channel_types)
        wanted = {*self.app.watched(self.server.type), *(server.type for server in owning)}
        needed = {server_type: topology.of_type(server_type) for server_type in sorted(wanted)}
        return {server_type: listed for server_type, listed in needed.items() if listed}

    async def status(self) -> dict[str, Any]:
        """What `zchat status` shows of this server."""
        parts = [self.owner, self.frontend, *self.components]
        status: dict[str, Any] = {
            "id": self.server.id,
            "type": self.server.type,
            "pid": os.getpid(),
            "uptime": round(time.monotonic() - self.started, 1),
            "queues": {
                peer.server_id: peer.queued_bytes for peer in self.node.client.peers.values()
            },
            "busy": self.node.busy,
            "health": self.health()["status"],
            "ring": sorted(self.ring().workers),
            "generation": self.ring().generation,
        }
        counters = self.node.counters
        counters["channel_calls_refused"] = self.channels.refused
        for part in parts:
            if part is not None:
                shown = dict(part.status())
                counters.update(shown.pop("counters", {}))
                status.update(shown)
        status["counters"] = {name: count for name, count in sorted(counters.items()) if count}
        return status


def _limits(settings: Settings) -> Limits:
    return Limits(
        queue_bytes=settings.limits.peer_queue_bytes,
        liveness_interval=settings.cluster.liveness_interval,
        liveness_misses=settings.cluster.liveness_count,
    )


def _security(server: Server, settings: Settings, folder: Path) -> Security:
    """CURVE when this server has a key; what is refused without one is said when it binds."""
    keys = folder / settings.cluster.keys
    own = own_key(keys, server.id)
    if own is None:
        return Security(insecure=settings.cluster.insecure)
    return Security(load_keys(own), keys, settings.cluster.insecure)
