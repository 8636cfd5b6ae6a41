"""One of the people of a load: comes in, says what is due, and writes down what it is shown.

It does not come back: under load a connection that is lost is a finding, and no state to pass over.
"""

from __future__ import annotations

import asyncio
from array import array
from typing import Any, NamedTuple

from zchat.client import Disconnected, raise_for_code
from zchat.errors import ProtocolError, RequestError, TimedOut, ZchatError
from zchat.ops.load.line import Line
from zchat.ops.load.plan import Plan
from zchat.ops.load.tape import NOTHING, Publication, Shown, Tape, publication_of
from zchat.protocol import message, package
from zchat.protocol.body import JSON, BodyCodec
from zchat.protocol.connection import ClientConnection
from zchat.protocol.events import (
    ClientEvent,
    HandshakeAccepted,
    HandshakeRefused,
    Heartbeat,
    Kicked,
    Push,
    Response,
)
from zchat.protocol.package import DATA
from zchat.testing.talker import Talk

TIMEOUT = 30.0
"""Seconds that coming in may take."""

_ENTER = 1


class Ack(NamedTuple):
    """A message is published, and where."""

    message: int
    epoch: str
    offset: int


class Refusal(NamedTuple):
    """A message is not published."""

    message: int
    why: str


class Person:
    """A person.

    What waits for an answer is bounded by the server, which refuses more than
    `limits.requests_in_flight`.

    Args:
        number: of the plan.
        plan: of the load.
        talk: how the application's clients talk.
        tape: where it writes what it is shown.
    """

    __slots__ = (
        "_beating",
        "_codec",
        "_connection",
        "_entered",
        "_heartbeat",
        "_kick",
        "_last",
        "_line",
        "_plan",
        "_talk",
        "_tape",
        "_text",
        "acks",
        "failed",
        "gone",
        "name",
        "number",
        "place",
        "refusals",
        "room",
        "sent",
        "shown",
        "unsent",
        "waiting",
    )

    def __init__(self, number: int, plan: Plan, talk: Talk, tape: Tape) -> None:
        self.number = number
        self.name = plan.person(number)
        self.room = plan.room(number)
        self.place = ("", 0)
        """Epoch and offset from behind which it is in the room."""
        self.gone: str | None = None
        """Why it was thrown out; None while it is there."""
        self.sent = array("I")
        """The messages that it said."""
        self.shown = array("I")
        """The numbers of the publications that it was shown, in their order."""
        self.acks: list[Ack] = []
        self.refusals: list[Refusal] = []
        self.failed = 0
        """Answers that leave open whether the message is published."""
        self.unsent = 0
        """Messages that could not be written: it was gone, or the server did not read."""
        self.waiting: dict[int, int] = {}
        """By request id, the message that has no answer yet."""
        self._plan = plan
        self._talk = talk
        self._tape = tape
        self._text = "." * plan.payload
        self._connection = ClientConnection(client_type="zchat-bench")
        self._line: Line | None = None
        self._codec: BodyCodec = JSON
        self._last = _ENTER
        self._heartbeat: float | None = None
        self._beating: asyncio.TimerHandle | None = None
        self._kick = ""
        self._entered: asyncio.Future[None] | None = None

    async def come(self, url: str) -> None:
        """Connect to a connector and enter the room.

        Raises:
            Disconnected, ProtocolError, RequestError: it did not work.
        """
        self._entered = asyncio.get_running_loop().create_future()
        self._line = Line(self._heard, self._lost)
        await self._line.open(url, TIMEOUT)
        self._flush()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._entered
        except TimeoutError:
            raise TimedOut(f"{self.name} was not let in within {TIMEOUT:g} s") from None

    def say(self, number: int) -> None:
        """Say the message of this number."""
        self._last += 1
        body = {**self._talk.sending(self._text, None), "cid": self._plan.id(number)}
        if self._request(self._last, self._talk.send, body):
            self.waiting[self._last] = number
            self.sent.append(number)
            self._tape.sent += 1
        else:
            self.unsent += 1

    def leave(self) -> None:
        """Go. Idempotent."""
        if self._beating is not None:
            self._beating.cancel()
        if self._line is not None:
            self._line.close()

    # What comes

    def _heard(self, payloads: list[bytes], now: float) -> None:
        """Called by the line."""
        tape = self._tape
        known, count, note = tape.known, tape.count, self.shown.append
        before = tape.received
        for payload in payloads:
            shown = known.get(payload) or self._read(payload, now)
            if shown is not NOTHING:
                note(shown.number)
                count(shown, now)
        if tape.received > before:
            tape.count_arrivals(tape.received - before, now)

    def _read(self, payload: bytes, now: float) -> Shown:
        """Handle what is not known already; returns what it shows, if it is one push alone."""
        try:
            events = self._connection.receive(payload)
            if len(events) == 1 and isinstance(events[0], Push):
                return self._tape.learn(payload, self._publication(events[0]))
            for event in events:
                self._handle(event, now)
        except (ZchatError, KeyError, TypeError, ValueError) as error:
            self._lost(f"cannot be read: {error!r}")
            self.leave()
        return NOTHING

    def _publication(self, push: Push) -> Publication | None:
        if push.route != self._talk.said:
            return None
        body = self._codec.decode(push.route, push.body)
        return publication_of(body, self._talk.sender(body))

    def _handle(self, event: ClientEvent, now: float) -> None:
        match event:
            case Push():
                publication = self._publication(event)
                if publication is not None:
                    shown = self._tape.shown(publication)
                    self.shown.append(shown.number)
                    self._tape.count(shown, now)
            case Response():
                self._answered(event, now)
            case HandshakeAccepted():
                self._accepted(event)
            case HandshakeRefused(code):
                raise ProtocolError(f"handshake refused with code {code}")
            case Kicked(reason):
                self._kick = reason
            case Heartbeat():
                if self._heartbeat is not None and self._beating is None:
                    loop = asyncio.get_running_loop()
                    self._beating = loop.call_later(self._heartbeat, self._beat)

    def _accepted(self, event: HandshakeAccepted) -> None:
        self._codec = event.protos.at_client
        self._heartbeat = event.heartbeat
        self._flush()
        self._request(_ENTER, self._talk.enter, self._talk.entering(self.name, self.room))

    def _answered(self, response: Response, now: float) -> None:
        if response.id == _ENTER:
            self._came(self._codec.decode(self._talk.enter, response.body))
            return
        number = self.waiting.pop(response.id)
        self._tape.answered += 1
        try:
            answer = raise_for_code(self._codec.decode(self._talk.send, response.body))
        except RequestError as error:
            if error.code == TimedOut.code or error.fields.get("outcome") == "unknown":
                self.failed += 1
            else:
                self.refusals.append(Refusal(number, str(error)))
            return
        self.acks.append(Ack(number, answer["epoch"], answer["offset"]))
        self._tape.owed += self._plan.size(self.number % self._plan.rooms)
        if self._tape.measures(number):
            self._tape.acknowledged.add(now - self._tape.due(number))

    def _came(self, answer: Any) -> None:
        assert self._entered is not None
        if self._entered.done():
            return  # too late
        try:
            place = raise_for_code(answer)["position"]
        except RequestError as error:
            self._entered.set_exception(error)
        else:
            self.place = (place["epoch"], place["offset"])
            self._tape.entered += 1
            self._entered.set_result(None)

    def _lost(self, reason: str) -> None:
        """Called by the line."""
        if self.gone is None:
            self.gone = self._kick or reason
            self._tape.gone += 1
        if self._entered is not None and not self._entered.done():
            self._entered.set_exception(Disconnected(self.gone))

    # What goes

    def _request(self, request_id: int, route: str, body: dict[str, Any]) -> bool:
        data = self._codec.encode(route, body)
        request = message.encode_request(request_id, route, data, self._connection.dictionary)
        return self._write(package.encode(DATA, request))

    def _beat(self) -> None:
        self._beating = None
        self._connection.beat()
        self._flush()

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if data and not self._write(data):
            self._lost("the server does not read")

    def _write(self, data: bytes) -> bool:
        return self._line is not None and self.gone is None and self._line.send(data)
