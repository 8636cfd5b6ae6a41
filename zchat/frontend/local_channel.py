"""A channel as one frontend keeps it: its place in the stream, its members here, their roster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from zchat.frontend.roster import Roster
from zchat.frontend.session import Membership
from zchat.rooms.follower import Follower
from zchat.rooms.stream import PresenceChange

Wanted = Callable[[Membership], bool]
"""Says whether a frame is for a member; None stands for everybody."""


class LocalChannel:
    """A channel that has members on this frontend."""

    __slots__ = (
        "apart",
        "began",
        "comparing",
        "fetching",
        "follower",
        "joining",
        "live",
        "name",
        "out",
        "owner",
        "placed",
        "roster",
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
        self.out: list[tuple[bytes, Wanted | None]] = []
        """Frames of this turn, and for which of the live members each is."""
        self.fetching = False
        self.comparing = False

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

    def take_list(self, member: Membership, uids: Sequence[str], version: int) -> None:
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

    def take(self, change: PresenceChange) -> Wanted | None:
        """The roster takes a change over; returns whom it is to be told, None when nobody."""
        known = change.uid in self.roster.uids
        apart, uid = frozenset(self.apart), change.uid
        told = {key for key, member in self.apart.items() if member.take(change, known)}
        news = self.roster.apply(change)
        if not (news or told):
            return None
        return lambda m: m.uid != uid and (m.session.id in told if m.session.id in apart else news)

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
