"""Joins under way at an owner: ordered at a frontend, whose token the XPUB has not shown yet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from zchat.rooms.channel import Channel
from zchat.rooms.presence import SessionRef
from zchat.rooms.recovery import Recovered
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
    """The session's token, by which its client takes its place from another connection."""

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


@dataclass(slots=True, eq=False)
class Join:
    """One of them."""

    token: bytes
    channel: Channel
    uid: str
    ref: SessionRef
    exclusive: bool
    resume: str
    """The session's token in presence: what the client showed, or a new one."""
    admitted: asyncio.Future[Joined]
    entered: bool = False
    """Whether it was this join that brought the session in."""
    returned: bool = False
    """Whether the uid was a member before, so that nobody was told of it."""


class Joins:
    """All of them, by token. Each ends within its deadline, so callers bound their number.

    Args:
        incarnation: this life of the owner; no other life's tokens are ours.
    """

    def __init__(self, incarnation: str) -> None:
        self._incarnation = incarnation
        self._count = 0
        self._joins: dict[bytes, Join] = {}
        self._of_channel: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._joins)

    def begin(
        self, channel: Channel, uid: str, ref: SessionRef, exclusive: bool, resume: str
    ) -> Join:
        """A new one, with its own token; `end` it whatever happens."""
        self._count += 1
        token = f"{self._incarnation}/{self._count}".encode()
        admitted: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()
        join = self._joins[token] = Join(token, channel, uid, ref, exclusive, resume, admitted)
        self._of_channel[channel.name] += 1
        return join

    def end(self, join: Join) -> None:
        """Forget a join."""
        del self._joins[join.token]
        self._of_channel[join.channel.name] -= 1
        if not self._of_channel[join.channel.name]:
            del self._of_channel[join.channel.name]
        if join.admitted.done() and not join.admitted.cancelled():
            join.admitted.exception()  # whoever awaited it may have been cancelled before

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
            for other in self._joins.values()
        )

    def fail(self, concerned: Callable[[Join], bool], error: Exception) -> None:
        """Let those for which `concerned` is true fail."""
        for join in self._joins.values():
            if concerned(join) and not join.admitted.done():
                join.admitted.set_exception(error)
