"""A connector made of bare ZeroMQ sockets: it speaks to a worker by the frame table alone.

    bare = BareConnector(worker)
    await bare.greet()
    await bare.join("alice", "lobby")
    await bare.say("alice", "lobby", "hello")
    topic, frame = await bare.publication(PUBLISHED)

What it sends and reads are msgpack arrays as `zchat/cluster/envelope.py` lists them, made without
zchat's own code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

import msgspec
import zmq

from tests.support.timing import PATIENCE, eventually
from zchat.config.topology import Server

VERSION = b"\x01"
HELLO, WELCOME, PING, PONG, REQUEST, CALL, CAST, REPLY, FAILURE, STRANGER = range(1, 11)
PUBLISHED, PRESENCE = 1, 2
"""What a publication's payload begins with."""

BUDGET = 5000
"""Milliseconds, as envelopes carry them."""

encode = msgspec.msgpack.encode
decode = msgspec.msgpack.decode

Envelope = list[Any]
Frame = list[Any]
Found = Callable[[Envelope], bool]


class BareConnector:
    """A DEALER at a worker's ROUTER and an XSUB at its XPUB.

    Args:
        worker: its line in servers.json.
        name: whom it says it is.
        incarnation: which life of that; no two servers have the same.
        publications: where to subscribe, if not at the worker's own address.
        dealer: options of the DEALER, by pyzmq's names.
        xsub: options of the XSUB.
    """

    def __init__(
        self,
        worker: Server,
        name: str = "connector-server-1",
        incarnation: str = "",
        *,
        publications: str = "",
        dealer: Mapping[str, int] = MappingProxyType({}),
        xsub: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.incarnation = incarnation or f"{name[-1]:0>16}"
        self.heard: list[Envelope] = []
        """Envelopes that nobody has asked for yet, oldest first."""
        self._ids = itertools.count(1)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.dealer = self._socket(zmq.DEALER, dealer)
        self.dealer.setsockopt(zmq.ROUTING_ID, f"{name}/{self.incarnation}".encode())
        self.dealer.connect(worker.router_address)
        self.xsub = self._socket(zmq.XSUB, xsub)
        self.xsub.connect(publications or worker.pub_address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._context.destroy(linger=0)

    def _socket(self, kind: int, options: Mapping[str, int]) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        for name, value in options.items():
            setattr(socket, name, value)
        return socket

    # The DEALER

    def tell(self, *envelopes: Envelope) -> None:
        """One batch."""
        self.dealer.send(VERSION + encode(list(envelopes)))

    async def hear(self, found: Found, timeout: float = PATIENCE) -> Envelope:
        """The first envelope that has come, or comes, and is meant; it is taken out."""
        envelope = await eventually(lambda: self._first(found), timeout)
        assert envelope is not None
        self.heard.remove(envelope)
        return envelope

    def _first(self, found: Found) -> Envelope | None:
        return next((envelope for envelope in self.listen() if found(envelope)), None)

    def listen(self) -> list[Envelope]:
        """Read what has come; returns `heard`."""
        while self.dealer.poll(0):
            (frame,) = self.dealer.recv_multipart()
            assert frame[:1] == VERSION
            self.heard += decode(frame[1:])
        return self.heard

    async def greet(self) -> Envelope:
        """Hello; returns the Welcome."""
        self.tell([HELLO, 1, self.name, "connector", self.incarnation, 0])
        return await self.hear(lambda envelope: envelope[0] == WELCOME)

    def ask(self, method: str, *args: Any, budget: int = BUDGET) -> int:
        """A Call; returns its id."""
        number = next(self._ids)
        self.tell([CALL, number, method, encode(args), budget, b""])
        return number

    def request(
        self, route: str, session: Any, body: bytes, *, budget: int = BUDGET, kind: int = 0
    ) -> int:
        """A client's Request; returns its id."""
        number = next(self._ids)
        self.tell([REQUEST, number, route, session, body, budget, kind, number])
        return number

    async def answer(self, number: int) -> Envelope:
        """The Reply or Failure to a Call or Request."""
        return await self.hear(lambda e: e[0] in (REPLY, FAILURE) and e[1] == number)

    async def order(self, method: str) -> list[Any]:
        """The arguments of the next Cast of a method."""
        cast = await self.hear(lambda e: e[0] == CAST and e[1] == method)
        arguments: list[Any] = decode(cast[2])
        return arguments

    # The XSUB

    def subscribe(self, topic: str) -> None:
        """Ask for a topic."""
        self.xsub.send(b"\x01" + topic.encode() + b"\0")

    def send_token(self, token: bytes) -> None:
        """Send a token behind the subscriptions."""
        self.xsub.send(b"\x02" + token)

    async def publication(self, kind: int) -> tuple[str, Frame]:
        """Topic and payload of the next publication of a kind; others before it are left out."""
        while True:
            await eventually(lambda: self.xsub.poll(0))
            topic, _, payload = self.xsub.recv().partition(b"\0")
            frame: Frame = decode(payload)
            if frame[0] == kind:
                return topic.decode(), frame

    def publications(self) -> list[Frame]:
        """The payloads that have come by now."""
        found = []
        while self.xsub.poll(0):
            found.append(decode(self.xsub.recv().partition(b"\0")[2]))
        return found

    # What connectors do

    def session(self, uid: str, room: str, number: int = 1) -> bytes:
        """A session's snapshot."""
        settings = {"rid": room}
        host = "127.0.0.1"
        return encode([self.name, self.incarnation, number, uid, settings, host, host])

    def enter(self, uid: str, room: str, number: int = 1) -> int:
        """Call the chat's remote that makes a member; returns the call's id."""
        ref = (self.name, self.incarnation, number)
        return self.ask("remote.chat.chatRemote.add", uid, ref, room, {})

    async def join(self, uid: str, room: str, number: int = 1) -> list[Any]:
        """All of a join; returns the arguments of `hub.joined`."""
        call = self.enter(uid, room, number)
        token = token_of(await self.order("hub.join"))
        self.subscribe(room)
        self.send_token(token)
        joined = await self.order("hub.joined")
        assert (await self.answer(call))[0] == REPLY
        return joined

    def say(self, uid: str, room: str, text: str, number: int = 1) -> int:
        """The chat's send, to everybody; returns the request's id."""
        body = msgspec.json.encode({"content": text, "target": "*"})
        return self.request("chat.chatHandler.send", self.session(uid, room, number), body)


def token_of(order: list[Any]) -> bytes:
    """The token in the arguments of `hub.join`: the only bytes there."""
    (token,) = (argument for argument in order if isinstance(argument, bytes))
    return token
