"""Requests that were answered with an error, for owners that hear of it too late."""

from __future__ import annotations

from zchat.frontend.session import Session


class Refusals:
    """The latest of them, by session and message id.

    An owner that stood still may order a member in for a request that was given up meanwhile.

    Args:
        limit: how many are remembered. When full, the oldest is forgotten: should its owner still
            order somebody in, the client is in a room that it was refused, until it leaves.
    """

    __slots__ = ("_limit", "_requests")

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._requests: dict[tuple[int, int], None] = {}

    def add(self, session: Session, request: int) -> None:
        """This request of it is about to be answered with an error."""
        self._requests[session.id, request] = None
        if len(self._requests) > self._limit:
            del self._requests[next(iter(self._requests))]

    def has(self, session: Session, request: int) -> bool:
        """Whether it was refused; a request that is under way by now has that id again."""
        refused = (session.id, request) in self._requests
        return refused and request not in (session.in_flight or ())
