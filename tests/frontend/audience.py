"""What the tests of hub, resync and forwarder share: sessions whose connections keep what they get.

A package here is any short text; what a connection was sent is read back as those texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import cast

from zchat.cluster.subscriber import Subscriber
from zchat.frontend.hub import Hub
from zchat.frontend.local_channel import LocalChannel
from zchat.frontend.publications import HISTORY_LOST
from zchat.frontend.session import Membership, Session, SessionTable
from zchat.frontend.sockets.connection import Connection
from zchat.frontend.sockets.disconnect import Disconnect
from zchat.frontend.sockets.frames import frame
from zchat.rooms.stream import (
    Item,
    PresenceChange,
    PresenceChanges,
    Published,
    StreamPosition,
    encode_frame,
)
from zchat.rooms.wish import PRESENCE

OWNER = "chat-server-1"
EPOCH = "e1"
LOBBY = "lobby"


class FakeConnection:
    """Keeps what is sent; like the real one it drops everything once it ends."""

    remote_address = "192.0.2.1"
    host = "chat.example"

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.disconnect: Disconnect | None = None
        self.closes = 0
        self.at_once = 0
        self.deferred = 0
        self.flushed = True
        """Whether everybody who has something to send has been flushed, see `lap`."""

    def enqueue(self, data: bytes) -> None:
        if self.disconnect is None:
            self.writes.append(data)

    def deliver(self, data: bytes) -> None:
        self.at_once += 1
        self.enqueue(data)

    def defer(self, data: bytes) -> None:
        self.deferred += 1
        self.enqueue(data)

    def lap(self) -> Callable[[], bool]:
        return lambda: self.flushed

    def send(self, packages: bytes) -> None:
        self.enqueue(frame(packages))

    def close(self, disconnect: Disconnect) -> None:
        self.closes += 1
        self.disconnect = self.disconnect or disconnect

    @property
    def texts(self) -> list[str]:
        """Everything that was sent, package by package."""
        return texts(b"".join(self.writes))


def texts(data: bytes) -> list[str]:
    """The packages in a run of unmasked frames; of the hub's own push, what it says."""
    found = []
    while data:
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        text = data[start : start + length].decode()
        if PRESENCE in text:
            body = json.loads(text[text.index("{") :])
            came, went = (f"+{uid}" for uid in body["joined"]), (f"-{uid}" for uid in body["left"])
            text = " ".join(["diff", *came, *went])
        elif HISTORY_LOST in text:
            lost = json.loads(text[text.index("{") :])
            text = f"lost {lost['epoch']} {lost['after']}-{lost['before']}"
        found.append(text)
        data = data[start + length :]
    return found


class FakeSubscriber:
    """Keeps what is asked of it, in order."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.asked: list[tuple[str, str | bytes]] = []

    def subscribe(self, topic: str) -> None:
        self.topics.add(topic)
        self.asked.append(("subscribe", topic))

    def unsubscribe(self, topic: str) -> None:
        self.topics.discard(topic)
        self.asked.append(("unsubscribe", topic))

    def send_token(self, token: bytes) -> None:
        self.asked.append(("token", token))


class Stage:
    """A hub with fakes around it."""

    def __init__(self, *, hold_limit: int = 1 << 20) -> None:
        self.subscriber = FakeSubscriber()
        self.fetched: list[LocalChannel] = []
        self.compared: list[LocalChannel] = []
        self.lost: list[tuple[str, str, str]] = []
        self.now = 100.0
        self.sessions = SessionTable("connector-server-1", "0123456789abcdef")
        self.hub = Hub(
            cast(Subscriber, self.subscriber),
            self.fetched.append,
            self.compared.append,
            self._lost,
            hold_limit=hold_limit,
            clock=lambda: self.now,
        )

    def _lost(self, membership: Membership, owner: str) -> None:
        self.lost.append((membership.channel, membership.uid, owner))

    def open(self) -> Session:
        return self.sessions.open(cast(Connection, FakeConnection()))

    def close(self, session: Session) -> None:
        self.sessions.close(session)
        self.hub.closed(session)

    def join(
        self,
        uid: str,
        channel: str = LOBBY,
        *,
        session: Session | None = None,
        origin: int = 0,
        differences: bool = False,
    ) -> Session:
        """The owner's order; `origin` is under way from then on."""
        session = session or self.open()
        if origin:
            session.in_flight = (session.in_flight or set()) | {origin}
        token = f"token {session.id}".encode()
        self.hub.join(session, channel, uid, OWNER, token, origin, differences)
        return session

    def joined(
        self,
        session: Session,
        offset: int = 0,
        version: int = 1,
        *,
        epoch: str = EPOCH,
        channel: str = LOBBY,
        owner: str = OWNER,
        uids: Sequence[str] | None = None,
        token: bytes | None = None,
        gone: Sequence[str] | None = None,
    ) -> bool:
        """The owner's word; its list is the roster, and who comes in, unless it is given.

        With `gone`, `uids` are those who came since the session was ordered in.
        """
        position, resume = StreamPosition(epoch, offset), f"resume {session.id}"
        if uids is None:
            membership = (session.memberships or {}).get(channel)
            known = self.hub.channels[channel].roster.uids if membership else ()
            uids = [*known, membership.uid if membership else "somebody"]
        order = f"token {session.id}".encode() if token is None else token
        args = (position, version, order, 1.5, True, resume, uids)
        return self.hub.joined(session, channel, owner, *args, gone is not None, gone or ())

    def enter(
        self,
        uid: str,
        offset: int = 0,
        version: int = 1,
        channel: str = LOBBY,
        *,
        epoch: str = EPOCH,
        uids: Sequence[str] | None = None,
        differences: bool = False,
    ) -> Session:
        """A member that is live at once."""
        session = self.join(uid, channel, differences=differences)
        assert self.joined(session, offset, version, channel=channel, epoch=epoch, uids=uids)
        return session

    def answer(self, session: Session, origin: int) -> None:
        """What the forwarder does with an answer."""
        connection_of(session).send(f"answer {origin}".encode())
        assert session.in_flight is not None
        session.in_flight.discard(origin)
        self.hub.answered(session)

    def publish(
        self,
        first: int,
        *names: str,
        to: Sequence[str] | None = None,
        epoch: str = EPOCH,
        channel: str = LOBBY,
    ) -> None:
        items = items_of(*names, to=to)
        self.hub.on_frame(channel, encode_frame(Published(epoch, first, items)))

    def presence(self, version: int, uid: str, joined: bool = True, **how: str) -> None:
        self.hub.on_frame(LOBBY, encode_frame(change(version, uid, joined, **how)))

    def crowd(self, *changes: PresenceChange) -> None:
        """Several changes in one frame."""
        self.hub.on_frame(LOBBY, encode_frame(PresenceChanges(changes)))

    @property
    def lobby(self) -> LocalChannel:
        return self.hub.channels[LOBBY]


def change(
    version: int, uid: str, joined: bool = True, *, epoch: str = EPOCH, package: str | None = None
) -> PresenceChange:
    """Its push is +uid or -uid unless it is given."""
    text = f"{'+' if joined else '-'}{uid}" if package is None else package
    return PresenceChange(epoch, version, uid, joined, text.encode())


def items_of(*names: str, to: Sequence[str] | None = None) -> tuple[Item, ...]:
    return tuple(Item(name.encode(), None if to is None else tuple(to)) for name in names)


def connection_of(session: Session) -> FakeConnection:
    connection: object = session.connection
    assert isinstance(connection, FakeConnection)
    return connection


def heard(session: Session) -> list[str]:
    """Everything that a session's client was sent."""
    return connection_of(session).texts
