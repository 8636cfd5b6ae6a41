"""Who is in a channel: members by uid, each with its sessions.

A member is there while one of its sessions is, and for the grace after the last was lost, so that
a blip on the network makes no noise. Every change that others are told raises the list's version.
No clock here: callers pass `now`, in seconds of any monotonic clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from zchat.errors import RequestError


class AlreadyMember(RequestError):
    """The uid is in the channel with another live session, and the join was exclusive."""

    code = 409


class SessionRef(NamedTuple):
    """A client connection, named over the whole cluster and all time."""

    frontend: str
    incarnation: str
    session: int


class Change(NamedTuple):
    """What the other members are told; `version` is the member list's after it."""

    uid: str
    joined: bool
    version: int


@dataclass(slots=True)
class Member:
    """One uid in one channel."""

    uid: str
    since: float
    """When it joined, in seconds since 1970: of two claims to one uid the older wins."""
    exclusive: bool
    sessions: set[SessionRef] = field(default_factory=set)


class Presence:
    """The member list of one channel.

    Args:
        grace: seconds between losing a member's last session and telling its leave.
        version: where the list's versions begin: above those of an earlier life of this list.
    """

    __slots__ = ("_lives", "_lost", "grace", "members", "version")

    def __init__(self, grace: float, version: int = 0) -> None:
        self.grace = grace
        self.version = version
        self.members: dict[str, Member] = {}
        """By uid, in joining order."""
        self._lost: dict[str, float] = {}  # uid -> when its leave is due; in that order
        self._lives: Counter[str] = Counter()  # incarnation -> how many sessions of it are here

    @property
    def losing(self) -> bool:
        """Whether leaves are due later."""
        return bool(self._lost)

    def uids(self) -> list[str]:
        """All members in joining order."""
        return list(self.members)

    def sessions(self, uid: str) -> frozenset[SessionRef]:
        """The sessions of a member; empty when it is not here or lost."""
        member = self.members.get(uid)
        return frozenset(member.sessions) if member else frozenset()

    def check(self, uid: str, ref: SessionRef, *, exclusive: bool) -> None:
        """Raise AlreadyMember when `ref` may not join: another live session holds the uid."""
        others = self.sessions(uid) - {ref}
        if others and (exclusive or self.members[uid].exclusive):
            raise AlreadyMember(f"{uid} is already here")

    def join(
        self, uid: str, ref: SessionRef, *, since: float, exclusive: bool = False
    ) -> Change | None:
        """Add a session; returns the change to tell, None when the member was there already.

        Raises:
            AlreadyMember: see `check`.
        """
        self.check(uid, ref, exclusive=exclusive)
        member = self.members.get(uid)
        if member is not None:
            self._add(member, ref)
            member.exclusive = exclusive
            return None
        self._add(self._enter(uid, since, exclusive), ref)
        return Change(uid, True, self.version)

    def leave(self, uid: str, ref: SessionRef) -> Change | None:
        """Take a session out on purpose: when it was the last, the leave is told at once."""
        member = self.members.get(uid)
        if member is None or ref not in member.sessions:
            return None
        self._drop(member, ref)
        return None if member.sessions else self._remove(uid)

    def lose(self, uid: str, ref: SessionRef, now: float) -> None:
        """A session is gone without a word: its member stays for the grace."""
        member = self.members.get(uid)
        if member is None or ref not in member.sessions:
            return
        self._drop(member, ref)
        if not member.sessions:
            self._lost[uid] = now + self.grace

    def miss(self, uid: str, now: float) -> None:
        """A member that a former owner knew went meanwhile: its leave is told after the grace."""
        if uid not in self.members:
            self._enter(uid, 0.0, False)
            self._lost[uid] = now + self.grace

    def lose_incarnation(self, incarnation: str, now: float) -> None:
        """A frontend process died: all of its sessions are lost. Free when it had none here."""
        if incarnation not in self._lives:
            return
        for member in list(self.members.values()):
            for ref in [ref for ref in member.sessions if ref.incarnation == incarnation]:
                self.lose(member.uid, ref, now)

    def claim(
        self, uid: str, ref: SessionRef, *, since: float, exclusive: bool = False
    ) -> frozenset[SessionRef]:
        """Take a session that a frontend announces, quietly: nobody is told of a join.

        Args:
            since: when its member joined; see `Member`.

        Returns:
            The sessions that lose their place because an older claim holds the uid; `ref` itself
            may be the one.
        """
        member = self.members.get(uid)
        if member is None:
            self._add(self._enter(uid, since, exclusive), ref)
            return frozenset()
        others = frozenset(member.sessions) - {ref}
        if not others:
            member.since, member.exclusive = min(since, member.since), exclusive
        elif ref not in member.sessions and (member.exclusive or exclusive):
            if since >= member.since:
                return frozenset({ref})
            for other in others:
                self._drop(member, other)
            member.since, member.exclusive = since, exclusive
            self._add(member, ref)
            return others
        self._add(member, ref)
        return frozenset()

    def expire(self, now: float) -> Iterator[Change]:
        """The leaves that are due by `now`; each is done when it is yielded."""
        while self._lost:
            uid = next(iter(self._lost))
            if self._lost[uid] > now:
                return
            yield self._remove(uid)

    def _enter(self, uid: str, since: float, exclusive: bool) -> Member:
        self.version += 1
        member = self.members[uid] = Member(uid, since, exclusive)
        return member

    def _remove(self, uid: str) -> Change:
        self._lost.pop(uid, None)
        del self.members[uid]
        self.version += 1
        return Change(uid, False, self.version)

    def _add(self, member: Member, ref: SessionRef) -> None:
        self._lost.pop(member.uid, None)
        if ref not in member.sessions:
            member.sessions.add(ref)
            self._lives[ref.incarnation] += 1

    def _drop(self, member: Member, ref: SessionRef) -> None:
        member.sessions.remove(ref)
        self._lives[ref.incarnation] -= 1
        if not self._lives[ref.incarnation]:
            del self._lives[ref.incarnation]
