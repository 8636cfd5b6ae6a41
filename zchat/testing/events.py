"""What a checked run consists of: what clients did and were shown, and what was done to them.

A client is named by its uid: one uid is one client, whatever its connections. A publication is
named by the id that its sender gave it, which no other has in the whole run, and its place is
(room, epoch, offset). `at` is in seconds of one monotonic clock; events are in the order in which
they happened at their client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Sent:
    """A client wants this published, and tries until it is."""

    at: float
    client: str
    room: str
    id: str
    to: tuple[str, ...] | None = None
    """The clients that it is for; None for all members."""


@dataclass(frozen=True, slots=True)
class Acked:
    """A client was told that what it sent is published, and where."""

    at: float
    client: str
    room: str
    id: str
    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A client was told that what it sent is not published, and never will be."""

    at: float
    client: str
    room: str
    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Received:
    """A client was shown a publication, live or recovered."""

    at: float
    client: str
    room: str
    epoch: str
    offset: int
    id: str
    sender: str


@dataclass(frozen=True, slots=True)
class Entered:
    """A client is in a room from behind this place on, for the first time or again."""

    at: float
    client: str
    room: str
    epoch: str
    offset: int
    recovered: bool | None = None
    """What it was answered about what it missed; None when it did not ask."""
    people: tuple[str, ...] = ()
    """Who is there, as it was answered; empty when that is not looked at."""


@dataclass(frozen=True, slots=True)
class Left:
    """A client leaves a room on purpose."""

    at: float
    client: str
    room: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A client's connection broke; it may come back."""

    at: float
    client: str
    room: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A client was thrown out, or could not come back; nobody meant it to."""

    at: float
    client: str
    room: str
    why: str


@dataclass(frozen=True, slots=True)
class HistoryLost:
    """A client was told that it cannot have `after` < offset < `before` of this epoch.

    When this is another epoch than the client's, what it does not have of the old one is lost too.
    """

    at: float
    client: str
    room: str
    epoch: str
    after: int
    before: int


@dataclass(frozen=True, slots=True)
class PeopleSeen:
    """Whom a client believes to be in the room now."""

    at: float
    client: str
    room: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """The harness did something to the cluster, or to a client."""

    at: float
    kind: str
    """`kill` for the death of a process; others as the harness likes."""
    what: str


@dataclass(frozen=True, slots=True)
class Counted:
    """The servers say that something happened so many times (more)."""

    at: float
    what: str
    """A field of Minimums, or anything else that is worth showing."""
    number: int


Event = (
    Sent
    | Acked
    | Refused
    | Received
    | Entered
    | Left
    | Lost
    | Ended
    | HistoryLost
    | PeopleSeen
    | Fault
    | Counted
)


class Journalled(NamedTuple):
    """A publication as the journal has it at the end."""

    room: str
    epoch: str
    offset: int
    id: str
    sender: str
    to: tuple[str, ...] | None = None


def describe(event: Event) -> str:
    """One line for people, without the time."""
    match event:
        case Sent(_, client, room, id_, to):
            return f"{room}  {client} sends {id_} to {_listed(to)}"
        case Acked(_, client, room, id_, epoch, offset):
            return f"{room}  {client} is acknowledged {id_} at {epoch}:{offset}"
        case Refused(_, client, room, id_, why):
            return f"{room}  {client} is refused {id_}: {why}"
        case Received(_, client, room, epoch, offset, id_, sender):
            return f"{room}  {client} is shown {epoch}:{offset} {id_} from {sender}"
        case Entered(_, client, room, epoch, offset, recovered, _):
            asked = "" if recovered is None else f", recovered: {str(recovered).lower()}"
            return f"{room}  {client} is in, behind {epoch}:{offset}{asked}"
        case Left(_, client, room):
            return f"{room}  {client} leaves"
        case Lost(_, client, room):
            return f"{room}  {client} is cut off"
        case Ended(_, client, room, why):
            return f"{room}  {client} is out: {why}"
        case HistoryLost(_, client, room, epoch, after, before):
            return f"{room}  {client} is told that {epoch}:{after + 1} to {before - 1} is lost"
        case PeopleSeen(_, client, room, people):
            return f"{room}  {client} sees {len(people)}: {', '.join(people)}"
        case Fault(_, kind, what):
            return f"*  {kind} {what}"
        case Counted(_, what, number):
            return f"*  {what} + {number}"


def _listed(to: tuple[str, ...] | None) -> str:
    return "all" if to is None else ", ".join(to)
