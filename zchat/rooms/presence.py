"""Who is in a channel: members by uid, each with its sessions.

A member is there while one of its sessions is, and for the grace after the last was lost, so that
a blip on the network makes no noise. Every change that others are told raises the list's version.
No clock here: callers pass `now`, in seconds of any monotonic clock.

Each session has a *token*, a secret of its client. A client that comes back on another connection
shows it and takes the place of its former session, which may look alive for long. It keeps its
token from connection to connection: the answer that would bring it a new one may be lost too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import NamedTuple

from zchat.errors import RequestError
from zchat.rooms.changes import Change, Changes


class AlreadyMember(RequestError):
    """The uid is in the channel with another live session, and the join was exclusive."""

    code = 409


class NotMember(RequestError):
    """Somebody who was to be in the channel is not."""

    code = 404


class SessionRef(NamedTuple):
    """A client connection, named over the whole cluster and all time."""

    frontend: str
    incarnation: str
    session: int


class Stay(NamedTuple):
    """One session's time in a channel."""

    token: str
    """Empty when nothing can take the session's place."""
    since: float
    """When the session joined, in seconds since 1970."""


class Evicted(NamedTuple):
    """Sessions that lose their place to others of their uid."""

    sessions: frozenset[SessionRef]
    resumed: bool
    """Whether their own client took it, by their token."""


NOBODY = Evicted(frozenset(), False)

MAX_TOKEN = 64
"""Characters of the longest token that is taken from a client."""


def usable(token: str) -> bool:
    """Whether this, which comes from a client, may be a session's token."""
    return 0 < len(token) <= MAX_TOKEN and token.isascii()


@dataclass(slots=True)
class Member:
    """One uid in one channel."""

    uid: str
    since: float
    """When it joined, in seconds since 1970: of two claims to one uid the older wins."""
    exclusive: bool
    sessions: dict[SessionRef, Stay] = field(default_factory=dict)


class Presence:
    """The member list of one channel.

    Args:
        grace: seconds between losing a member's last session and telling its leave.
        version: where the list's versions begin: above those of an earlier life of this list.
    """

    __slots__ = ("_lives", "_lost", "changes", "grace", "members", "version")

    def __init__(self, grace: float, version: int = 0) -> None:
        self.grace = grace
        self.version = version
        self.changes = Changes(version)
        """The latest ones; each change raises the version by one."""
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

    def has_life(self, incarnation: str) -> bool:
        """Whether any session of that life of a frontend is here."""
        return incarnation in self._lives

    def sessions(self, uid: str) -> frozenset[SessionRef]:
        """The sessions of a member; empty when it is not here or lost."""
        member = self.members.get(uid)
        return frozenset(member.sessions) if member else frozenset()

    def expect(self, uids: Iterable[str]) -> None:
        """Raise NotMember, with code 404, when one of these is no member."""
        for uid in uids:
            if uid not in self.members:
                raise NotMember(f"{uid} is not here")

    def token(self, uid: str, ref: SessionRef) -> str:
        """The token of a session; empty when it is not here."""
        member = self.members.get(uid)
        return member.sessions[ref].token if member and ref in member.sessions else ""

    def check(
        self, uid: str, ref: SessionRef, *, exclusive: bool, token: str = ""
    ) -> frozenset[SessionRef]:
        """The sessions whose place `ref` would take by joining with this token; mostly none.

        Raises:
            AlreadyMember: another live session holds the uid, and the token is not its own.
        """
        others = self.sessions(uid) - {ref}
        if not others:
            return others
        former = self._with_token(self.members[uid], ref, token)
        if others != former and (exclusive or self.members[uid].exclusive):
            raise AlreadyMember(f"{uid} is already here")
        return former

    def join(
        self, uid: str, ref: SessionRef, *, since: float, exclusive: bool = False, token: str = ""
    ) -> Change | None:
        """Add a session, in place of those with its token.

        A session that is here already keeps the token it has.

        Returns:
            The change to tell; None when the member was there already.

        Raises:
            AlreadyMember: see `check`.
        """
        former = self.check(uid, ref, exclusive=exclusive, token=token)
        member = self.members.get(uid)
        if member is None:
            self._add(self._enter(uid, since, exclusive), ref, Stay(token, since))
            return Change(uid, True, self.version)
        self._add(member, ref, Stay(token, since))
        self._drop_all(member, former)
        member.exclusive = exclusive
        return None

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
        """A member that a former owner knew, and nobody claims: its leave is told after the grace.

        Until then it may come back without noise, and any claim to its name is older.
        """
        if uid not in self.members:
            self._enter(uid, math.inf, False)
            self._lost[uid] = now + self.grace

    def lose_incarnation(self, incarnation: str, now: float) -> None:
        """A frontend process died: all of its sessions are lost. Free when it had none here."""
        if incarnation not in self._lives:
            return
        for member in list(self.members.values()):
            for ref in [ref for ref in member.sessions if ref.incarnation == incarnation]:
                self.lose(member.uid, ref, now)

    def claim(
        self, uid: str, ref: SessionRef, *, since: float, exclusive: bool = False, token: str = ""
    ) -> Evicted:
        """Take a session that a frontend announces, quietly: nobody is told of a join.

        Of two sessions with one token the later is where their client is now. Else, of two claims
        to one name the older wins.

        Args:
            since: when it joined; see `Member`.

        Returns:
            The sessions that lose their place; `ref` itself may be the one.
        """
        member = self.members.get(uid)
        if member is None:
            self._add(self._enter(uid, since, exclusive), ref, Stay(token, since))
            return NOBODY
        others = frozenset(member.sessions) - {ref}
        evicted = NOBODY
        if not others:
            member.since, member.exclusive = min(since, member.since), exclusive
        elif ref not in member.sessions:
            evicted = self._contest(member, ref, Stay(token, since), exclusive)
        if ref not in evicted.sessions:
            self._add(member, ref, Stay(token, since))
            self._drop_all(member, evicted.sessions)
        return evicted

    def _contest(self, member: Member, ref: SessionRef, stay: Stay, exclusive: bool) -> Evicted:
        """Who of a member's sessions and a new one has to go."""
        former = self._with_token(member, ref, stay.token)
        if former:
            later = all(stay.since > member.sessions[other].since for other in former)
            return Evicted(former if later else frozenset({ref}), True)
        if not (exclusive or member.exclusive):
            return NOBODY
        if stay.since >= member.since:
            return Evicted(frozenset({ref}), False)
        member.since, member.exclusive = stay.since, exclusive
        return Evicted(frozenset(member.sessions), False)

    def expire(self, now: float) -> Iterator[Change]:
        """The leaves that are due by `now`; each is done when it is yielded."""
        while self._lost:
            uid = next(iter(self._lost))
            if self._lost[uid] > now:
                return
            yield self._remove(uid)

    def _enter(self, uid: str, since: float, exclusive: bool) -> Member:
        self.version += 1
        self.changes.add(Change(uid, True, self.version))
        member = self.members[uid] = Member(uid, since, exclusive)
        return member

    def _remove(self, uid: str) -> Change:
        self._lost.pop(uid, None)
        del self.members[uid]
        self.version += 1
        change = Change(uid, False, self.version)
        self.changes.add(change)
        return change

    def _with_token(self, member: Member, ref: SessionRef, token: str) -> frozenset[SessionRef]:
        """The member's other sessions that have this token."""
        if not token:
            return frozenset()
        return frozenset(
            other
            for other, stay in member.sessions.items()
            if other != ref and compare_digest(stay.token, token)
        )

    def _add(self, member: Member, ref: SessionRef, stay: Stay) -> None:
        self._lost.pop(member.uid, None)
        if ref not in member.sessions:
            member.sessions[ref] = stay
            self._lives[ref.incarnation] += 1

    def _drop_all(self, member: Member, refs: frozenset[SessionRef]) -> None:
        for ref in refs:
            self._drop(member, ref)

    def _drop(self, member: Member, ref: SessionRef) -> None:
        del member.sessions[ref]
        self._lives[ref.incarnation] -= 1
        if not self._lives[ref.incarnation]:
            del self._lives[ref.incarnation]
