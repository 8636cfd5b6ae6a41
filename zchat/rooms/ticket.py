"""What waits for its place in a channel, and who waits for it."""

from __future__ import annotations

import asyncio

from zchat.rooms.stream import Draft, StreamPosition

Waiter = asyncio.Future[StreamPosition]


class Ticket:
    """A draft on its way, and who waits for its place: the first sender, and those who repeat it.

    Each repeat is a call under way, so whoever bounds those bounds the waiters.
    """

    __slots__ = ("draft", "size", "waiters")

    def __init__(self, draft: Draft, waiter: Waiter) -> None:
        self.draft = draft
        self.size = draft.size
        self.waiters = [waiter]

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for it, and nobody can ask for it again."""
        return not self.draft.cid and self.waiters[0].done()

    def settle(self, position: StreamPosition) -> None:
        """It is in the journal."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(position)

    def fail(self, error: Exception) -> None:
        """It is not, or nobody knows."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)
