"""One server of an application, running: its parts, and the order in which they start and stop."""

from __future__ import annotations

import logging
import math
import os
import secrets
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zchat.cluster.context import Context
from zchat.cluster.envelope import Request
from zchat.cluster.rpc_server import RemotePeer
from zchat.config.servers import ServersFile
from zchat.config.settings import Settings
from zchat.config.topology import Server, Topology
from zchat.framework.app import lifecycle
from zchat.framework.app.components import Components, OuterPart
from zchat.framework.app.neighbours import Neighbours
from zchat.framework.channels.channel import Channel
from zchat.framework.channels.channels import Channels
from zchat.framework.channels.membership import owners
from zchat.framework.channels.ring_keeper import RingKeeper, others_rings, owners_rings
from zchat.framework.handlers.dispatcher import Dispatcher, Surroundings
from zchat.framework.handlers.requests import Requests
from zchat.framework.peers.calls import PREFIX, incoming
from zchat.framework.peers.listing import Listing
from zchat.framework.peers.loads import Loads
from zchat.framework.peers.methods import Methods
from zchat.framework.peers.node import Node, NodeEvents
from zchat.framework.peers.protection import limits, security
from zchat.framework.server.course import Begin, Course
from zchat.framework.server.footprint import footprint
from zchat.framework.server.frontend_part import FrontendPart
from zchat.framework.server.health import health, needed
from zchat.framework.server.lag import Lag
from zchat.framework.server.owner_part import OwnerPart
from zchat.framework.server.pulse import Pulse
from zchat.framework.server.status import with_parts
from zchat.framework.sessions.hooks import SessionEvents
from zchat.framework.sessions.notices import NoticeReceiver
from zchat.framework.sessions.sessions import Sessions
from zchat.framework.sessions.wire import load_wire
from zchat.rooms.channel import Framer
from zchat.rooms.ring import Ring

if TYPE_CHECKING:
    from zchat.framework.app.application import Application

logger = logging.getLogger("zchat.admin")

_TICK = 0.1
_POLL = 0.5
"""Seconds between two looks at what is due, while something happens and while nothing does."""


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
        self.components: list[OuterPart] = []
        """Parts beside zchat's own; add them before the start."""
        self.methods = Methods()
        shortest = min(settings.cluster.liveness_interval, settings.rooms.beat)
        # Pings and beats that come more than once a second could not wait for slow looks.
        lively = 1.0 if shortest >= 2 * _POLL else math.inf
        self._pulse = Pulse(self._tick, _TICK, _POLL, lively)
        self._poll_at = 0.0
        self._outer = Components()
        self._state = "starting"
        secured = security(server_id, settings, folder)
        self._context = Context(secured)
        self._keys = folder / settings.cluster.keys if secured.keys else None
        self._listing = Listing(servers, self._keys, self._follow_anew)
        self._lag_now = Lag()
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
            NodeEvents(
                self._peer_up,
                self._frontend_lost,
                self._take,
                self._told,
                self._frontend_up,
                self._pulse.stir,
            ),
            limits(self.settings),
            self.settings.cluster.request_deadline,
            self._keys,
        )
        self._make_application()
        self._make_parts()
        begin = Begin(self._start_peers, self._start_rooms, self._pulse.start)
        self._course = Course(
            self.app,
            begin,
            self.node,
            self.requests,
            self.owner,
            self.frontend,
            self._pulse,
            self._outer,
        )
        self.methods.add("server.status", self.status)
        self._neighbours = Neighbours(
            self.node, self.methods, self.app, self._course.hooks, self._has_started, self._load
        )

    def _make_application(self) -> None:
        """What the application brings: handlers, remotes, routes with codes."""
        app, own = self.app, self.server.type
        self.wire = load_wire(self._folder / "config", (str(e.route) for e in app.handlers()))
        self.dictionary, protos = self.wire
        app.routers.schemas = protos.at_server.incoming
        around = Surroundings(app, app.filters_of, app.error_handlers(own), protos.at_server)
        self.dispatcher = Dispatcher(app.handlers(own), app.instance, around)
        self.events = SessionEvents(app.session_hooks, self.server, self.node.call, self.node.spawn)
        self.notices = self._hear_notices()
        meet = self.notices.meet if self.notices else None
        self.requests: Requests = Requests(self.node, self.dispatcher, meet)
        for entry in app.remotes(own):
            method, route = getattr(app.instance(entry.cls), entry.method), str(entry.route)
            filtered = incoming(app.remote_filters, route, self.server.id, method)
            self.methods.add(PREFIX + route, filtered, like=method)

    def _hear_notices(self) -> NoticeReceiver | None:
        """Frontends have the sessions themselves; backends hear of them, if they want to."""
        if self.server.takes_clients or not self.events.wanted:
            return None
        grace, node = self.settings.rooms.grace, self.node
        return NoticeReceiver(self.events, grace, node.call, node.spawn, self.methods)

    def _make_parts(self) -> None:
        self.owner: OwnerPart | None = None
        self.frontend: FrontendPart | None = None
        framer = Framer(self.app.presence_pushes, *self.wire)
        own, types = self.server.id, self.app.channel_types
        shared = bool(self.settings.journal.path)
        if self.server in owners(self.servers.topology, types):
            store = self.app.parts.store(self.settings, self._folder)
            self.rings, learn = owners_rings(own, types, store, self._ring_changed, shared=shared)
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
            self.rings = others_rings(own, types, self._ask_ring, self._ring_changed, shared=shared)
        self._ring_keeper = RingKeeper(self.rings, self.node.spawn)
        if self.server.takes_clients:
            self.frontend = FrontendPart(
                self.app,
                self.node,
                self.methods,
                self.dispatcher,
                self.events,
                lambda name: Channel(name, self.channels),
                self.wire,
                self.ring,
                self.settings,
                self._folder,
                self.health,
            )
        host = self.owner.host if self.owner else None
        deadline = self.settings.cluster.request_deadline
        schemas = self.wire.protos.at_server.outgoing
        self.channels: Channels = Channels(
            self.server.id, host, self.ring, self.node.call, deadline, schemas, self.wire.push
        )
        held = self.frontend.sessions if self.frontend else ()
        self.sessions = Sessions(self.node.call, self._frontends, self.wire.push, lambda: held)

    def _frontends(self) -> list[str]:
        return [server.id for server in self.servers.topology.servers if server.takes_clients]

    def _ask_ring(self, server_id: str) -> Awaitable[Any]:
        return self.node.call(server_id, "ring.get", ())

    def ring(self) -> Ring:
        """The ring of now."""
        return self.rings.ring

    # Start and stop

    async def start(self) -> None:
        """Start the parts, lower ones first; clients are let in last.

        Raises:
            StartError: a part cannot start; the text names it. What was started is stopped.
        """
        try:
            for component in self.components:
                self._outer.add(component)
            await lifecycle.start(self.server.id, self._course.start_steps())
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
            seconds: that all of it may take; the settings' drain when None. With 0 the hooks of
                `before_stop` are left out.
        """
        if self._state == "stopping":
            return
        was_ready, self._state = self._state == "ok", "stopping"
        self.node.speak_of_stopping()
        drain = self.settings.cluster.drain if seconds is None else seconds
        hooks = was_ready and seconds != 0
        await lifecycle.stop(self._course.stop_steps(drain, hooks=hooks))
        self._context.close()
        if was_ready:
            logger.info("%s has stopped", self.server.id)

    def _start_peers(self) -> None:
        self.node.bind()
        self._follow(self.servers.topology)

    async def _start_rooms(self) -> None:
        assert self.owner is not None, "only owners have rooms"
        self.owner.start()
        await self.rings.keep(time.monotonic())

    def _ports(self) -> Iterator[tuple[str, int]]:
        """Those of servers.json that are in use here."""
        for use, port in self.server.ports():
            if use != "XPUB" or self.owner:
                yield use, port

    def _tick(self, late: float) -> None:
        now = time.monotonic()
        self._lag_now.beat(late)
        self.node.tick(now)
        self._neighbours.tick(now)
        if self.owner:
            self.owner.host.tick()
        if self.frontend:
            self.frontend.tick(now)
        if self.notices:
            self.notices.tick(now)
        if now >= self._poll_at:
            self._poll_at = (now // _POLL + 1) * _POLL
            self._poll()

    # servers.json and the links

    def _poll(self) -> None:
        self._ring_keeper.keep()
        changes = self._listing.poll()
        self._neighbours.poll(self.servers.topology, changes)

    def _follow_anew(self, topology: Topology) -> None:
        self._context.reload_allowed()
        self._follow(topology)

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
            self._ring_keeper.keep()

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
        if self._state != "stopping":
            self._ring_keeper.told(server_id, generation)

    def _take(self, peer: RemotePeer, request: Request) -> None:
        self.requests.take(peer, request)

    def _frontend_lost(self, server_id: str, incarnation: str) -> None:
        if self.owner:
            self.owner.host.frontend_lost(server_id, incarnation)
        if self.notices:
            self.notices.frontend_lost(incarnation, time.monotonic())

    def _frontend_up(self, server_id: str, incarnation: str) -> None:
        if self.notices:
            self.notices.frontend_up(server_id, incarnation)

    # What others want to know

    @property
    def lag(self) -> float:
        """How late the event loop is, in seconds."""
        return self._lag_now.seconds

    @property
    def loads(self) -> Loads:
        """How much other servers have to do."""
        return self._neighbours.loads

    def _has_started(self) -> bool:
        return self._state == "ok"

    def _load(self) -> int:
        return len(self.frontend.sessions) if self.frontend else self.node.busy - 1

    def health(self) -> dict[str, Any]:
        """What /healthz answers; see `zchat.framework.server.health`."""
        topology, watched = self.servers.topology, self.app.watched(self.server.type)
        owning = owners(topology, self.app.channel_types)
        listed = needed(topology, watched, owning) if self.frontend else {}
        answer = health(self._state, listed, self.node.is_up)
        return {"status": answer.pop("status"), "id": self.server.id, **answer}

    async def status(self) -> dict[str, Any]:
        """What `zchat status` shows of this server."""
        shown: dict[str, Any] = {
            "id": self.server.id,
            "type": self.server.type,
            "pid": os.getpid(),
            "uptime": round(time.monotonic() - self.started, 1),
            **footprint(),
            "queues": {
                peer.server_id: peer.queued_bytes for peer in self.node.client.peers.values()
            },
            "busy": self.node.busy,
            "lag": round(self.lag, 3),
            "health": self.health()["status"],
            "ring": sorted(self.ring().workers),
            "generation": self.ring().generation,
        }
        counters = self.node.counters
        counters.update(self.dispatcher.counters)
        counters["channel_calls_refused"] = self.channels.refused
        return with_parts(shown, counters, [self.owner, self.frontend, *self.components])
