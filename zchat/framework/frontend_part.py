"""The part of a server that clients connect to: sockets, sessions, hub and forwarder, tied."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from zchat.cluster.subscriber import SubscriberHandlers
from zchat.config.settings import Settings
from zchat.config.topology import Server
from zchat.errors import RequestError
from zchat.framework.backend_session import BackendSession
from zchat.framework.dispatcher import Dispatcher
from zchat.framework.methods import Methods
from zchat.framework.node import Node
from zchat.framework.parts import Parts
from zchat.frontend.acceptor import Acceptor
from zchat.frontend.connection import Connection, Connections
from zchat.frontend.descriptors import capacity, raise_limit
from zchat.frontend.disconnect import KICKED, RESUMED, Disconnect
from zchat.frontend.forwarder import Finish, Forwarder, Pick
from zchat.frontend.hub import Hub
from zchat.frontend.resync import Resync
from zchat.frontend.session import Session, SessionTable
from zchat.protocol.handshake import ServerHandshake
from zchat.protocol.message import Message
from zchat.rooms.beat import TOPIC
from zchat.rooms.ring import Ring
from zchat.rooms.stream import StreamPosition


class FrontendPart:
    """Makes a server a frontend.

    Args:
        node: its links.
        methods: where it offers what owners and backends order.
        dispatcher: handlers of this server's type.
        handshake: how clients are let in.
        pick: chooses servers for requests of other types.
        retried: routes whose handlers may run twice.
        parts: makes the XSUB.
        ring: the ring of now.
        settings: of the cluster.
        health: what /healthz answers.
    """

    def __init__(
        self,
        node: Node,
        methods: Methods,
        dispatcher: Dispatcher,
        handshake: ServerHandshake,
        pick: Pick,
        retried: frozenset[str],
        parts: Parts,
        ring: Callable[[], Ring],
        settings: Settings,
        health: Callable[[], dict[str, Any]],
    ) -> None:
        self._node = node
        self._dispatcher = dispatcher
        self._ring = ring
        self._settings = settings
        server = node.server
        self.sessions = SessionTable(server.id, node.incarnation)
        handlers = SubscriberHandlers(
            on_message=self._on_frame,
            on_link=self._linked,
        )
        self._subscriber = parts.subscriber(node.context, handlers)
        self.hub = Hub(
            self._subscriber,
            lambda local: self.resync.fetch(local),
            lambda local: self.resync.compare(local),
            lambda membership, owner: self.resync.lost(membership, owner),
            hold_limit=settings.limits.outbox_bytes,
            dictionary=handshake.dictionary,
        )
        self.resync = Resync(
            self.hub,
            self.sessions,
            self._subscriber.send_token,
            node.call,
            node.cast,
            ring,
            beat=settings.rooms.beat,
        )
        self._subscriber.subscribe(TOPIC)
        self.forwarder = Forwarder(
            server.type,
            node.client,
            pick,
            self._local,
            self.hub,
            deadline=settings.cluster.request_deadline,
            limit=settings.limits.requests_in_flight,
            now=time.monotonic(),
            retried=retried,
        )
        self.connections = Connections(
            handshake,
            settings.client,
            settings.limits,
            capacity=capacity(raise_limit(), server.max_connections or settings.limits.connections),
            on_open=self._on_open,
            on_message=self._on_message,
            on_close=self._on_close,
        )
        self._acceptor = Acceptor(
            server.id,
            self.connections,
            health=health,
            origins=settings.client.allowed_origins,
        )
        self._owners: frozenset[str] = frozenset()
        self._offer(methods)

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
        """Do what is due; call it about every 100 ms."""
        self.connections.tick(now)
        self.forwarder.tick(now)
        self.resync.watch(owner for owner in self._ring().workers if self._node.is_up(owner))

    def status(self) -> dict[str, Any]:
        """What `zchat status` shows of this part."""
        return {
            "connections": len(self.connections.sockets),
            "sessions": len(self.sessions),
            "channels": len(self.hub.channels),
            "deliveries": self.hub.counters["deliveries"],
            "counters": {
                "xsub_refused": self._subscriber.refusals.total,
            }
            | {
                name: count
                for counters in (
                    self.connections.counters,
                    self.forwarder.counters,
                    self.hub.totals(),
                    self.resync.counters,
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
        connection.session = self.sessions.open(connection)

    def _on_message(self, connection: Connection, message: Message) -> None:
        self.forwarder.take(connection.session, message)

    def _on_close(self, connection: Connection, disconnect: Disconnect) -> None:
        session: Session = connection.session
        self.sessions.close(session)
        self.hub.closed(session)
        self.forwarder.closed(session)

    def _local(self, session: Session, message: Message, finish: Finish) -> None:
        self._node.spawn(self._run(session, message, finish), message.route)

    async def _run(self, session: Session, message: Message, finish: Finish) -> None:
        if not self._dispatcher.is_serial(message.route):
            await self._answer(session, message, finish)
            return
        if session.turn is None:
            session.turn = asyncio.Lock()
        async with session.turn:
            await self._answer(session, message, finish)

    async def _answer(self, session: Session, message: Message, finish: Finish) -> None:
        view = BackendSession(session.snapshot(), self._node.call)
        budget = self._settings.cluster.request_deadline
        finish(await self._dispatcher.answer(message.route, view, message.body, message.id, budget))

    # What owners and backends order

    def _offer(self, methods: Methods) -> None:
        methods.add_cast("hub.join", self._join)
        methods.add_cast("hub.joined", self._joined)
        methods.add_cast("hub.leave", self._leave)
        methods.add_cast("hub.evict", self._evict)
        methods.add("session.push", self._push)
        methods.add("session.bind", self._bind)
        methods.add("session.unbind", self._unbind)
        methods.add("session.kick", self._kick)
        methods.add("session.drop", self._drop)

    def _join(
        self, session: int, channel: str, uid: str, owner: str, token: bytes, request: int
    ) -> None:
        known = self.sessions.get(session)
        if known is None:
            self.resync.gone(owner, channel, uid, session)
            return
        self.hub.join(known, channel, uid, owner, token, request)

    def _joined(
        self,
        session: int,
        channel: str,
        uid: str,
        owner: str,
        epoch: str,
        offset: int,
        version: int,
        since: float,
        exclusive: bool,
        resume: str,
        uids: list[str] | None,
    ) -> None:
        known = self.sessions.get(session)
        position = StreamPosition(epoch, offset)
        if known is None or not self.hub.joined(
            known, channel, position, version, since, exclusive, resume, uids
        ):
            self.resync.gone(owner, channel, uid, session)
        else:
            self.resync.came_in(channel, owner, epoch)

    def _leave(self, session: int, channel: str) -> None:
        known = self.sessions.get(session)
        if known is not None:
            self.hub.leave(known, channel)

    def _evict(self, session: int, channel: str, resumed: bool) -> None:
        """Another session has the place of this one.

        Args:
            resumed: its own client took it; else two had one name in a room that changed owners.
        """
        known = self.sessions.get(session)
        if known is None:
            return
        self.hub.leave(known, channel)
        taken = f"somebody else has your name in {channel}"
        known.connection.close(RESUMED if resumed else KICKED.because(taken))

    def _session(self, session: int) -> Session:
        known = self.sessions.get(session)
        if known is None:
            raise RequestError(f"session {session} is gone")
        return known

    async def _push(self, session: int, settings: dict[str, Any]) -> None:
        self._session(session).push(settings)

    async def _bind(self, session: int, uid: str) -> None:
        self._session(session).bind(uid)

    async def _unbind(self, session: int, uid: str) -> None:
        self._session(session).unbind(uid)

    async def _drop(self, session: int, channel: str) -> None:
        known = self._session(session)
        membership = (known.memberships or {}).get(channel)
        if membership is not None:
            self.resync.lost(membership, membership.owner)
            self.hub.leave(known, channel)

    async def _kick(self, session: int, reason: str) -> None:
        self._session(session).connection.kick(reason)

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
