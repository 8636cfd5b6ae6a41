"""What a client knows of a room's order: where it stands, what is new to it, what was lost.

It decides and does no I/O. Whoever owns it asks the room to let it in, reads pages of history
while `next` says so, passes every push through `take`, and tells the application what they return.

Offsets rise, but may skip: messages between others have offsets too. So a skip means nothing, a
repeat is known by its offset, and a hole is there only when the server says so, or when a push has
another epoch. The only ones left out without a hole are those that are not for this client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from zchat.errors import ProtocolError
from zchat.rooms.resume import NO_TOKEN, Token
from zchat.rooms.stream import StreamPosition

HISTORY_LOST = "onHistoryLost"
"""Route of the push that tells members of a hole; it is no publication."""


class Heard(NamedTuple):
    """A push that is new: a publication, or one that has no place in the order."""

    route: str
    body: Any
    """As it was pushed, also when it comes out of the history."""


class Hole(NamedTuple):
    """What lies strictly between two offsets of an epoch may be missing, and cannot be had.

    When it begins an epoch that the client did not know, the end of the former one may be missing
    as well.
    """

    epoch: str
    after: int
    before: int


Event = Heard | Hole


class Recovery:
    """One client's place in one room.

    Args:
        limit: pushes that are held while the room is being entered and pages are read. When full,
            further ones are dropped and counted in `dropped`, and `behind` asks to enter again:
            what was dropped comes with that answer.
        position: the last that was told; None for who was never there.
        token: by what the server knows this client again, with its attempts so far; a secret of
            the client, or NO_TOKEN: then the first answer brings one.
    """

    __slots__ = (
        "_asked",
        "_former",
        "_held",
        "_holding",
        "_since",
        "_until",
        "behind",
        "dropped",
        "limit",
        "next",
        "position",
        "repeats",
        "token",
    )

    def __init__(
        self,
        limit: int = 10_000,
        position: StreamPosition | None = None,
        token: Token = NO_TOKEN,
    ) -> None:
        self.limit = limit
        self.position = position
        """The last that was told, or is known to be for others; None before the first entry."""
        self.token = token
        """What takes our name back from our own former connection, as it was shown last."""
        self.next = 0
        """The history after this offset is to be fetched and given to `page`; 0: it need not."""
        self.behind = False
        """Whether to enter again, once `next` is 0: pushes were dropped."""
        self.dropped = 0
        """Pushes for which there was no room."""
        self.repeats = 0
        """Publications that had been told before, or came too late from an epoch that has ended."""
        self._since: StreamPosition | None = None  # what the last `asking` said
        self._until = StreamPosition("", 0)  # where the last entry was; live pushes follow it
        self._former = ""  # the epoch before this one: the hole between them was told
        self._asked = False  # and not answered yet
        self._holding = False
        self._held: list[Heard] = []

    @property
    def held(self) -> int:
        """Pushes that wait for what comes before them."""
        return len(self._held)

    def asking(self) -> dict[str, Any]:
        """A request to be let in is about to be sent: the members that it needs for recovery.

        From here on pushes are held, until `entered` and as many `page`s as it takes. Those that
        are held already are forgotten: the answer brings them. What has no place in the order, and
        comes before the answer, is told at once: the answer may know better.
        """
        self._held.clear()
        self._asked = self._holding = True
        self.behind, self.next = False, 0
        self._since = self.position
        members: dict[str, Any] = {}
        if self._since is not None:
            members["since"] = self._since._asdict()
        if self.token.secret:
            self.token = self.token.next()
            members["resume"] = str(self.token)
        return members

    def entered(self, answer: Mapping[str, Any]) -> list[Event]:
        """The room let us in.

        Raises:
            ProtocolError: the answer makes no sense.
        """
        self._asked = False
        secret = answer.get("resume")
        if isinstance(secret, str) and secret:
            self.token = Token(secret, self.token.attempt)
        if answer.get("position") is None:  # a server that numbers nothing
            return self._go_live()
        here = _position(answer["position"])
        events: list[Event] = []
        if self._since is not None and not _continues(self._since, here, answer):
            after = self._since.offset if self._since.epoch == here.epoch else 0
            events.append(Hole(here.epoch, min(after, here.offset), here.offset + 1))
            self._stand(StreamPosition(here.epoch, 0))
        self._until = here
        for body in _publications(answer):
            events += self._pass(*_as_pushed(body))
        return events + self._advance(answer.get("next", 0))

    def page(self, answer: Mapping[str, Any]) -> list[Event]:
        """The history after `next` is here.

        Raises:
            ProtocolError: the answer makes no sense, or does not get any further.
        """
        assert self.position is not None, "a page that was not asked for"
        publications = _publications(answer)
        going_on = answer.get("next", 0)
        events: list[Event] = []
        if publications and _position(publications[0]).epoch != self._until.epoch:
            publications, going_on = [], 0  # they are of a later life of the room
            events.append(self._missing(self._until.offset + 1))
        elif answer.get("recovered") is False:
            first = publications[0]["offset"] if publications else self._until.offset + 1
            events.append(self._missing(min(first, self._until.offset + 1)))
        for body in publications:
            # What is past our entry comes live, and there it has its place among all other pushes.
            if _position(body).offset <= self._until.offset:
                events += self._pass(*_as_pushed(body))
        return events + self._advance(going_on)

    def take(self, route: str, body: Any) -> list[Event]:
        """A push came.

        Raises:
            ProtocolError: it tells of a hole, but not of which.
        """
        if route == HISTORY_LOST:
            body = _hole(body)
        early = self._asked and not isinstance(body, Hole) and _place(body) is None
        if early or not (self._holding or self.behind):
            return self._pass(route, body)
        if self.behind or len(self._held) >= self.limit:
            self.behind = True
            self.dropped += 1
        else:
            self._held.append(Heard(route, body))
        return []

    def _pass(self, route: str, body: Any) -> list[Event]:
        """Tell what is new."""
        if isinstance(body, Hole):
            return self._lost(body)
        place = _place(body)
        if place is None:
            return [Heard(route, body)]
        known = self.position
        if place.epoch == self._former or (
            known is not None and known.epoch == place.epoch and known.offset >= place.offset
        ):
            self.repeats += 1
            return []
        self._stand(place)
        if known is None or known.epoch == place.epoch:
            return [Heard(route, body)]
        return [Hole(place.epoch, 0, place.offset), Heard(route, body)]

    def _lost(self, hole: Hole) -> list[Event]:
        """The server tells of a hole, in its place among the pushes."""
        epoch, after, before = hole
        if epoch == self._former:
            return []
        if self.position is not None and self.position.epoch == epoch:
            if before - 1 <= self.position.offset:
                return []  # all of that has been told, or was known to be missing
            after = max(after, self.position.offset)
        self._stand(StreamPosition(epoch, before - 1))
        return [Hole(epoch, after, before)]

    def _stand(self, position: StreamPosition) -> None:
        if self.position is not None and self.position.epoch != position.epoch:
            self._former = self.position.epoch
        self.position = position

    def _missing(self, before: int) -> Hole:
        """The history that we were reading has gone, up to this offset."""
        assert self.position is not None
        hole = Hole(self.position.epoch, self.position.offset, before)
        self.position = StreamPosition(self.position.epoch, max(before - 1, self.position.offset))
        return hole

    def _advance(self, going_on: Any) -> list[Event]:
        """What comes next: another page after this offset, or what was held."""
        if not isinstance(going_on, int):
            raise ProtocolError(f"next is {going_on!r}; expected an offset, or 0 at the end")
        if 0 < going_on < self._until.offset:
            if going_on <= self.next:
                raise ProtocolError(f"history after {self.next} goes on after {going_on}")
            self.next = going_on
            self.position = StreamPosition(self._until.epoch, going_on)
            return []
        self.position = self._until
        return self._go_live()

    def _go_live(self) -> list[Event]:
        self.next, self._holding = 0, False
        held, self._held = self._held, []
        return [event for push in held for event in self._pass(*push)]


def _continues(since: StreamPosition, here: StreamPosition, answer: Mapping[str, Any]) -> bool:
    """Whether nothing is missing between our place and the answer's publications."""
    told = answer.get("recovered")
    if told is None:  # a server that cannot say: only what did not move is sure
        return since == here
    return told is True and since.epoch == here.epoch


def _publications(answer: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    publications = answer.get("publications", [])
    if not isinstance(publications, list):
        raise ProtocolError(f"publications are {publications!r}; expected a list")
    for body in publications:
        _position(body)
    return publications


def _position(value: Any) -> StreamPosition:
    place = _place(value)
    if place is None:
        raise ProtocolError(f"{value!r} is no place in a room; expected epoch and offset")
    return place


def _place(value: Any) -> StreamPosition | None:
    """The place that an object names; None when it names none."""
    if isinstance(value, dict):
        epoch, offset = value.get("epoch"), value.get("offset")
        if isinstance(epoch, str) and isinstance(offset, int):
            return StreamPosition(epoch, offset)
    return None


def _hole(body: Any) -> Hole:
    place = _place({**body, "offset": body.get("after")}) if isinstance(body, dict) else None
    if place is None or not isinstance(body.get("before"), int):
        raise ProtocolError(f"a push on {HISTORY_LOST} that names no hole: {body!r}")
    return Hole(*place, body["before"])


def _as_pushed(body: dict[str, Any]) -> Heard:
    """A publication out of the history: there its route stands in the body."""
    route = body.get("route")
    if not isinstance(route, str):
        raise ProtocolError(f"a publication without its route: {body!r}")
    return Heard(route, {key: value for key, value in body.items() if key != "route"})
