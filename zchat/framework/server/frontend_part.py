"""The part of a server that clients connect to: sockets, sessions, hub and forwarder, tied."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zchat.cluster.subscriber import SubscriberHandlers
from zchat.config.settings import Settings
from zchat.config.topology import Server
from zchat.framework.app.application import Application
from zchat.framework.handlers.dispatcher import Dispatcher
from zchat.framework.handlers.local_requests import LocalRequests
from zchat.framework.peers.methods import Methods
from zchat.framework.peers.node import Node
from zchat.framework.sessions import greeting
from zchat.framework.sessions.authentication import Authentication
from zchat.framework.sessions.entrance import Entrance
from zchat.framework.sessions.hooks import SessionEvents
from zchat.framework.sessions.logins import LoginChannel, Logins
from zchat.framework.sessions.newcomers import Newcomers
from zchat.framework.sessions.notices import NoticeSender
from zchat.framework.sessions.orders import SessionOrders
from zchat.framework.sessions.owner_orders import OwnerOrders
from zchat.framework.sessions.wire import Wire
from zchat.frontend.forwarder import Forwarder, Pick
from zchat.frontend.hub import Hub
from zchat.frontend.resync import Resync
from zchat.frontend.session import Session, SessionTable
from zchat.frontend.sockets.acceptor import Acceptor
from zchat.frontend.sockets.addresses import Addresses
from zchat.frontend.sockets.connection import Connection
from zchat.frontend.sockets.connections import Connections
from zchat.frontend.sockets.descriptors import capacity, raise_limit
from zchat.frontend.sockets.disconnect import Disconnect
from zchat.frontend.sockets.frames import frame
from zchat.frontend.sockets.tls import Certificate
from zchat.protocol.message import Message
from zchat.rooms.beat import TOPIC
from zchat.rooms.ring import Ring


class FrontendPart:
    """Makes a server a frontend.

    Args:
        app: at work; what it says of clients, of their sessions, and where requests go.
        node: its links.
        methods: where it offers what owners and backends order.
        dispatcher: handlers of this server's type.
        events: runs what the application does when a session is bound or closes.
        channel: a channel by its name, reserved ones too.
        wire: codes and schemas of the cluster's routes.
        ring: the ring of now.
        settings: of the cluster.
        folder: the project's.
        health: what /healthz answers.
    """

    def __init__(
        self,
        app: Application,
        node: Node,
        methods: Methods,
        dispatcher: Dispatcher,
        events: SessionEvents,
        channel: Callable[[str], LoginChannel],
        wire: Wire,
        ring: Callable[[], Ring],
        settings: Settings,
        folder: Path,
        health: Callable[[], dict[str, Any]],
    ) -> None:
        self._app = app
        self._node = node
        self._ring = ring
        self._settings = settings
        self._dialect = greeting.dialect(app.told, wire)
        self.sessions = SessionTable(node.server.id, node.incarnation)
        told = app.session_hooks.types - {node.server.type}
        self._notices = NoticeSender(self.sessions, events, told, node.cast, methods)
        self._make_channels(methods)
        logins = Logins(
            app.session_policy,
            channel,
            self._notices.bound,
            self._drop,
            lambda session: self.sessions.get(session.id) is session,
        )
        orders = SessionOrders(self.sessions, logins, self._drop, methods, self._dialect)
        self._make_requests(dispatcher, orders)
        self._newcomers = Newcomers(
            logins, self.forwarder.take, node.spawn, settings.limits.requests_in_flight
        )
        self._make_door(folder, health)

    # Parts

    def _make_channels(self, methods: Methods) -> None:
        """What owners publish, on its way to members; and what owners order."""
        node, settings, dialect = self._node, self._settings, self._dialect
        handlers = SubscriberHandlers(on_message=self._on_frame, on_link=self._linked)
        self._subscriber = self._app.parts.subscriber(node.context, handlers)
        self.hub = Hub(
            self._subscriber,
            lambda local: self.resync.fetch(local),
            lambda local: self.resync.compare(local),
            lambda membership, owner: self.resync.lost(membership, owner),
            hold_limit=settings.limits.outbox_bytes,
            dictionary=dialect.dictionary,
            framed=frame if dialect.is_whole else dialect.framed,
            join_timeout=settings.cluster.request_deadline,
        )
        self.resync = Resync(
            self.hub,
            self.sessions,
            self._subscriber.send_token,
            node.call,
            node.cast,
            self._ring,
            beat=settings.rooms.beat,
        )
        self._subscriber.subscribe(TOPIC)
        self._owners: frozenset[str] = frozenset()
        OwnerOrders(self.sessions, self.hub, self.resync, node.cast, self._ring, methods)

    def _make_requests(self, dispatcher: Dispatcher, orders: SessionOrders) -> None:
        """What clients ask, on its way to handlers here and elsewhere."""
        node, settings, pick = self._node, self._settings, self._app.routers.pick
        self._local = LocalRequests(
            dispatcher,
            orders.call,
            node.spawn,
            self._undo_joins,
            deadline=settings.cluster.request_deadline,
        )
        self.forwarder = Forwarder(
            node.server.type,
            node.client,
            self._noting(pick) if self._notices.types else pick,
            self._local.take,
            self.hub,
            deadline=settings.cluster.request_deadline,
            limit=settings.limits.requests_in_flight,
            now=time.monotonic(),
            retried=self._app.retried_routes(),
            dialect=self._dialect,
        )

    def _make_door(self, folder: Path, health: Callable[[], dict[str, Any]]) -> None:
        """Where clients come in."""
        app, settings, server = self._app, self._settings, self._node.server
        room = capacity(raise_limit(), server.max_connections or settings.limits.connections)
        self._authentication = self._authenticate(app, room)
        self.connections = Connections(
            greeting.handshake(app, self._dialect, settings),
            settings.client,
            settings.limits,
            capacity=room,
            on_open=self._on_open,
            on_message=self._on_message,
            on_close=self._on_close,
            on_handshake=self._authentication.ask if self._authentication else None,
            on_flush=self.hub.flush,
        )
        self._acceptor = Acceptor(
            server.id,
            self.connections,
            health=health,
            origins=settings.client.allowed_origins,
            addresses=Addresses(
                settings.client.blocked, settings.client.trusted_proxies, app.is_blocked
            ),
            certificate=_certificate(settings, folder),
        )

    def _authenticate(self, entrance: Entrance, limit: int) -> Authentication | None:
        if entrance.authenticator is None:
            return None
        timeout = self._settings.client.handshake_timeout
        spawn = self._node.spawn
        return Authentication(entrance.authenticator, spawn, timeout=timeout, limit=limit)

    def _noting(self, pick: Pick) -> Pick:
        """`pick`, and it is noted which servers have to hear of a session."""

        def noting(server_type: str, session: Session, route: str, body: bytes) -> str:
            server = pick(server_type, session, route, body)
            if server_type in self._notices.types:
                self._notices.asked(session, server)
            return server

        return noting

    # What the server asks of it

    def start(self) -> None:
        """Listen for clients.

        Raises:
            ConfigError: the port is taken.
        """
        port = self._node.server.client_port
        assert port is not None, "a frontend has a port for clients"
        self._acceptor.bind(self._settings.client.listen, port)

    def follow(self, owners: tuple[Server, ...]) -> None:
        """Subscribe at these owners, and at no others."""
        wanted = frozenset(server.id for server in owners)
        for server_id in self._owners - wanted:
            self._subscriber.disconnect(server_id)
            self.resync.forget(server_id)
        for server in owners:
            self._subscriber.connect(server.id, server.pub_address, self._node.key_of(server.id))
        self._owners = wanted
        self.forwarder.repick()

    def owner_up(self, owner: str, restarted: bool) -> None:
        """An owner answers: tell it of its members here."""
        if owner in self._ring().workers:
            self.resync.announce(owner, restarted=restarted)

    def ring_changed(self, ring: Ring) -> None:
        """Channels may have new owners: tell each of its members here."""
        for owner in ring.workers:
            if self._node.is_up(owner):
                self.resync.announce(owner)

    def tick(self, now: float) -> None:
        """Do what is due; call it at least twice a second."""
        self.connections.tick(now)
        self._acceptor.tick(now)
        self.forwarder.tick(now)
        self.hub.tick()
        self.resync.watch(owner for owner in self._ring().workers if self._node.is_up(owner))
        self._local.tick(now)

    def status(self) -> dict[str, Any]:
        """What `zchat status` shows of this part."""
        return {
            "connections": len(self.connections.sockets),
            "sessions": len(self.sessions),
            "channels": len(self.hub.channels),
            "deliveries": self.hub.counters["deliveries"],
            "counters": {
                "xsub_refused": self._subscriber.refusals.total,
                "xsub_left": self._subscriber.left,
                "xsub_renewed": self._subscriber.renewed,
            }
            | {
                name: count
                for counters in (
                    self.connections.counters,
                    self.forwarder.counters,
                    self.hub.totals(),
                    self.resync.counters,
                    self._dialect.counters,
                    self._authentication.counters if self._authentication else Counter[str](),
                )
                for name, count in counters.items()
            },
        }

    async def stop(self, seconds: float) -> None:
        """Stop accepting, tell clients to move, and let go. Idempotent."""
        await self._acceptor.stop(seconds=seconds)
        await self.resync.close()
        self._subscriber.close()

    # What clients do

    def _on_open(self, connection: Connection) -> None:
        session = connection.session = self.sessions.open(connection)
        if connection.uid:
            self._newcomers.begin(session, connection.uid)

    def _on_message(self, connection: Connection, message: Message) -> None:
        self._node.stir()
        self._newcomers.take(connection.session, message)

    def _on_close(self, connection: Connection, disconnect: Disconnect) -> None:
        session: Session = connection.session
        self.sessions.close(session)
        self.hub.closed(session)
        self.forwarder.closed(session)
        self._notices.closed(session, disconnect.name)

    def _undo_joins(self, session: int, request: int) -> None:
        """A request has failed: who was let in by it is told that it is not, so it is put out."""
        known = self.sessions.get(session)
        if known is not None and request:
            self.hub.refused(known, request)

    # What the servers order

    def _drop(self, session: Session, channel: str) -> None:
        """Take a session out of a channel whose owner cannot be told now."""
        membership = (session.memberships or {}).get(channel)
        if membership is not None:
            self.resync.lost(membership, membership.owner)
            self.hub.leave(session, channel)

    def _on_frame(self, topic: str, payload: bytes) -> None:
        if topic == TOPIC:
            self.resync.on_beat(payload)
        else:
            self.hub.on_frame(topic, payload)

    def _linked(self, owner: str) -> None:
        """Publications of an owner come in (again): what was sent into the dead link is lost."""
        self.hub.repeat_tokens(owner)
        if owner in self._ring().workers and self._node.is_up(owner):
            self.resync.announce(owner)


def _certificate(settings: Settings, folder: Path) -> Certificate | None:
    """What settings.toml names; None without TLS.

    Raises:
        ConfigError: it cannot be used.
    """
    client = settings.client
    if not client.certificate:
        return None
    return Certificate(folder / client.certificate, folder / client.key if client.key else None)
