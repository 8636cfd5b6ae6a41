"""The life of channels at their owner: opened, known in full, let go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence

from zchat.errors import RequestError, Unavailable
from zchat.framework.channels.joins import Joins
from zchat.framework.channels.taking import Taking
from zchat.framework.channels.turns import Turns
from zchat.rooms.beat import Stand
from zchat.rooms.changes import Change
from zchat.rooms.channel import Channel
from zchat.rooms.owned_stream import OwnedStream
from zchat.rooms.presence import Presence
from zchat.rooms.repeats import Repeats
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import Store

logger = logging.getLogger("zchat.cluster")

_REST = 1.0
"""Seconds for which a channel without members stays open after something was published: to open it
for each publication costs a read of its whole window of repeats."""


class Moved(RequestError):
    """This server does not own the channel; `owner` does, as far as it knows."""

    code = 307


class OwnedChannels:
    """The channels that are open here.

    Args:
        server_id: this server.
        ring: the ring of now.
        store: the journal.
        joins: those under way, which keep their channels open.
        grace: seconds between a lost session and its member's leave.
        repeat_window: publications per channel among which a repeated one is recognized.
        repeat_age: seconds during which it is.
        clock: monotonic seconds.
        wall_clock: seconds since 1970.

    Attributes:
        table: the channels by name.
        turns: who waits for a channel.
        taking: which frontends have told of their members.
    """

    def __init__(
        self,
        server_id: str,
        ring: Callable[[], Ring],
        store: Store,
        joins: Joins,
        *,
        grace: float,
        repeat_window: int,
        repeat_age: float,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._server_id = server_id
        self._ring = ring
        self._store = store
        self._joins = joins
        self._grace = grace
        self._repeat_window = repeat_window
        self._repeat_age = repeat_age
        self._clock = clock
        self._wall_clock = wall_clock
        self._opening: dict[str, asyncio.Future[Channel]] = {}
        # What each tick looks at: channels without members, and those in which leaves are due.
        self._watched: dict[str, Channel] = {}
        self._resting: dict[str, float] = {}  # since when, of those that somebody published in
        self._settled = asyncio.Event()
        self._unsettled: set[str] = set()  # channels whose members may not all be known yet
        self.table: dict[str, Channel] = {}
        self.turns = Turns()
        self.taking = Taking()

    # Opening

    def is_ours(self, name: str) -> bool:
        """Whether this server owns the channel by the ring of now."""
        return self._ring().owner(name) == self._server_id

    @property
    def ring_tag(self) -> str:
        """Names the ring of now."""
        return self._ring().tag

    def at_once(self, name: str) -> Channel | None:
        """The channel, when nothing is to be waited for and nobody waits."""
        if name in self.turns or name in self._unsettled or not self.is_ours(name):
            return None
        return self.table.get(name)

    async def in_turn(self, name: str) -> Channel:
        """The channel, for those who change it: in the order in which they came.

        Raises:
            Moved, Unavailable: see `open`; Unavailable also when too many wait.
        """
        async with self.turns.take(name):
            return await self.open(name)

    async def open(self, name: str, *, settled: bool = True) -> Channel:
        """The channel, when it is ours.

        Args:
            settled: wait until the members of a channel just taken are known.

        Raises:
            Moved: it is not ours.
            Unavailable: the journal cannot be opened.
        """
        while True:
            if not self.is_ours(name):
                raise self._moved(name)
            channel = self.table.get(name)
            if settled and not self.settled and (not channel or name in self._unsettled):
                await self._settled.wait()
            elif channel is not None:
                return channel
            else:
                await asyncio.shield(self._opening.get(name) or self._begin_opening(name))

    def _begin_opening(self, name: str) -> asyncio.Future[Channel]:
        def opened(future: asyncio.Future[Channel]) -> None:
            del self._opening[name]
            if not future.cancelled():
                future.exception()  # those who waited for it may all have given up

        opening = self._opening[name] = asyncio.ensure_future(self._take(name))
        opening.add_done_callback(opened)
        return opening

    async def _take(self, name: str) -> Channel:
        try:
            position = await self._store.open(name)
            window = await self._store.read_back(name, position.offset + 1, self._repeat_window)
        except Exception as error:
            logger.exception("journal: %s cannot be opened", name)
            raise Unavailable("the journal cannot be opened") from error
        if not self.is_ours(name):
            self._store.let_go(name, moved=True)
            raise self._moved(name)
        # Frontends may know of an earlier life of this list, with versions up to then.
        presence = Presence(self._grace, int(self._wall_clock() * 1000))
        repeats = Repeats(self._repeat_window, int(self._repeat_age * 1000))
        repeats.add(window.publications)
        stream = OwnedStream(name, position, repeats=repeats)
        channel = self.table[name] = Channel(stream, presence, self._clock())
        self.watch(channel)
        if not self.settled:
            self._unsettled.add(name)
        return channel

    # Knowing all members

    @property
    def settled(self) -> bool:
        """Whether the members of all channels are known: all frontends have told of theirs."""
        return self._settled.is_set()

    def is_settled(self, name: str) -> bool:
        """Whether this channel's members are, if it is open."""
        return name not in self._unsettled

    def ring_changed(self, frontends: Sequence[str]) -> None:
        """Let go of what is not ours any more; wait for announces of what is ours now."""
        for channel in [channel for name, channel in self.table.items() if not self.is_ours(name)]:
            self._hand_over(channel)
        self.taking.begin(self.ring_tag, frontends, self._clock())
        self._settled.clear()

    def settle(self) -> None:
        """Wake who waits, when nothing is waited for any more."""
        if not self.settled and self.taking.done(self._clock()):
            self._unsettled.clear()
            self._settled.set()

    # Letting go

    def watch(self, channel: Channel) -> None:
        """Look at it in the next tick: a leave may be due in it, or nobody need it."""
        if self.table.get(channel.name) is channel:
            self._watched[channel.name] = channel

    def expire(self) -> Iterator[tuple[Channel, Change]]:
        """The leaves that are due, to be told; channels that nobody needs go."""
        now = self._clock()
        for channel in list(self._watched.values()):
            for change in channel.presence.expire(now):
                yield channel, change
            if not channel.presence.losing:
                self._look_at(channel)

    def lose_incarnation(self, incarnation: str) -> None:
        """A life of a frontend has ended: its members are lost."""
        now = self._clock()
        for channel in self.table.values():
            channel.presence.lose_incarnation(incarnation, now)
            if channel.presence.losing:
                self.watch(channel)

    def stand(self, name: str) -> Stand | None:
        """Where a channel stands; None when it is not open here."""
        channel = self.table.get(name)
        return (*channel.stream.position, channel.presence.version) if channel else None

    async def close(self) -> None:
        """Wait for what is being opened. Idempotent."""
        await asyncio.gather(*self._opening.values(), return_exceptions=True)

    def _look_at(self, channel: Channel) -> None:
        """Let go of a channel that nobody needs; its history stays in the store."""
        name = channel.name
        if channel.presence.members:
            del self._watched[name]
            self._resting.pop(name, None)
        elif channel.idle and not self._joins.wait_in(name) and self._has_rested(channel):
            self._forget(name, moved=False)

    def _has_rested(self, channel: Channel) -> bool:
        """Whether nothing was published in it for a while."""
        if channel.stream.news:
            channel.stream.news = False
            self._resting[channel.name] = self._clock()
        since = self._resting.get(channel.name)
        return since is None or self._clock() >= since + _REST

    def _hand_over(self, channel: Channel) -> None:
        """Another worker owns the channel now."""
        error = self._moved(channel.name)
        self._forget(channel.name, moved=True)
        channel.stream.close(error)
        self._joins.fail(lambda join: join.channel is channel, error)

    def _forget(self, name: str, *, moved: bool) -> None:
        del self.table[name]
        self._watched.pop(name, None)
        self._resting.pop(name, None)
        self._unsettled.discard(name)
        self._store.let_go(name, moved=moved)

    def _moved(self, name: str) -> Moved:
        return Moved(f"{name} is owned elsewhere", owner=self._ring().owner(name) or "")
