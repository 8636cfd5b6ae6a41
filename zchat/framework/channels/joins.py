"""Joins under way at an owner: ordered at a frontend, whose token the XPUB has not shown yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from zchat.errors import Unavailable
from zchat.rooms.channel import Channel
from zchat.rooms.presence import SessionRef
from zchat.rooms.recovery import Recovered
from zchat.rooms.resume import Token
from zchat.rooms.stream import StreamPosition


class Joined(msgspec.Struct, frozen=True):
    """What a join brings."""

    position: StreamPosition
    """Where the member came in: it gets what is published after it."""

    members: list[str]
    """The uids in the channel, the new one included, in joining order."""

    missed: Recovered | None = None
    """What it missed since it was here before; None when it did not say since when."""

    resume: str = ""
    """The secret by which the session's client takes its place from another connection."""

    def answer(self) -> dict[str, Any]:
        """What clients get: position and resume, and recovered, publications, next when known."""
        epoch, offset = self.position
        place = {"epoch": epoch, "offset": offset}
        answer: dict[str, Any] = {"position": place, "resume": self.resume}
        if self.missed is not None:
            missed = self.missed
            answer |= {"recovered": missed.recovered, "publications": missed.publications}
            answer |= {"next": missed.next}
        return answer


_PLACES = 10_000


@dataclass(slots=True, eq=False)
class Join:
    """One of them."""

    token: bytes
    channel: Channel
    uid: str
    ref: SessionRef
    exclusive: bool
    resume: Token
    """The session's token in presence: what the client showed, or a new one."""
    request: int
    """Message id of the client's request that it is for, or 0."""
    admitted: asyncio.Future[Joined]
    entered: bool = False
    """Whether it was this join that brought the session in."""
    returned: bool = False
    """Whether the uid was a member before, so that nobody was told of it."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a session came in."""

    uid: str
    request: int
    position: StreamPosition
    version: int
    number: int
    """Of the last order that let it in."""


class Joins:
    """All of them, by token. Each ends within its deadline, so callers bound their number.

    A request may be done twice when a link breaks, and nobody knows which answer its client gets.
    So where a session came in by which request is remembered, of the last 10,000 that were let in.
    When full, the oldest is forgotten: done once more, it comes in once more.

    Args:
        incarnation: this life of the owner; no other life's tokens are ours.
    """

    def __init__(self, incarnation: str) -> None:
        self._incarnation = incarnation
        self._count = 0
        self._joins: dict[bytes, Join] = {}
        self._of_channel: dict[str, dict[Join, None]] = {}
        self._places: dict[tuple[SessionRef, str], _Place] = {}

    def __len__(self) -> int:
        return len(self._joins)

    def begin(
        self,
        channel: Channel,
        uid: str,
        ref: SessionRef,
        exclusive: bool,
        resume: Token,
        request: int = 0,
    ) -> Join:
        """A new one, with its own token; `end` it whatever happens."""
        self._count += 1
        token = f"{self._incarnation}/{self._count}".encode()
        admitted: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()
        join = Join(token, channel, uid, ref, exclusive, resume, request, admitted)
        self._joins[token] = join
        self._of_channel.setdefault(channel.name, {})[join] = None
        return join

    def end(self, join: Join) -> None:
        """Forget a join."""
        del self._joins[join.token]
        others = self._of_channel[join.channel.name]
        del others[join]
        if not others:
            del self._of_channel[join.channel.name]
        if join.admitted.done() and not join.admitted.cancelled():
            join.admitted.exception()  # whoever awaited it may have been cancelled before

    def came_in(self, join: Join, position: StreamPosition, version: int) -> None:
        """Its session was let in there, with the member list of this version."""
        self._places.pop(key := (join.ref, join.channel.name), None)
        self._places[key] = _Place(
            join.uid, join.request, position, version, self._number(join.token)
        )
        if len(self._places) > _PLACES:
            del self._places[next(iter(self._places))]

    def place_before(self, join: Join) -> tuple[StreamPosition, int] | None:
        """Where its session came in by the same request; None when it did not, or long ago.

        That may have been in a former life of the channel, whose versions are all lower.
        """
        place = self._places.get((join.ref, join.channel.name))
        if place is None or not join.request or place.request != join.request:
            return None
        return place.position, place.version

    def came_in_since(self, channel: str, uid: str, ref: SessionRef, order: bytes) -> bool:
        """Whether a session came in as `uid` by a later order than the one with this token.

        A token of another owner is older: it was before us.
        """
        place = self._places.get((ref, channel))
        return place is not None and place.uid == uid and place.number > self._number(order)

    def _number(self, token: bytes) -> int:
        """The how-manyth of our orders a token is; 0 for another owner's."""
        incarnation, _, number = token.rpartition(b"/")
        return int(number) if incarnation == self._incarnation.encode() else 0

    def get(self, token: bytes) -> Join | None:
        """The join that this token admits."""
        return self._joins.get(token)

    def wait_in(self, channel: str) -> bool:
        """Whether any wait to come into this channel."""
        return channel in self._of_channel

    def shared(self, join: Join) -> bool:
        """Whether another join wants the same session in the same channel."""
        return any(
            other is not join and (other.ref, other.channel) == (join.ref, join.channel)
            for other in self._of_channel[join.channel.name]
        )

    def stands(self, join: Join) -> None:
        """Its session is in by it from now on: no other one that let it in may be undone."""
        for other in self._of_channel[join.channel.name]:
            if other is not join and other.ref == join.ref:
                other.entered = False

    def fail_session(self, channel: str, ref: SessionRef, error: Exception) -> None:
        """Let those of one session in one channel fail."""
        for join in self._of_channel.get(channel, ()):
            if join.ref == ref and not join.admitted.done():
                join.admitted.set_exception(error)

    def fail_order(self, token: bytes) -> None:
        """Let the one with this token fail, if it is under way: its frontend does not follow it."""
        join = self._joins.get(token)
        if join is not None and not join.admitted.done():
            error = Unavailable(f"{join.ref.frontend} did not follow the order")
            join.admitted.set_exception(error)

    def fail(self, concerned: Callable[[Join], bool], error: Exception) -> None:
        """Let those for which `concerned` is true fail."""
        for join in self._joins.values():
            if concerned(join) and not join.admitted.done():
                join.admitted.set_exception(error)
