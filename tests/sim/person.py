"""Somebody who talks: a client on the simulated network that recovers by zchat's own rules.

What it does and is shown becomes the events that the checker judges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from tests.sim.loop import START
from tests.sim.network import Link, Network
from tests.sim.process import Process
from tests.sim.sockets import door, received
from zchat.client.backoff import Backoff
from zchat.client.recovery import Heard, Hole, Recovery
from zchat.client.transport import Disconnected
from zchat.client.unsent import Send, Unsent
from zchat.errors import RequestError
from zchat.frontend.sockets.disconnect import Disconnect
from zchat.protocol.body import dumps, loads
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.message import Message, MessageType
from zchat.rooms.resume import Token
from zchat.rooms.stream import StreamPosition
from zchat.testing.events import (
    Acked,
    Entered,
    Event,
    HistoryLost,
    Left,
    Lost,
    PeopleSeen,
    Received,
    Sent,
)
from zchat.testing.events import describe as describe_event

ENTER = "connector.entryHandler.enter"
SWITCH = "connector.entryHandler.switchRoom"
SEND = "chat.chatHandler.send"
HISTORY = "chat.chatHandler.history"

_PATIENCE = 3.0
"""Seconds until a client gives an answer up and connects anew."""

Answered = Callable[[dict[str, Any]], None]


class Person:
    """One of them.

    Args:
        name: who it is.
        room: where it is.
        network: its connections.
        random: decides when it tries again.
        connectors: the ids of those that it may choose from, now.
        dictionary: the routes that have codes.
        happened: takes events.
    """

    process: Process | None = None

    def __init__(
        self,
        name: str,
        room: str,
        network: Network,
        random: Random,
        connectors: Callable[[], Sequence[str]],
        dictionary: RouteDictionary,
        happened: Callable[[Event], None],
    ) -> None:
        self.name = name
        self.room = room
        self.inside = False
        """Whether it was let in on its connection of now, and has all that it missed."""
        self.away = False
        """Whether it has gone home."""
        self.unsent = Unsent(name, backoff=Backoff(0.1, 1.0, random=random.random))
        """What it has said and is not acknowledged."""
        self.people: list[str] = []
        self.refused: dict[str, int] = {}
        """Answers with an error, by code and text."""
        self.complaints: list[str] = []
        """What should not have happened."""
        self._network = network
        self._loop = network.loop
        self._random = random
        self._connectors = connectors
        self._dictionary = dictionary
        self._happened = happened
        self._link: Link | None = None
        self._recovery = Recovery(token=Token(f"{random.getrandbits(64):016x}"))
        self._answers: dict[int, Answered] = {}
        self._requests = 0
        self._said = 0
        self._was_in = False
        self._asked_again = False  # on this connection: then pushes may repeat what an answer told
        self._on_wire: Send | None = None
        self._moving: tuple[str, Recovery] | None = None
        self._differences = sum(name.encode()) % 2 == 1  # about half of them ask for these

    # What the story has it do

    def connect(self) -> None:
        """Look for a connector that takes it."""
        if self._link is not None or self.away:
            return
        connectors = self._connectors()
        chosen = self._random.choice(connectors) if connectors else ""
        self._link = self._network.connect(self, door(chosen), self.name)
        if self._link is None:
            self._loop.call_later(0.1 + 0.3 * self._random.random(), self.connect)
        else:
            self._enter()

    def say(self, target: str = "*") -> None:
        """Say something to all or to one, unless it is between two rooms."""
        if self._moving is not None:
            return
        self._said += 1
        cid = f"{self.name}{self._said}"
        to = None if target == "*" else (target,)
        self._tell(Sent(self._now, self.name, self.room, cid, to))
        self.unsent.add(SEND, {"content": cid, "target": target}, cid)
        self._send()

    def move(self, room: str) -> None:
        """Go to another room, when it is in one and everything is said."""
        if not self.inside or len(self.unsent) or room == self.room:
            return
        self.inside = False
        self.unsent.hold()
        self._tell(Left(self._now, self.name, self.room))
        moved = Recovery(token=self._recovery.token)
        self._moving = room, moved
        body = {"rid": room, **self._asking(moved)}
        self._request(SWITCH, body, partial(self._moved, room, moved))

    def drop(self, noticed: float) -> None:
        """Lose the connection; the server hears of it within so many seconds."""
        link = self._link
        if link is not None:
            link.break_off((link.server,), noticed)
            self._lost()

    def go_away(self) -> None:
        """Lose the connection and stay away, until `come_back`."""
        self.away = True
        self.drop(0.3)

    def come_back(self) -> None:
        """See `go_away`."""
        self.away = False
        self.connect()

    def stall(self, seconds: float) -> None:
        """Nothing gets through for so long."""
        if self._link is not None:
            self._link.stalled = self._loop.now + seconds

    def look(self) -> None:
        """See who is there."""
        self._tell(PeopleSeen(self._now, self.name, self.room, tuple(self.people)))

    @property
    def settled(self) -> bool:
        """Whether it is in and has nothing left to say, or is not there at all."""
        return self.away or (self.inside and not len(self.unsent))

    @property
    def state(self) -> str:
        """For people."""
        inside = "in" if self.inside else "not in"
        return f"it is {inside} {self.room}, with {len(self.unsent)} unsent"

    # Its connection

    def receive(self, link: Link, data: bytes) -> None:
        """Frames of the connector."""
        for message in received(data, self._dictionary):
            if link is not self._link:
                return
            body = loads(message.body)
            if message.type is MessageType.RESPONSE:
                answered = self._answers.pop(message.id, None)
                if answered is None:
                    self.complaints.append(f"{self.name} got an answer to nothing: {body}")
                else:
                    answered(body)
            else:
                self._take(message.route, body)

    def _take(self, route: str, body: Any) -> None:
        repeats = self._recovery.repeats
        self._show(self._recovery.take(route, body))
        if self._recovery.repeats > repeats and not self._asked_again:
            self.complaints.append(f"{self.name} was sent {body} again on one connection")
        self._go_on()

    def closed(self, link: Link, disconnect: Disconnect) -> None:
        """The connector closed the connection."""
        if link is not self._link:
            return
        self._network.timeline.add(self.name, f"is told: {disconnect}")
        link.break_off(())
        if not disconnect.reconnect:
            self.complaints.append(f"{self.name} was sent away: {disconnect}")
        self._lost()

    def unlinked(self, link: Link) -> None:
        if link is self._link:
            self._lost()

    def _lost(self) -> None:
        self._link = None
        self.inside = self._asked_again = False
        self.unsent.hold()
        lost, self._answers = self._answers, {}
        if self._on_wire is not None and lost:
            self._failed(self._on_wire, Disconnected("lost"))
        if self._moving is not None:
            self._arrive(*self._moving)  # where it stands, only the next connection can say
        if self._was_in:
            self._was_in = False
            self._tell(Lost(self._now, self.name, self.room))
        self._loop.call_later(0.05 + 0.4 * self._random.random(), self.connect)

    def _request(self, route: str, body: dict[str, Any], answered: Answered) -> None:
        link = self._link
        if link is None:
            return
        self._requests += 1
        number = self._requests
        self._answers[number] = answered
        message = Message(number, MessageType.REQUEST, route, dumps(body))
        link.to_server(link.server.take, message)  # type: ignore[attr-defined]
        self._loop.call_later(_PATIENCE, self._give_up, link, number)

    def _give_up(self, link: Link, number: int) -> None:
        if link is self._link and number in self._answers:
            self._network.timeline.add(self.name, "has no answer in time")
            self.drop(0.3)

    def _later(self, work: Callable[[Link], None]) -> None:
        """Try again in a moment, if the connection is still the same."""
        link = self._link
        if link is not None:
            self._loop.call_later(0.1 + 0.2 * self._random.random(), self._if_same, link, work)

    def _if_same(self, link: Link, work: Callable[[Link], None]) -> None:
        if link is self._link:
            work(link)

    # Being in a room

    def _enter(self, link: Link | None = None) -> None:
        self.inside = False
        self.unsent.hold()
        body = {"username": self.name, "rid": self.room, **self._asking(self._recovery)}
        self._request(ENTER, body, self._entered)

    def _asking(self, recovery: Recovery) -> dict[str, Any]:
        return recovery.asking() | ({"presence": "diff"} if self._differences else {})

    def _entered(self, answer: dict[str, Any]) -> None:
        if "position" not in answer:
            self._asked_again = True
            self._refuse("enter", answer)
            self._later(self._enter)
            return
        self._come_in(answer)

    def _moved(self, room: str, recovery: Recovery, answer: dict[str, Any]) -> None:
        self._arrive(room, recovery)
        if "position" not in answer:
            # Where it stands now, only a new connection can say for sure.
            self._refuse("move", answer)
            self.drop(0.3)
            return
        self._come_in(answer)

    def _arrive(self, room: str, recovery: Recovery) -> None:
        """From now on it is that room that it talks in, or tries to get into."""
        self.room, self._recovery, self._moving = room, recovery, None

    def _come_in(self, answer: dict[str, Any]) -> None:
        place, users = answer["position"], answer["users"]
        recovered = answer.get("recovered")
        self.people = list(users)
        self._was_in = True
        self._tell(
            Entered(
                self._now,
                self.name,
                self.room,
                place["epoch"],
                place["offset"],
                recovered,
                tuple(users),
            )
        )
        self._show(self._recovery.entered(answer))
        self._go_on()

    def _go_on(self) -> None:
        """Read what was missed, page by page; then say what is to be said."""
        recovery = self._recovery
        if self.inside or not self._was_in or self._answers:
            return
        if recovery.next:
            body = {"after": recovery.next, "limit": 200}
            self._request(HISTORY, body, self._paged)
        elif recovery.behind:
            self._enter()
        else:
            self.inside = True
            self.unsent.go_on()
            self._send()

    def _paged(self, answer: dict[str, Any]) -> None:
        if "publications" not in answer:
            self._refuse("history", answer)
            self._later(lambda link: self._go_on())
            return
        self._show(self._recovery.page(answer))
        self._go_on()

    def _show(self, events: Sequence[Heard | Hole]) -> None:
        for event in events:
            if isinstance(event, Hole):
                self._tell(HistoryLost(self._now, self.name, self.room, *event))
            elif event.route == "onChat":
                body = event.body
                place = (body["epoch"], body["offset"], body["id"], body["from"])
                self._tell(Received(self._now, self.name, self.room, *place))
                self._read(body["id"], StreamPosition(body["epoch"], body["offset"]))
            elif event.route == "onAdd":
                self._comes(event.body["user"])
            elif event.route == "onLeave":
                self._goes(event.body["user"])
            elif event.route == "onPresence" and self._differences:
                for user in event.body["joined"]:
                    self._comes(user)
                for user in event.body["left"]:
                    self._goes(user)
            else:
                self.complaints.append(f"{self.name} got an unknown push {event}")

        if any(isinstance(event, Hole) for event in events):
            self.unsent.give_up_uncertain()

    def _read(self, cid: str, place: StreamPosition) -> None:
        if self.unsent.seen(cid, place) is not None:
            self._acked(cid, place)

    @property
    def _awaits_list(self) -> bool:
        """Whether an enter is under way, whose answer brings the list of who is there."""
        return bool(self._answers) and not self._was_in

    def _comes(self, user: str) -> None:
        self._network.timeline.add(self.name, f"hears that {user} comes")
        if self._awaits_list:
            return
        if user in self.people:
            self.complaints.append(f"{self.name} hears that {user} comes, who is there")
        else:
            self.people.append(user)

    def _goes(self, user: str) -> None:
        self._network.timeline.add(self.name, f"hears that {user} goes")
        if self._awaits_list:
            return
        if user not in self.people:
            self.complaints.append(f"{self.name} hears that {user} goes, who is not there")
        else:
            self.people.remove(user)

    # Talking

    def _send(self) -> None:
        """Send what is next, when it is time."""
        due = self.unsent.due
        if due is None:
            return
        send = self.unsent.next(self._loop.now)
        if send is None:
            self._loop.call_at(due, self._send)
            return
        self._on_wire = send
        self._request(SEND, send.body, partial(self._answered, send))

    def _answered(self, send: Send, answer: dict[str, Any]) -> None:
        code = answer.pop("code", 200)
        if code == 200:
            self._on_wire = None
            self.unsent.acknowledged(send)
            self._acked(send.cid, StreamPosition(answer["epoch"], answer["offset"]))
        else:
            self._refuse("send", {"code": code, **answer})
            self._failed(send, RequestError.of(code, str(answer.pop("error", "")), answer))
        self._send()

    def _failed(self, send: Send, error: Exception) -> None:
        self._on_wire = None
        if self.unsent.failed(send, error, self._loop.now) and send.place is not None:
            self._acked(send.cid, send.place)

    def _acked(self, cid: str, place: StreamPosition) -> None:
        self._tell(Acked(self._now, self.name, self.room, cid, *place))

    def _refuse(self, what: str, answer: dict[str, Any]) -> None:
        code, text = answer.get("code"), answer.get("error")
        taken = what in ("enter", "move") and code == 500 and text is True
        if code == 500 and not taken:
            self.complaints.append(f"{self.name}: {what} failed: {answer}")
        key = f"{what}: {code} {'taken' if taken else text}"
        self.refused[key] = self.refused.get(key, 0) + 1
        self._network.timeline.add(self.name, f"is refused: {key}")

    @property
    def _now(self) -> float:
        return self._loop.now - START

    def _tell(self, event: Event) -> None:
        self._happened(event)
        self._network.timeline.add(self.name, describe_event(event))

    def __str__(self) -> str:
        return self.name
