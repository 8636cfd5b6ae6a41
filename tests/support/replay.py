"""Recorded conversations, replayed from the client's side and compared as decoded values.

    conversation = Conversation(frames, overrides, port_of=..., dictionary=...)
    await conversation.replay()

What the client sent goes out byte by byte. Before each of its frames, and at the end, everything
that the recorded servers had sent by then must have come; nothing else may.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.frontend.wire import ACK, Peer, TcpPeer, request
from tests.protocol.vectors import Case
from tests.support.timing import eventually
from zchat.errors import ProtocolError
from zchat.framework.sessions.wire import Wire
from zchat.frontend.sockets.frames import BINARY, CLOSE, TEXT
from zchat.protocol import body, message, package
from zchat.protocol.dictionary import EMPTY
from zchat.protocol.protos import NO_PROTOS

Value = tuple[Any, ...]
"""A package's name, then what it says; or `CLOSED`."""

CLOSED: Value = ("closed",)
HEARTBEAT: Value = ("heartbeat",)
FENCE = 2**40
"""Id of the request that ends each connection: what came for it came after all else."""

RECORDED_VERSION = b"DCY7Awb2HtzvATDMK/IHyQ=="
"""The dictionary's version in the recording. The live server's takes its place: versions vary."""

DROPPED = {
    "__route__": "12.2: zchat writes nothing into an application's bodies",
    "dictVersion": "6.3: versions vary",
}
"""Keys of recorded values that ours need not have, and why."""


def handshake(answer: dict[str, Any]) -> Value:
    return ("handshake", answer)


def response(message_id: int, answer: Any) -> Value:
    return ("response", message_id, answer)


def push(route: str, said: Any) -> Value:
    return ("push", route, said)


@dataclass(frozen=True, eq=False)
class Override:
    """Where zchat does something else than the recorded server, on purpose.

    Args:
        scenario: the name of the conversation, or how it begins.
        recorded: what the recorded server sent, or did; or what the client sent and the recorded
            server did not answer. As the recording's `text` or `event` begins.
        ours: what zchat sends instead, or as an answer.
        why: with the place in the description of the wire.
        conn: on this connection only.
        whole: `recorded` is all of the recording's text, not its beginning.
    """

    scenario: str
    recorded: str
    ours: tuple[Value, ...]
    why: str
    conn: str = ""
    whole: bool = False

    def meets(self, scenario: str, frame: Case) -> bool:
        """Whether this is about that frame."""
        return (
            scenario.startswith(self.scenario)
            and told(frame).startswith(self.recorded)
            and (told(frame) == self.recorded or not self.whole)
            and self.conn in ("", frame["conn"])
        )


async def upgraded(port: int) -> Peer:
    """A WebSocket connection to a server of 127.0.0.1."""
    peer = Peer()
    await asyncio.get_running_loop().sock_connect(peer.sock, ("127.0.0.1", port))
    await peer.send(request(Host="127.0.0.1"))
    status, _, _ = await peer.response()
    assert status == 101
    return peer


async def connected(port: int) -> TcpPeer:
    """A TCP connection to a server of 127.0.0.1."""
    peer = TcpPeer()
    await asyncio.get_running_loop().sock_connect(peer.sock, ("127.0.0.1", port))
    return peer


def told(frame: Case) -> str:
    """The recording's own words for a frame."""
    words: str = frame.get("event") or frame.get("text", "")
    return words


class Reader:
    """Decodes what servers say to one client.

    Args:
        wire: codes of routes and schemas of bodies.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._asked: dict[int, str] = {}  # the route of each request

    def asked(self, data: bytes) -> None:
        """The client sent this message."""
        with suppress(ProtocolError):
            for item in package.decode(data):
                if item.type is package.DATA:
                    sent = message.decode(item.body, self._wire.dictionary)
                    self._asked[sent.id] = sent.route

    def values(self, data: bytes) -> list[Value]:
        """The packages of one message from a server."""
        return [self._value(item) for item in package.decode(data)]

    def recorded(self, frame: Case) -> list[Value]:
        """What a recorded server sent in one frame."""
        if frame["text"].startswith("handshake "):  # of long ones the recording has no bytes
            return [handshake(json.loads(frame["text"].removeprefix("handshake ")))]
        return self.values(bytes.fromhex(frame["hex"]))

    def _value(self, item: package.Package) -> Value:
        if item.type is package.HEARTBEAT:
            return HEARTBEAT
        if item.type is not package.DATA:
            return (item.type.name.lower(), body.loads(item.body))
        bodies = self._wire.protos.at_client
        received = message.decode(item.body, self._wire.dictionary)
        if received.type is message.MessageType.RESPONSE:
            route = self._asked.get(received.id, "")
            return response(received.id, bodies.decode(route, received.body))
        assert received.type is message.MessageType.PUSH
        return push(received.route, bodies.decode(received.route, received.body))


def values(data: bytes) -> list[Value]:
    """The packages of one message from a server without codes for pushes or schemas."""
    return Reader(Wire(EMPTY, NO_PROTOS)).values(data)


def fits(recorded: Any, ours: Any, free: dict[str, Callable[[Any], bool]]) -> bool:
    """Whether `ours` says what `recorded` says; it may say more.

    Args:
        free: values that vary, by key: what is asked of them instead.
    """
    if isinstance(recorded, dict):
        return isinstance(ours, dict) and all(
            key in DROPPED or (key in ours and _fits(key, value, ours[key], free))
            for key, value in recorded.items()
        )
    if isinstance(recorded, list | tuple):
        return (
            type(recorded) is type(ours)
            and len(recorded) == len(ours)
            and all(fits(one, other, free) for one, other in zip(recorded, ours, strict=True))
        )
    return type(recorded) is type(ours) and bool(recorded == ours)


def _fits(key: str, recorded: Any, ours: Any, free: dict[str, Callable[[Any], bool]]) -> bool:
    return free[key](ours) if key in free else fits(recorded, ours, free)


@dataclass
class _Heard:
    """Pushes have an order of their own: none is promised between them and responses."""

    pushes: list[Value] = field(default_factory=list)
    others: list[Value] = field(default_factory=list)

    def take(self, found: Iterable[Value]) -> None:
        for value in found:
            (self.pushes if value[0] == "push" else self.others).append(value)

    def covers(self, other: _Heard) -> bool:
        return len(self.pushes) >= len(other.pushes) and len(self.others) >= len(other.others)


class Client:
    """One connection: what was expected on it and what came."""

    def __init__(self, peer: Peer, reader: Reader) -> None:
        self.peer = peer
        self.reader = reader
        self.is_working = False
        """Whether it may be sent requests."""
        self.expected = _Heard()
        self.heard = _Heard()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            try:
                opcode, payload = await self.peer.frame()
            except (EOFError, ConnectionError):
                opcode, payload = CLOSE, b""
            if opcode == CLOSE:
                self.heard.take([CLOSED])
                return
            assert opcode == BINARY
            self.heard.take(self.reader.values(payload))

    @property
    def is_open(self) -> bool:
        return CLOSED not in self.expected.others

    async def settle(self) -> None:
        """Wait for all that is expected by now."""
        try:
            await eventually(lambda: self.heard.covers(self.expected))
        except AssertionError:
            raise AssertionError(f"expected {self.expected}, heard {self.heard}") from None

    async def fence(self, route: str) -> None:
        """Wait until what the server has to say has come."""
        data = message.encode_request(FENCE, route, b"{}", EMPTY)
        await self.peer.say(package.encode(package.DATA, data))
        await eventually(
            lambda: any(value[:2] == ("response", FENCE) for value in self.heard.others)
        )
        self.heard.others = [value for value in self.heard.others if value[1:2] != (FENCE,)]

    async def close(self) -> None:
        """Leave as a browser does."""
        if not self._reader.done():
            self._reader.cancel()
            await asyncio.wait({self._reader})
            await self.peer.leave()
        self.peer.close()
        if not self._reader.cancelled():
            self._reader.result()


class Conversation:
    """A recorded conversation.

    Args:
        scenario: its name.
        overrides: of all scenarios.
        port_of: where a connection of that name goes.
        wire: codes and schemas of the live servers.
        free: see `fits`.
        fence: a route that is answered last, whatever the answer.
        again: a handshake on a connection that had one means a new connection of the same name.
    """

    def __init__(
        self,
        scenario: str,
        overrides: Iterable[Override],
        port_of: Callable[[str], int],
        wire: Wire,
        free: dict[str, Callable[[Any], bool]],
        fence: str,
        again: bool = False,
    ) -> None:
        self._scenario = scenario
        self._overrides = [entry for entry in overrides if scenario.startswith(entry.scenario)]
        self._port_of = port_of
        self._wire = wire
        self._dictionary = wire.dictionary
        self._free = free
        self._fence = fence
        self._again = again
        self._clients: dict[str, list[Client]] = {}
        self._gone: list[Client] = []
        self._bytewise = False
        self._codes: dict[int, str] = {}  # as the recorded servers gave them
        self.used: set[Override] = set()
        """The overrides that were met."""

    async def replay(self, frames: Iterable[Case]) -> None:
        """Say what the client said; check what came.

        Raises:
            AssertionError: something did not come, or came and was not recorded.
        """
        try:
            for frame in frames:
                await self.take(frame)
            for client in self._open:
                await self._leave(client)
            for client in (*self._gone, *self._open):
                self._compare(client)
        finally:
            for client in (*self._gone, *self._open):
                await client.close()

    async def take(self, frame: Case) -> None:
        """One frame of either side."""
        if "note" in frame:
            self._bytewise = "one byte at a time" in frame["note"]
            return
        if frame.get("dir") == "client":
            await self._say(frame)
        elif frame.get("event") == "closed by client":
            group = self._clients[frame["conn"]]
            await self._leave(group[-1])
            self._gone.append(group.pop())
        else:
            self._expect(frame)

    def client(self, name: str) -> Client:
        """The connection of that name."""
        return self._clients[name][-1]

    @property
    def _open(self) -> list[Client]:
        return [client for group in self._clients.values() for client in group]

    async def settle(self) -> None:
        """Wait for all that is expected by now, on all connections."""
        for client in self._open:
            await client.settle()

    async def _say(self, frame: Case) -> None:
        await self.settle()
        group = self._clients.setdefault(frame["conn"], [])
        if not group or (self._again and frame["text"].startswith("handshake")):
            connect = connected if self._scenario.startswith("tcp:") else upgraded
            peer = await connect(self._port_of(frame["conn"]))
            group.append(Client(peer, Reader(self._wire)))
        client = group[-1]
        if not client.is_open:
            return  # it was closed earlier than in the recording
        data = bytes.fromhex(frame["hex"])
        data = data.replace(RECORDED_VERSION, self._dictionary.version.encode())
        data = self._recoded(data)
        client.reader.asked(data)
        pieces = [bytes((byte,)) for byte in data] if self._bytewise else [data]
        self._bytewise = False
        for piece in pieces:
            await client.peer.say(piece, TEXT if "ws_opcode" in frame else BINARY)
        client.is_working |= data == ACK
        client.expected.take(self._override(frame) or ())

    def _recoded(self, data: bytes) -> bytes:
        """With our code for its route: clients have the codes from the handshake."""
        if len(data) < 8 or data[0] != package.DATA or not data[4] & 1 or data[4] & 8:
            return data
        place = 5 if data[4] & 2 else 6  # a request has an id; the recorded ones are short
        ours = self._dictionary.code(self._codes.get(data[place] << 8 | data[place + 1], ""))
        return data if ours is None else data[:place] + ours.to_bytes(2, "big") + data[place + 2 :]

    def _expect(self, frame: Case) -> None:
        reader = self.client(frame["conn"]).reader
        for value in reader.recorded(frame) if "event" not in frame else ():
            if value[0] == "handshake":
                codes = value[1].get("sys", {}).get("dict", {})
                self._codes |= {code: route for route, code in codes.items()}
        expected = self._override(frame)
        if expected is None:
            expected = (CLOSED,) if "event" in frame else tuple(reader.recorded(frame))
        self.client(frame["conn"]).expected.take(expected)

    def _override(self, frame: Case) -> tuple[Value, ...] | None:
        for entry in self._overrides:
            if entry.meets(self._scenario, frame):
                self.used.add(entry)
                return entry.ours
        return None

    async def _leave(self, client: Client) -> None:
        await client.settle()
        if client.is_open:
            if client.is_working:
                await client.fence(self._fence)
            client.expected.take([CLOSED])
            await client.close()
            client.heard.take([CLOSED])

    def _compare(self, client: Client) -> None:
        for expected, heard in (
            (client.expected.others, client.heard.others),
            (client.expected.pushes, client.heard.pushes),
        ):
            for recorded, ours in zip(_by_request(expected), _by_request(heard), strict=False):
                assert fits(recorded, ours, self._free), (recorded, ours)
                if recorded[0] == "handshake":
                    self._compare_dictionaries(recorded[1].get("sys", {}), ours[1].get("sys", {}))
            assert len(expected) == len(heard), (expected, heard)

    def _compare_dictionaries(self, recorded: dict[str, Any], ours: dict[str, Any]) -> None:
        """All of it or nothing, as recorded; the table itself is the live one."""
        wire = self._dictionary.as_wire()
        assert {key: ours[key] for key in wire if key in ours} in ({}, wire)
        for key in ("protos", "useProto"):
            assert (key in ours) == (key in recorded)
        if "useDict" in recorded:
            assert ("dict" in ours) == ("dict" in recorded)


def _by_request(values: Sequence[Value]) -> list[Value]:
    """The same with the answers in the order of their requests: of several that are under way at
    once, any may be answered first."""
    answers = iter(sorted((v for v in values if v[0] == "response"), key=lambda v: v[1]))
    return [next(answers) if value[0] == "response" else value for value in values]
