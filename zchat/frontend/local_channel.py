"""A channel as one frontend keeps it: its place in the stream, its members here, their roster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple

from zchat.frontend.roster import Roster
from zchat.frontend.session import Base, Membership
from zchat.rooms.follower import Follower
from zchat.rooms.stream import PresenceChange

_SCANNED: Final = 32  # members up to which looking at each costs less than keeping an index


class Readers(NamedTuple):
    """Which of the members a frame is for; None in its place stands for all of them."""

    sessions: frozenset[int]
    but: bool = False
    """Whether it is for all but these."""

    def __contains__(self, session: object) -> bool:
        return (session in self.sessions) is not self.but


class LocalChannel:
    """A channel that has members on this frontend."""

    __slots__ = (
        "_sessions",
        "apart",
        "began",
        "comparing",
        "fetching",
        "follower",
        "given",
        "joining",
        "lap",
        "live",
        "name",
        "out",
        "owner",
        "placed",
        "roster",
        "since",
        "waiting",
    )

    def __init__(self, name: str, owner: str) -> None:
        self.name = name
        self.owner = owner
        """The server that the channel was met at, or that answered the last announce."""
        self.follower = Follower()
        self.placed = False
        """Whether it has had a place, even if it waits for the next one now."""
        self.roster = Roster()
        self.apart: dict[int, Membership] = {}
        """Members, by session, whose list may not be the roster; most are so for a moment only."""
        self.began: frozenset[int] = frozenset()
        """Sessions that were here in the epoch before, and have not been told that it ended."""
        self.live: dict[int, Membership] = {}
        self.joining: dict[int, Membership] = {}
        self.out: list[tuple[bytes, Readers | None]] = []
        """Frames on their way out, and for which of the live members each is."""
        self.waiting = 0
        """Bytes of `out`."""
        self.given = 0
        """Bytes handed out of which it is not known that the members have been sent them."""
        self.since = 0.0
        """When the first of those were, in the loop's time."""
        self.lap: Callable[[], bool] | None = None
        """While `out` waits for that: says whether they have."""
        self.fetching = False
        self.comparing = False
        self._sessions: dict[str, tuple[int, ...]] | None = None
        """The sessions of each uid here; None until somebody is looked for in a large room."""

    @property
    def is_behind(self) -> bool:
        """Whether its roster can be compared with its owner's list, and should be."""
        if self.follower.position is None:
            return False
        return self.roster.behind or any(member.differs for member in self._caught_up())

    @property
    def doubtful(self) -> set[str]:
        """Uids that the roster and some member's list differ in, and no change to come explains."""
        return {uid for member in self._caught_up() for uid in member.differs}

    @property
    def told(self) -> bool:
        """Whether any member here has a member list."""
        return bool(self.live) or any(m.position is not None for m in self.joining.values())

    def base(self, owner: str, token: bytes) -> Base | None:
        """What that owner need not tell of its member list; None when all of it has to be told."""
        roster = self.roster
        if owner != self.owner or not self.told or not roster.version:
            return None
        return Base(token, roster.version, roster.copy())

    def take_list(self, member: Membership, uids: Collection[str], version: int) -> None:
        """A member comes in, or is let in once more, with this list.

        Args:
            version: of the list; 0 when it is not known to be of the roster's owner and epoch.
        """
        roster = self.roster
        if not self.told and not roster.version:
            roster.begin(uids, version)
        elif not roster.version:
            version = 0
        member.take_list(uids, version, roster.uids)
        self.apart[member.session.id] = member
        self.settle()

    def enter(self, member: Membership) -> None:
        """A member joins."""
        self.joining[member.session.id] = member
        if self._sessions is not None:
            self._sessions[member.uid] = (*self._sessions.get(member.uid, ()), member.session.id)

    def leave(self, member: Membership) -> None:
        """It is no member any more."""
        session = member.session.id
        for members in (self.live, self.joining, self.apart):
            members.pop(session, None)
        if self._sessions is not None:
            left = tuple(other for other in self._sessions.pop(member.uid) if other != session)
            if left:
                self._sessions[member.uid] = left

    def readers(self, audience: Collection[str]) -> Readers:
        """The members whose uids are these.

        In a large room they are looked up: a message to one of 500 costs 40 us and not 150.
        """
        if self._sessions is None and len(self.live) <= _SCANNED:
            return Readers(frozenset(m.session.id for m in self.memberships if m.uid in audience))
        if self._sessions is None:
            self._sessions = {}
            for member in self.memberships:
                of_uid = self._sessions.get(member.uid, ())
                self._sessions[member.uid] = (*of_uid, member.session.id)
        known = self._sessions
        return Readers(frozenset(s for uid in audience for s in known.get(uid, ())))

    def take(self, change: PresenceChange) -> tuple[bool, set[int]]:
        """The roster takes a change over.

        Returns:
            Whether it is news to who knows the roster; and to which sessions of those apart.
        """
        known = change.uid in self.roster.uids
        told = {key for key, member in self.apart.items() if member.take(change, known)}
        return self.roster.apply(change), told

    def settle(self) -> None:
        """Look whose list is the roster by now."""
        for key, member in list(self.apart.items()):
            if not member.differs and member.version <= self.roster.version:
                del self.apart[key]

    def doubt(self) -> None:
        """The owner may have changed, or counts anew."""
        self.roster.doubt()
        for member in self.memberships:
            member.doubt()

    def _caught_up(self) -> Iterator[Membership]:
        """Of those apart, whose list is no newer than the roster."""
        return (m for m in self.apart.values() if m.version <= self.roster.version)

    @property
    def memberships(self) -> list[Membership]:
        """All of them, joining ones first."""
        return [*self.joining.values(), *self.live.values()]
