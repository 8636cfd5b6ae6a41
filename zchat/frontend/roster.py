"""Whom the members of a channel on one frontend have been told of.

Every change of the member list raises its version by one, so a version that is skipped shows that
changes were lost. They are then asked for: the roster stays at a version that all members here have
been told, and never runs ahead of it. Pure: what is told to whom is the hub's.
"""

from __future__ import annotations

from collections.abc import Iterable

from zchat.rooms.stream import PresenceChange


class Roster:
    """The uids, and the version of the list that they are."""

    __slots__ = ("_copy", "heard", "uids", "version")

    def __init__(self) -> None:
        self._copy: frozenset[str] | None = None
        self.uids: set[str] = set()
        self.version = 0
        """0 while in doubt: a new owner counts anew, or there was no list to begin with."""
        self.heard = 0
        """The highest version that an owner spoke of since it was last in doubt."""

    @property
    def behind(self) -> bool:
        """Whether there are, or may be, changes that have not been told here."""
        return self.version == 0 or self.heard > self.version

    def begin(self, uids: Iterable[str], version: int) -> None:
        """The first member here came in with this list: nobody has been told anything else.

        Args:
            version: of the list; 0 when it is not this owner's.
        """
        self.uids, self.version, self._copy = set(uids), version, None

    def copy(self) -> frozenset[str]:
        """The uids of now; one and the same until they change, for all who come in meanwhile."""
        if self._copy is None:
            self._copy = frozenset(self.uids)
        return self._copy

    def doubt(self) -> None:
        """The owner's list may begin anew: what we know of it is only whom we told of."""
        self.version = self.heard = 0

    def hear(self, version: int) -> None:
        """An owner's list has this version."""
        self.heard = max(self.heard, version)

    def is_next(self, change: PresenceChange) -> bool:
        """Whether nothing lies between what was told and this change."""
        return self.version > 0 and change.version == self.version + 1

    def apply(self, change: PresenceChange) -> bool:
        """Take a change over; returns whether it is news to who knows the roster."""
        if change.joined == (change.uid in self.uids):
            return False
        self._copy = None
        if change.joined:
            self.uids.add(change.uid)
        else:
            self.uids.remove(change.uid)
        return True

    def reach(self, version: int, heard: int) -> None:
        """An owner's answer brought it to this version.

        Args:
            heard: what `heard` was when it was asked: the answer covers all that we knew then,
                even what an earlier owner with a later clock had said.
        """
        self.version = max(self.version, version)
        if self.heard == heard:
            self.heard = self.version
