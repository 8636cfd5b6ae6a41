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

    def since(self, version: int, members: Collection[str]) -> tuple[list[str], list[str]] | None:
        """Who came and who went since a version; None when that is not remembered.

        Args:
            members: the list of now.
        """
        if not self.reach(version):
            return None
        changed = dict.fromkeys(change.uid for change in self.after(version))
        gone = [uid for uid in changed if uid not in members]
        return [uid for uid in changed if uid in members], gone

    def undo(self, version: int, uids: Sequence[str]) -> list[str] | None:
        """The list as it was at a version; None when that is not remembered.

        Args:
            uids: the list of now.
        """
        if not self.reach(version):
            return None
        was = dict.fromkeys(uids)
        for uid, joined, _ in reversed(self.after(version)):
            if joined:
                del was[uid]
            else:
                was[uid] = None
        return list(was)

    def unexplained(self, version: int, uids: Sequence[str], members: Collection[str]) -> list[str]:
        """Those of a roster who are not in the list although no change says that they left.

        Args:
            version: of the roster; see `bring`.
            uids: the roster.
            members: the list.
        """
        if self.reach(version):
            return []
        explained = {change.uid for change in self._recent}
        return [uid for uid in uids if uid not in members and uid not in explained]

    def bring(
        self,
        version: int,
        uids: Sequence[str],
        members: Collection[str],
        doubtful: Sequence[str] = (),
    ) -> list[Change]:
        """The changes that bring a roster to the list.

        They are those that it missed, one by one, when these are remembered. Else they are the
        difference, and all have the version of the list as it is now.

        Args:
            version: of the roster; 0, or one that this list never had, when it is in doubt.
            uids: the roster.
            members: the list.
            doubtful: uids of whom some know the opposite of what the roster says: whether these
                are in the list is told in any case.
        """
        if self.reach(version):
            changes = self.after(version)
            told = {change.uid for change in changes}
            return changes + [self._now(u, members) for u in doubtful if u not in told]
        known, told = set(uids), set(doubtful)
        gone = [u for u in dict.fromkeys((*uids, *doubtful)) if u not in members]
        come = [u for u in members if u not in known or u in told]
        return [self._now(u, members) for u in (*gone, *come)]

    def _now(self, uid: str, members: Collection[str]) -> Change:
        """Whether that uid is in the list."""
        return Change(uid, uid in members, self._latest)

    @property
    def _latest(self) -> int:
        return self._recent[-1].version if self._recent else self._floor

    def reach(self, version: int) -> bool:
        """Whether all changes after this version are remembered."""
        return self._floor <= version <= self._latest
