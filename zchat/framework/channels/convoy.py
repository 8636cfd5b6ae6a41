"""A convoy: the calls to one channel that keep their order while the channel moves.

Calls go to the channel's owner side by side, as long as that keeps their order: all by the same
ring, and to an owner that has taken one of them. Otherwise one goes ahead and the others wait until
it was taken. One that is sent back, because the owner has changed, goes again before all that were
made after it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable

from zchat.errors import Unavailable
from zchat.rooms.ring import Ring

LIMIT = 10_000


class Convoy:
    """The calls to one channel; it lasts while there are any.

    A call that is made takes a `number` and may `go` at once or waits for its `turn`; from then on
    it is under way. When that is over it says `end`, and may wait for another turn. Nothing here
    reaches an owner: the caller does, without an await after `go` or `turn`.

    Args:
        channel: its name.
        ring: the ring of now.
        here: the server that needs no call to be reached; empty when there is none. It knows the
            ring of now, so it takes all calls or none.

    When full (10,000 calls wait), further ones are refused with Unavailable.
    """

    __slots__ = (
        "_channel",
        "_generation",
        "_here",
        "_last",
        "_ring",
        "_under_way",
        "_waiting",
        "_woken",
        "taken",
    )

    def __init__(self, channel: str, ring: Callable[[], Ring], here: str) -> None:
        self._channel = channel
        self._ring = ring
        self._here = here
        self._last = 0
        self._generation = 0  # of the ring by which those under way went
        self._under_way = 0
        self._waiting: list[int] = []  # numbers, lowest first
        self._woken: dict[int, asyncio.Future[None]] = {}
        self.taken = False
        """Whether the owner that the last went to takes them; callers set it by its answers."""

    @property
    def empty(self) -> bool:
        """Whether nothing is under way and nobody waits."""
        return not (self._under_way or self._waiting)

    def number(self) -> int:
        """The place in the order of a call that is made now."""
        self._last += 1
        return self._last

    def go(self) -> bool:
        """Whether a call that was just made may go at once.

        Raises:
            Unavailable: too many wait already.
        """
        if len(self._waiting) >= LIMIT:
            raise Unavailable(f"too many calls wait for {self._channel}")
        ring = self._ring()
        if self._waiting or not self._open(ring):
            return False
        self._start(ring)
        return True

    async def turn(self, number: int) -> None:
        """Wait until nothing made before this call is in its way."""
        insort(self._waiting, number)
        try:
            while self._waiting[0] != number or not self._open(self._ring()):
                self._woken[number] = asyncio.get_running_loop().create_future()
                await self._woken[number]
            self._start(self._ring())
        finally:
            del self._waiting[bisect_left(self._waiting, number)]
            self._woken.pop(number, None)
            self._wake()

    def end(self) -> None:
        """A call that was under way is so no more."""
        self._under_way -= 1
        self._wake()

    def _open(self, ring: Ring) -> bool:
        if not self._under_way:
            return True
        return self.taken and ring.generation == self._generation

    def _start(self, ring: Ring) -> None:
        if not self._under_way:
            known = self.taken and ring.generation == self._generation
            self.taken = known or ring.owner(self._channel) == self._here
            self._generation = ring.generation
        self._under_way += 1

    def _wake(self) -> None:
        """Let the first look again; it wakes the next when it has gone."""
        future = self._woken.get(self._waiting[0]) if self._waiting else None
        if future is not None and not future.done():
            future.set_result(None)
