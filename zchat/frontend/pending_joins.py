"""Members that an owner has ordered in, and whose admission it has not told yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zchat.frontend.session import Membership

_SLACK = 1.0
"""Seconds that the owner's word may be under way when its time is over."""


class PendingJoins:
    """All of them, the one ordered first in front; as many as there are such members here.

    Args:
        timeout: seconds in which an owner admits who it has ordered in, or gives it up.
        clock: monotonic seconds.
    """

    __slots__ = ("_clock", "_ordered", "_timeout")

    def __init__(self, timeout: float, clock: Callable[[], float]) -> None:
        self._timeout = timeout + _SLACK
        self._clock = clock
        self._ordered: dict[Membership, float] = {}

    def __len__(self) -> int:
        return len(self._ordered)

    def add(self, membership: Membership) -> None:
        """It was ordered in, perhaps once more: its time begins."""
        self._ordered.pop(membership, None)
        self._ordered[membership] = self._clock()

    def done(self, membership: Membership) -> None:
        """It was admitted, or has left."""
        self._ordered.pop(membership, None)

    def overdue(self) -> Iterator[Membership]:
        """Those that neither their owner nor a request under way will say anything of any more.

        Each is told once. A client whose request is still under way has been told nothing, and its
        handler may have its owner asked again.
        """
        ordered, now = self._ordered, self._clock()
        while ordered:
            membership = next(iter(ordered))
            if ordered[membership] > now - self._timeout:
                return
            if membership.answered:
                del ordered[membership]
                yield membership
            else:
                self.add(membership)
