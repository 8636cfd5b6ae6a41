"""The latest changes of a member list, by which who missed some of them is brought up to date."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import NamedTuple

LIMIT = 1000
"""Changes kept per channel."""


class Change(NamedTuple):
    """What the other members are told; `version` is the member list's after it."""

    uid: str
    joined: bool
    version: int


class Changes:
    """Remembers them in order, one for each version.

    When full (1,000), the oldest is forgotten: who missed that one as well is told the difference
    between its list and ours.

    Args:
        version: the list's version before the first change.
    """

    __slots__ = ("_floor", "_recent")

    def __init__(self, version: int) -> None:
        self._floor = version  # every change after this version is in `_recent`
        self._recent: deque[Change] = deque()

    def begin(self, version: int) -> None:
        """The list as it is now is where it begins: nobody has seen an earlier version of it."""
        self._floor = version
        self._recent.clear()

    def add(self, change: Change) -> None:
        """The list has changed."""
        self._recent.append(change)
        if len(self._recent) > LIMIT:
            self._floor = self._recent.popleft().version

    def after(self, version: int) -> list[Change]:
        """Those after a version, as far as they are remembered, in order."""
        found = []
        for change in reversed(self._recent):
            if change.version <= version:
                break
            found.append(change)
        return found[::-1]

    def unexplained(self, version: int, uids: Sequence[str], members: Collection[str]) -> list[str]:
        """Those of a roster who are not in the list although no change says that they left.

        Args:
            version: of the roster; see `bring`.
            uids: the roster.
            members: the list.
        """
        if self._reaches(version):
            return []
        explained = {change.uid for change in self._recent}
        return [uid for uid in uids if uid not in members and uid not in explained]

    def bring(self, version: int, uids: Sequence[str], members: Collection[str]) -> list[Change]:
        """The changes that bring a roster to the list.

        A roster that is older than what is remembered is first brought to where that begins.
        Changes of who is in what is remembered are repeated as they were, even if the roster has
        them: somebody who came in between may not.

        Args:
            version: of the roster; 0, or one that this list never had, when it is in doubt.
            uids: the roster.
            members: the list.
        """
        if self._reaches(version):
            return self.after(version)
        recent, roster = list(self._recent), set(uids)
        told = {change.uid for change in recent}
        gone = [u for u in uids if u not in members and u not in told]
        come = [u for u in members if u not in roster and u not in told]
        floor = self._floor
        return [Change(u, False, floor) for u in gone] + [
            *(Change(u, True, floor) for u in come),
            *recent,
        ]

    def _reaches(self, version: int) -> bool:
        latest = self._recent[-1].version if self._recent else self._floor
        return self._floor <= version <= latest
