"""Thousands of clients in one process: they enter rooms, are cut off, and come back.

    connect -> upgrade -> handshake -> ack and enter, with the place where they were -> the answer

Small beside the servers that they load, so that both fit on one machine: raw sockets on one epoll,
a mask of zeros (RFC 6455 asks for a mask, not for a secret one), one request each.
"""

from __future__ import annotations

import resource
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from bench.contenders import Contender
from zchat.frontend.sockets.frames import CLOSE, read_close
from zchat.protocol.body import dumps, loads
from zchat.protocol.connection import ClientConnection
from zchat.protocol.events import HandshakeAccepted, Kicked, Push, Response
from zchat.protocol.message import encode_request
from zchat.protocol.package import DATA, encode

ENTER: Final = "connector.entryHandler.enter"
SEND: Final = "chat.chatHandler.send"
_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_AT_ONCE: Final = 128  # on their way in at the same time, as many as the load generator's
_OTHERS: Final = 200  # descriptors beside the clients'


class Person:
    """One client, on one connection after the other.

    Attributes:
        inside: whether the answer to the last `enter` has come.
        place: the position of the last message that came, or of the answer before it.
        heard: messages that were pushed.
        missed: messages that the last answer brought.
    """

    def __init__(self, name: str, room: str, target: tuple[str, int]) -> None:
        self.name = name
        self.room = room
        self.target = target
        self.inside = False
        self.heard = self.missed = 0
        self.place: dict[str, Any] | None = None
        self.error = ""
        self._resume = ""

    def connect(self) -> int:
        """Begin to come in; returns the socket's descriptor."""
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.connect_ex(self.target)
        self._protocol = ClientConnection()
        self._begun = self._upgraded = self.inside = False
        self._asked = 0
        self._buffer = b""
        return self._socket.fileno()

    def drop(self) -> None:
        """Be gone without a word."""
        self._socket.close()

    def say(self, text: str) -> None:
        """Send a message to the room."""
        self._request(SEND, {"content": text, "target": "*"})

    def ready(self) -> None:
        """The socket can be written or read."""
        try:
            if not self._begun:
                self._begun = True
                self._socket.send(_UPGRADE)
                return
            self._buffer += self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self.error = str(error)
            return
        if not self._upgraded:
            head, end, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            self._upgraded = True
            self._frame(self._protocol.data_to_send())
        self._read()

    def _read(self) -> None:
        for opcode, payload in self._frames():
            if opcode == CLOSE:
                self.error = self.error or "closed: {} {}".format(*read_close(payload))
                return
            for event in self._protocol.receive(payload):
                if isinstance(event, HandshakeAccepted):
                    self._enter(self._protocol.data_to_send())
                elif isinstance(event, Response):
                    self._answered(event)
                elif isinstance(event, Push):
                    self._pushed(event)
                elif isinstance(event, Kicked):
                    self.error = event.reason

    def _enter(self, ack: bytes) -> None:
        self._frame(ack)
        who = {"username": self.name, "rid": self.room}
        back = {"since": self.place, "resume": self._resume} if self.place else {}
        self._request(ENTER, {**who, **back})

    def _answered(self, answer: Response) -> None:
        body = loads(answer.body)
        if answer.id != 1 and "offset" in body:
            return
        if "users" not in body or body.get("recovered") is False:
            self.error = str(body)[:200]
            return
        self.missed = len(body.get("publications", ()))
        self.place, self._resume, self.inside = body["position"], body["resume"], True

    def _pushed(self, push: Push) -> None:
        if push.route == "onChat":
            self.heard += 1

    def _request(self, route: str, body: dict[str, Any]) -> None:
        self._asked += 1
        message = encode_request(self._asked, route, dumps(body), self._protocol.dictionary)
        self._frame(encode(DATA, message))

    def _frame(self, payload: bytes) -> None:
        length = len(payload)
        head = (
            bytes((0x82, 0x80 | length)) if length < 126 else struct.pack(">BBH", 130, 254, length)
        )
        self._socket.send(head + b"\0\0\0\0" + payload)

    def _frames(self) -> Iterable[tuple[int, bytes]]:
        """The frames that are whole; the rest stays for the next time."""
        data, position = self._buffer, 0
        while len(data) - position >= 4:
            first, length, start = data[position], data[position + 1], position + 2
            if length >= 126:
                width = 2 if length == 126 else 8
                length = int.from_bytes(data[start : start + width], "big")
                start += width
            if start + length > len(data):
                break
            position = start + length
            yield first & 0x0F, data[start:position]
        self._buffer = data[position:]


class Crowd:
    """People in rooms, whose connections are spread evenly over the contender's frontends.

    Args:
        number: of people.
        rooms: they are in; person i in room i modulo this.

    Raises:
        SystemExit: so many descriptors may not be open; the text says how to have them.
    """

    def __init__(self, contender: Contender, number: int, rooms: int) -> None:
        _allow(number)
        targets = [_address(word) for word in contender.arguments() if ":" in word]
        self._poll = select.epoll()
        self._by_descriptor: dict[int, Person] = {}
        self.people = [
            Person(f"u{i}", f"r{i % rooms}", targets[i // rooms % len(targets)])
            for i in range(number)
        ]

    def enter(self, people: Sequence[Person], within: float = 120.0) -> float:
        """Bring people in, 128 at a time; returns the seconds until the last one is in.

        Raises:
            RuntimeError: somebody was not let in.
            TimeoutError: not in time.
        """
        begun, waiting, coming = time.perf_counter(), list(reversed(people)), set[Person]()

        def look() -> bool:
            for person in [person for person in coming if person.inside]:
                coming.discard(person)
            while waiting and len(coming) < _AT_ONCE:
                person = waiting.pop()
                coming.add(person)
                descriptor = person.connect()
                self._by_descriptor[descriptor] = person
                self._poll.register(descriptor, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
            return not waiting and not coming

        self._until(look, within)
        return time.perf_counter() - begun

    def drop(self, people: Iterable[Person]) -> None:
        """Cut these people off, all at once and without a word."""
        for person in people:
            person.drop()

    def hear(self, people: Sequence[Person], messages: int, within: float = 60.0) -> None:
        """Read until each of these has heard so many messages."""
        self._until(lambda: all(person.heard >= messages for person in people), within)

    def rest(self, seconds: float) -> None:
        """Read what comes, for so long."""
        until = time.perf_counter() + seconds
        self._until(lambda: time.perf_counter() > until, seconds + 1)

    def close(self) -> None:
        """Let go of all."""
        self.drop(self.people)
        self._poll.close()

    def _until(self, done: Callable[[], bool], within: float) -> None:
        deadline = time.perf_counter() + within
        while not done():
            for descriptor, _ in self._poll.poll(0.05):
                person = self._by_descriptor[descriptor]
                person.ready()
                if person.error:
                    raise RuntimeError(f"{person.name}: {person.error}")
            if time.perf_counter() > deadline:
                raise TimeoutError(f"not done in {within:.0f} s")


def _allow(number: int) -> None:
    """Raise our limit of open files, as far as is needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + _OTHERS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"{number} clients need `ulimit -n {wanted}`; here it is at most {hard}")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _address(word: str) -> tuple[str, int]:
    host, _, port = word.partition(":")
    return host, int(port)
