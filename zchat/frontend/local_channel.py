"""A channel as one frontend keeps it: its place in the stream, its members here, their roster."""

from __future__ import annotations

from collections.abc import Callable

from zchat.frontend.roster import Roster
from zchat.frontend.session import Membership
from zchat.rooms.follower import Follower

Wanted = Callable[[Membership], bool]
"""Says whether a frame is for a member; None stands for everybody."""


class LocalChannel:
    """A channel that has members on this frontend."""

    __slots__ = (
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
        self.live: dict[int, Membership] = {}
        self.joining: dict[int, Membership] = {}
        self.out: list[tuple[bytes, Wanted | None]] = []
        """Frames of this turn, and for which of the live members each is."""
        self.fetching = False
        self.comparing = False

    @property
    def is_behind(self) -> bool:
        """Whether its roster can be compared with its owner's list, and should be."""
        return self.follower.position is not None and self.roster.behind

    @property
    def memberships(self) -> list[Membership]:
        """All of them, joining ones first."""
        return [*self.joining.values(), *self.live.values()]
