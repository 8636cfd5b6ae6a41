"""Who is in a channel: members by uid, each with its sessions.

A member is there while one of its sessions is, and for the grace after the last was lost, so that
a blip on the network makes no noise. Every change that others are told raises the list's version.
No clock here: callers pass `now`, in seconds of any monotonic clock.

Each session has the *token* that its client showed. A client that comes back on another connection
shows one with the same secret, and takes the place of its former session, which may look alive for
long; unless that came in by a later attempt of the client. It keeps its secret from connection to
connection: the answer that would bring it a new one may be lost too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from zchat.errors import RequestError
from zchat.rooms.changes import Change, Changes
from zchat.rooms.resume import NO_TOKEN, Token


class AlreadyMember(RequestError):
    """The uid is in the channel with another live session, and the join was exclusive; or the
    client itself has come in by a later attempt."""

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

    token: Token
    since: float
    """When the session joined, in seconds since 1970."""

    def is_after(self, other: Stay) -> bool:
        """Whether, of one client's sessions, this is the later one."""
        return (self.token.attempt, self.since) > (other.token.attempt, other.since)


class Evicted(NamedTuple):
    """Sessions that lose their place to others of their uid."""

    sessions: frozenset[SessionRef]
    resumed: bool
    """Whether their own client took it, by their token."""


NOBODY = Evicted(frozenset(), False)


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

    def sessions(self, uid: str) -> frozenset[SessionRef]:
        """The sessions of a member; empty when it is not here or lost."""
        member = self.members.get(uid)
        return frozenset(member.sessions) if member else frozenset()

    def expect(self, uids: Iterable[str]) -> None:
        """Raise NotMember, with code 404, when one of these is no member."""
        for uid in uids:
            if uid not in self.members:
                raise NotMember(f"{uid} is not here")

    def token(self, uid: str, ref: SessionRef) -> Token:
        """The token of a session; NO_TOKEN when it is not here."""
        member = self.members.get(uid)
        return member.sessions[ref].token if member and ref in member.sessions else NO_TOKEN

    def check(
        self, uid: str, ref: SessionRef, *, exclusive: bool, token: Token = NO_TOKEN
    ) -> frozenset[SessionRef]:
        """The sessions whose place `ref` would take by joining with this token; mostly none.

        Raises:
            AlreadyMember: another live session holds the uid, and the token is not its own. Or it
                is, and that session came in by a later attempt than this one.
        """
        others = self.sessions(uid) - {ref}
        if not others:
            return others
        member = self.members[uid]
        former = _with_token(member, ref, token)
        if others != former and (exclusive or member.exclusive):
            raise AlreadyMember(f"{uid} is already here")
        if any(member.sessions[other].token.attempt > token.attempt for other in former):
            raise AlreadyMember(f"{uid} is already here by a later attempt")
        return former

    def join(
        self,
        uid: str,
        ref: SessionRef,
        *,
        since: float,
        exclusive: bool = False,
        token: Token = NO_TOKEN,
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

    def remove(self, uid: str) -> Change | None:
        """Take a member out with all of its sessions."""
        member = self.members.get(uid)
        if member is None:
            return None
        self._drop_all(member, frozenset(member.sessions))
        return self._remove(uid)

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

    def lose_unclaimed(
        self,
        incarnation: str,
        claimed: Collection[tuple[str, SessionRef]],
        before: float,
        now: float,
    ) -> None:
        """A frontend does not name these sessions of its: they are lost.

        Args:
            incarnation: the life of the frontend.
            claimed: those that it names, with their uids. Some may not be here: they were put out,
                and it has not heard of that.
            before: only who joined before this moment counts, in seconds since 1970.
        """
        here = {(uid, ref) for uid, ref in claimed if ref in self.sessions(uid)}
        if self._lives[incarnation] == len(here):
            return  # mostly so, and then there is nobody to look for
        for member in list(self.members.values()):
            for ref, stay in list(member.sessions.items()):
                unnamed = ref.incarnation == incarnation and (member.uid, ref) not in here
                if unnamed and stay.since < before:
                    self.lose(member.uid, ref, now)

    def claim(
        self,
        uid: str,
        ref: SessionRef,
        *,
        since: float,
        exclusive: bool = False,
        token: Token = NO_TOKEN,
    ) -> Evicted:
        """Take a session that a frontend announces, quietly: nobody is told of a join.

        Of two sessions of one client the one of the later attempt is where it is now. Else, of two
        claims to one name the older wins.

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
        former = _with_token(member, ref, stay.token)
        if former:
            later = all(stay.is_after(member.sessions[other]) for other in former)
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


def _with_token(member: Member, ref: SessionRef, token: Token) -> frozenset[SessionRef]:
    """The member's other sessions that are of the client with this token."""
    if not token.secret:
        return frozenset()
    return frozenset(
        other for other, stay in member.sessions.items() if other != ref and token.is_of(stay.token)
    )
