"""A lane: what one session asked of one server type, so that no request overtakes another.

A server keeps the order of what one pipe brings, two servers keep none between them. So while
requests are unanswered at one server, those that the router would send to another wait here. When
the last answer has come, the waiting ones are picked anew, oldest first.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar


class Taken(Protocol):
    """A request that came in."""

    since: float
    """Seconds of the frontend's clock, when it came."""


T = TypeVar("T", bound=Taken)


class Lane(Generic[T]):
    """The requests of one session to one server type.

    Its bound is the session's: `requests_in_flight` counts what is held like what is under way.
    When full, further requests are answered with 429 and counted, by the Forwarder.
    """

    __slots__ = ("_failed", "closed", "held", "server", "under_way")

    def __init__(self) -> None:
        self.server = ""
        """Where the requests under way are."""
        self.under_way = 0
        """How many have no answer yet."""
        self.held: deque[T] = deque()
        """Those that wait to be sent, oldest first."""
        self.closed = False
        """Whether the session has ended."""
        self._failed = 0  # how many at the front of `held` were under way before

    def hold(self, request: T) -> None:
        """The newest request waits."""
        self.held.append(request)

    def hold_again(self, request: T) -> None:
        """A request that was under way waits to be sent again, before all that are newer.

        Servers fail requests in the order in which they were asked, so this is behind those that
        failed before it.
        """
        self.held.insert(self._failed, request)
        self._failed += 1

    def release(self) -> list[T]:
        """Takes out all that wait, in their order."""
        released = list(self.held)
        self.held.clear()
        self._failed = 0
        return released

    def overdue(self, before: float) -> list[T]:
        """Takes out those that came at `before` or earlier."""
        due: list[T] = []
        while self.held and self.held[0].since <= before:
            due.append(self.held.popleft())
        self._failed = max(0, self._failed - len(due))
        return due
