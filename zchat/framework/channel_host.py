"""The owner's side of channels: what a worker does for the ones that are its own.

Every method here may be called from any server; `Moved` tells the caller to ask another one.

A join, step by step: the owner orders the frontend to join the session (`hub.join`, with a token);
the frontend subscribes and sends the token through the same pipe; when the XPUB shows the token,
no later publication can miss that frontend, so the owner admits the member, tells the others, and
says `hub.joined` with the position on the pipe that will carry the handler's answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from zchat.errors import RequestError, TimedOut, Unavailable
from zchat.framework.joins import Join, Joined, Joins
from zchat.framework.link_tokens import LinkTokens
from zchat.framework.taking import Taking
from zchat.frontend.resync import Announced, Claim, Repaired
from zchat.rooms.beat import TOPIC, BeatMaker
from zchat.rooms.broker import Broker, Stream
from zchat.rooms.channel import Channel, Framer
from zchat.rooms.presence import Change, Presence, SessionRef
from zchat.rooms.recovery import PAGE, Page, backward, forward, recover
from zchat.rooms.repeats import Repeats
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import Store
from zchat.rooms.stream import (
    MAX_BODY_BYTES,
    Draft,
    Publication,
    StreamPosition,
    encode_frame,
    first_page,
    published,
)

logger = logging.getLogger("zchat.cluster")

_REPAIR_PAGE = 500
_REPAIR_BYTES = MAX_BODY_BYTES
_ENDED_LIMIT = 1000
_END = 2**53
"""Past every offset."""


class Moved(RequestError):
    """This server does not own the channel; `owner` does, as far as it knows."""

    code = 307


Cast = Callable[[str, str, str, Sequence[Any]], bool]
"""(frontend id, incarnation, method, args): False when that life of it is not connected."""


class ChannelHost:
    """The channels of one worker.

    Args:
        server_id: this server.
        incarnation: this life of it.
        ring: the ring of now.
        learn_ring: reads the ring from the journal, which has a newer one than `ring`.
        store: the journal.
        framer: builds what is published.
        publish: the XPUB: (topic, payload).
        cast: tells a frontend something.
        grace: seconds between a lost session and its member's leave.
        join_timeout: seconds that a join may take.
        beat: seconds between two beats.
        repeat_window: publications per channel among which a repeated one is recognized.
        repeat_age: seconds during which it is.
        clock: monotonic seconds.
        wall_clock: seconds since 1970.
    """

    def __init__(
        self,
        *,
        server_id: str,
        incarnation: str,
        ring: Callable[[], Ring],
        learn_ring: Callable[[], Awaitable[None]],
        store: Store,
        framer: Framer,
        publish: Callable[[str, bytes], None],
        cast: Cast,
        grace: float,
        join_timeout: float,
        beat: float = 1.0,
        repeat_window: int = 1000,
        repeat_age: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._server_id = server_id
        self._ring = ring
        self._store = store
        self._framer = framer
        self._publish = publish
        self._cast = cast
        self._grace = grace
        self._join_timeout = join_timeout
        self._beat_interval = beat
        self._beat_due = clock() + beat
        self._beats = BeatMaker(server_id, incarnation)
        self._repeat_window = repeat_window
        self._repeat_age = repeat_age
        self._clock = clock
        self._wall_clock = wall_clock
        self._broker = Broker(
            store,
            self._published,
            lambda: int(wall_clock() * 1000),
            lambda: ring().generation,
            learn_ring,
        )
        self._joins = Joins(incarnation)
        self._links = LinkTokens(server_id)
        self._opening: dict[str, asyncio.Future[Channel]] = {}
        # What each tick looks at: channels without members, and those in which leaves are due.
        self._watched: dict[str, Channel] = {}
        # Lives of frontends that have ended. When full the oldest is forgotten.
        self._ended: dict[str, None] = {}
        self._settled = asyncio.Event()
        self._unsettled: set[str] = set()  # channels whose members may not all be known yet
        self.taking = Taking()
        self.channels: dict[str, Channel] = {}
        self.counters: Counter[str] = Counter()

    # For members

    async def join(
        self,
        name: str,
        uid: str,
        ref: SessionRef,
        exclusive: bool,
        since: StreamPosition | None,
        request: int,
    ) -> Joined:
        """Make a session a member.

        Args:
            exclusive: refuse when another live session has this uid in the channel.
            since: the last that the member has from being here before; None when it was not.
            request: the message id of the client's request that this is done for, or 0.

        Raises:
            AlreadyMember: see `exclusive`.
            Unavailable: the session's frontend is not connected.
            TimedOut: the frontend did not follow the order; the join was undone.
        """
        channel = await self._open(name)
        channel.presence.check(uid, ref, exclusive=exclusive)
        if ref in channel.presence.sessions(uid):
            return await self._recovered(self._joined(channel), name, uid, since)
        join = self._joins.begin(channel, uid, ref, exclusive)
        args = (ref.session, name, uid, self._server_id, join.token, request)
        try:
            if not self._cast(ref.frontend, ref.incarnation, "hub.join", args):
                raise Unavailable(f"{ref.frontend} is not connected to {self._server_id}")
            async with asyncio.timeout(self._join_timeout):
                joined = await join.admitted
            return await self._recovered(joined, name, uid, since)
        except BaseException as error:
            self._undo(join)
            if isinstance(error, TimeoutError):
                raise TimedOut(f"{ref.frontend} did not join {name} in time") from None
            raise
        finally:
            self._joins.end(join)

    def on_token(self, token: bytes) -> None:
        """The XPUB shows a token: that frontend has the channel's topic from here on."""
        join = self._joins.get(token)
        if join is None:
            self._links.seen(token)
        elif not join.admitted.done():
            try:
                join.admitted.set_result(self._admit(join))
            except RequestError as error:
                join.admitted.set_exception(error)

    def _admit(self, join: Join) -> Joined:
        channel, uid, ref = join.channel, join.uid, join.ref
        join.entered = ref not in channel.presence.sessions(uid)
        since = self._wall_clock()
        change = channel.presence.join(uid, ref, since=since, exclusive=join.exclusive)
        if change is not None:
            self._tell(channel, change)
        epoch, offset = channel.stream.position
        version = channel.presence.version
        order = (ref.session, channel.name, uid, self._server_id, epoch, offset, version)
        self._cast(ref.frontend, ref.incarnation, "hub.joined", (*order, since, join.exclusive))
        return self._joined(channel)

    async def leave(self, name: str, uid: str, ref: SessionRef) -> None:
        """Take a session out; the others are told at once when it was its member's last."""
        channel = await self._open(name)
        self._cast(ref.frontend, ref.incarnation, "hub.leave", (ref.session, name))
        change = channel.presence.leave(uid, ref)
        if change is not None:
            self._tell(channel, change)
            self._watch(channel)

    def lost(self, name: str, uid: str, ref: SessionRef) -> None:
        """A member's connection closed: the leave is told after the grace."""
        channel = self.channels.get(name)
        if channel is not None:
            channel.presence.lose(uid, ref, self._clock())
            self._watch(channel)

    async def members(self, name: str) -> list[str]:
        """The uids in the channel, in joining order."""
        return (await self._open(name)).presence.uids()

    async def publish(
        self, name: str, route: str, body: bytes, uid: str, cid: str, audience: list[str] | None
    ) -> StreamPosition:
        """Number, journal and publish; returns the publication's place.

        Raises:
            Unavailable: the channel's queue is full, or the journal failed.
            TimedOut: the journal failed, and whether it was written cannot be found out.
            ValueError: it can never be sent, see `Draft`.
        """
        to = None if audience is None else tuple(audience)
        draft = Draft(route, body, uid, cid, to)
        channel = await self._open(name)
        return await self._broker.offer(channel.stream, draft)

    async def history(
        self, name: str, uid: str, before: int | None, after: int | None, limit: int
    ) -> Page:
        """What was said before or after an offset and `uid` may see; at most PAGE at once.

        Args:
            before: page back from here; None pages back from the end, unless `after` is given.
            after: page forward from here.
        """
        await self._open(name)
        limit = max(1, min(limit, PAGE))
        if after is not None:
            return forward(uid, await self._store.read(name, max(after, 0), limit))
        end = _END if before is None else before
        return backward(uid, await self._store.read_back(name, end, limit))

    @property
    def settled(self) -> bool:
        """Whether it speaks for its channels: all frontends have told of their members."""
        return self._settled.is_set()

    @property
    def published(self) -> int:
        """Publications since the start."""
        return self._broker.published

    @property
    def refused(self) -> int:
        """Publications refused because their channel's queue was full."""
        return self._broker.refused

    # For frontends

    async def announce(
        self,
        frontend: str,
        incarnation: str,
        ring: str,
        claims: dict[str, list[Claim]],
        last: bool,
        token: bytes,
        gone: dict[str, list[str]] | None = None,
    ) -> list[Announced]:
        """A frontend tells of its members in our channels, and learns where those stand.

        Channels that are not ours are left out of the answer: the ring will tell the frontend.

        Raises:
            Unavailable: its token did not come: it has no link to our publications yet; or this
                life of it has ended meanwhile.
        """
        self._ended.pop(incarnation, None)
        await self._miss(gone or {})
        channels = []
        for name, members in claims.items():
            if self._ring().owner(name) == self._server_id:
                channel = await self._open(name, settled=False)
                if incarnation in self._ended:
                    raise Unavailable(f"{frontend} is not connected to {self._server_id}")
                self._claim(channel, frontend, incarnation, members)
                channels.append(channel)
        if last:
            self.taking.announced(frontend, ring)
            self.tick()
        await self._links.wait(token)
        return [
            Announced(channel.name, *channel.stream.position, channel.presence.version)
            for channel in channels
        ]

    async def repair(self, name: str, after: int) -> Repaired:
        """What follows offset `after`, for a frontend that has a gap: one page of it."""
        await self._open(name)
        history = await self._store.read(name, after, _REPAIR_PAGE)
        epoch, offset = history.tail
        if not history.publications:
            return Repaired(epoch, offset, offset + 1, [])
        page = first_page(history.publications, _REPAIR_BYTES)
        frame = published(page, epoch, self._framer.dictionary)
        return Repaired(epoch, offset, frame.first, list(frame.items))

    def frontend_lost(self, frontend: str, incarnation: str) -> None:
        """A life of a frontend has ended: its members are lost, its joins come to nothing."""
        self.taking.gone(frontend)
        self._ended[incarnation] = None
        if len(self._ended) > _ENDED_LIMIT:
            del self._ended[next(iter(self._ended))]
        error = Unavailable(f"{frontend} is gone")
        self._joins.fail(lambda join: join.ref.incarnation == incarnation, error)
        now = self._clock()
        for channel in self.channels.values():
            channel.presence.lose_incarnation(incarnation, now)
            if channel.presence.losing:
                self._watch(channel)

    # The life of channels

    def ring_changed(self, frontends: Sequence[str]) -> None:
        """Let go of what is not ours any more; wait for announces of what is ours now."""
        ring = self._ring()
        for name in [name for name in self.channels if ring.owner(name) != self._server_id]:
            self._hand_over(self.channels[name])
        self.taking.begin(ring.tag, frontends, self._clock())
        self._settled.clear()
        self.tick()

    def tick(self) -> None:
        """Do what is due; call it about every 100 ms."""
        now = self._clock()
        self._beat(now)
        if not self._settled.is_set() and self.taking.done(now):
            self._unsettled.clear()
            self._settled.set()
        for channel in list(self._watched.values()):
            for change in channel.presence.expire(now):
                self._tell(channel, change)
            if not channel.presence.losing:
                self._look_at(channel)

    async def close(self) -> None:
        """Finish what is under way. Idempotent."""
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        await self._broker.close()
        await self._store.close()

    async def _open(self, name: str, *, settled: bool = True) -> Channel:
        """The channel, when it is ours; members of a channel just taken are waited for."""
        while True:
            if self._ring().owner(name) != self._server_id:
                raise self._moved(name)
            channel = self.channels.get(name)
            if settled and not self._settled.is_set() and (not channel or name in self._unsettled):
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
        if self._ring().owner(name) != self._server_id:
            self._store.let_go(name, moved=True)
            raise self._moved(name)
        # Frontends may know of an earlier life of this list, with versions up to then.
        presence = Presence(self._grace, int(self._wall_clock() * 1000))
        repeats = Repeats(self._repeat_window, int(self._repeat_age * 1000))
        repeats.add(window.publications)
        stream = Stream(name, position, repeats=repeats)
        channel = self.channels[name] = Channel(stream, presence)
        self._watch(channel)
        if not self._settled.is_set():
            self._unsettled.add(name)
        return channel

    def _watch(self, channel: Channel) -> None:
        self._watched[channel.name] = channel

    def _look_at(self, channel: Channel) -> None:
        """Let go of a channel that nobody needs; its history stays in the store."""
        name = channel.name
        if channel.presence.members:
            del self._watched[name]
        elif channel.idle and not self._joins.wait_in(name):
            self._forget(name, moved=False)

    def _hand_over(self, channel: Channel) -> None:
        """Another worker owns the channel now."""
        error = self._moved(channel.name)
        self._forget(channel.name, moved=True)
        channel.stream.close(error)
        self._joins.fail(lambda join: join.channel is channel, error)

    def _forget(self, name: str, *, moved: bool) -> None:
        del self.channels[name]
        self._watched.pop(name, None)
        self._unsettled.discard(name)
        self._store.let_go(name, moved=moved)

    def _claim(
        self, channel: Channel, frontend: str, incarnation: str, claims: Sequence[Claim]
    ) -> None:
        """Take these members in; of two claims to one name the older wins."""
        for claim in claims:
            ref = SessionRef(frontend, incarnation, claim.session)
            losers = channel.presence.claim(
                claim.uid, ref, since=claim.since, exclusive=claim.exclusive
            )
            for loser in losers:
                self.counters["claims_lost"] += 1
                args = (loser.session, channel.name)
                self._cast(loser.frontend, loser.incarnation, "hub.evict", args)

    async def _miss(self, gone: dict[str, list[str]]) -> None:
        """Members that a frontend lost while another, or a former life of us, owned the channel."""
        for name, uids in gone.items():
            if self._ring().owner(name) != self._server_id:
                continue
            channel = await self._open(name, settled=False)
            if name in self._unsettled:  # else its list was complete when they went
                for uid in uids:
                    channel.presence.miss(uid, self._clock())
                self._watch(channel)

    def _undo(self, join: Join) -> None:
        """Take the session out again, unless it is in, or wants in, by another join as well."""
        name, uid, ref = join.channel.name, join.uid, join.ref
        inside = ref in join.channel.presence.sessions(uid)
        if self._joins.shared(join) or (inside and not join.entered):
            return
        self._cast(ref.frontend, ref.incarnation, "hub.leave", (ref.session, name))
        change = join.channel.presence.leave(uid, ref)
        if change is not None and self.channels.get(name) is join.channel:
            self._tell(join.channel, change)
            self._watch(join.channel)

    def _joined(self, channel: Channel) -> Joined:
        return Joined(channel.stream.position, channel.presence.uids())

    async def _recovered(
        self, joined: Joined, name: str, uid: str, since: StreamPosition | None
    ) -> Joined:
        """With what the member missed before it came in again: the rest it gets live."""
        if since is None:
            return joined
        history = await self._store.read(name, max(since.offset, 0), PAGE)
        missed = recover(uid, since, joined.position, history)
        self.counters["recovered" if missed.recovered else "not_recovered"] += 1
        return Joined(joined.position, joined.members, missed)

    def _moved(self, name: str) -> Moved:
        return Moved(f"{name} is owned elsewhere", owner=self._ring().owner(name) or "")

    def _tell(self, channel: Channel, change: Change) -> None:
        frame = self._framer.presence(channel.stream.position.epoch, change)
        self._publish(channel.name, frame)

    def _published(self, name: str, epoch: str, publications: Sequence[Publication]) -> None:
        self._beats.published(name)
        self._publish(name, self._framer.published(epoch, publications))

    def _position(self, name: str) -> StreamPosition | None:
        channel = self.channels.get(name)
        return channel.stream.position if channel else None

    def _beat(self, now: float) -> None:
        if now >= self._beat_due:
            self._beat_due = now + self._beat_interval
            self._publish(TOPIC, encode_frame(self._beats.make(self._position)))
