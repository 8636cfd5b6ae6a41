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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from zchat.errors import RequestError, TimedOut, Unavailable
from zchat.framework.context import current
from zchat.framework.link_tokens import LinkTokens
from zchat.framework.taking import Taking
from zchat.frontend.resync import Announced, Claim, Repaired
from zchat.rooms.broker import Broker, Stream
from zchat.rooms.channel import Channel, Framer
from zchat.rooms.presence import Change, Member, Presence, SessionRef
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import Store
from zchat.rooms.stream import Draft, Publication, StreamPosition, published

logger = logging.getLogger("zchat.cluster")

MOVED = 307
_REPAIR_PAGE = 500


class Moved(RequestError):
    """This server does not own the channel; `owner` does, as far as it knows."""

    code = MOVED


class Joined(msgspec.Struct, array_like=True, frozen=True):
    """What a join brings."""

    epoch: str
    offset: int
    members: list[str]
    """The uids in the channel, the new one included, in joining order."""


@dataclass(slots=True)
class _Pending:
    """A join whose token has not come yet."""

    channel: Channel
    uid: str
    ref: SessionRef
    exclusive: bool
    admitted: asyncio.Future[Joined]


Cast = Callable[[str, str, str, Sequence[Any]], bool]
"""(frontend id, incarnation, method, args): False when that life of it is not connected."""


class ChannelHost:
    """The channels of one worker.

    Args:
        server_id: this server.
        incarnation: this life of it.
        ring: the ring of now.
        store: the journal.
        framer: builds what is published.
        publish: the XPUB: (topic, payload).
        cast: tells a frontend something.
        grace: seconds between a lost session and its member's leave.
        join_timeout: seconds that a join may take.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        server_id: str,
        incarnation: str,
        ring: Callable[[], Ring],
        store: Store,
        framer: Framer,
        publish: Callable[[str, bytes], None],
        cast: Cast,
        grace: float,
        join_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server_id = server_id
        self._incarnation = incarnation
        self._ring = ring
        self._store = store
        self._framer = framer
        self._publish = publish
        self._cast = cast
        self._grace = grace
        self._join_timeout = join_timeout
        self._clock = clock
        self._broker = Broker(store, self._published, lambda: time.time_ns() // 1_000_000)
        self._opening: dict[str, asyncio.Future[Channel]] = {}
        self._pending: dict[bytes, _Pending] = {}
        self._links = LinkTokens(server_id)
        self._tokens = 0
        self._losing: dict[str, Channel] = {}
        self._settled = asyncio.Event()
        self._unsettled: set[str] = set()  # channels whose members may not all be known yet
        self.taking = Taking()
        self.channels: dict[str, Channel] = {}
        self.counters: Counter[str] = Counter()

    # For members

    async def join(
        self, name: str, uid: str, ref: SessionRef, exclusive: bool, request: int
    ) -> Joined:
        """Make a session a member.

        Args:
            exclusive: refuse when another live session has this uid in the channel.
            request: the message id of the client's request that this is done for, or 0.

        Raises:
            AlreadyMember: see `exclusive`.
            Unavailable: the session's frontend is not connected.
            TimedOut: the frontend did not follow the order; the join was undone.
        """
        channel = await self._open(name)
        presence = channel.presence
        presence.check(uid, ref, exclusive=exclusive)
        if ref in presence.sessions(uid):
            return self._joined(channel)
        self._tokens += 1
        token = f"{self._incarnation}/{self._tokens}".encode()
        future: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()
        self._pending[token] = _Pending(channel, uid, ref, exclusive, future)
        try:
            self._order(ref, "hub.join", (ref.session, name, uid, self._server_id, token, request))
            async with asyncio.timeout(self._join_timeout):
                return await future
        except BaseException as error:
            self._undo(name, uid, ref)
            if isinstance(error, TimeoutError):
                raise TimedOut(f"{ref.frontend} did not join {name} in time") from None
            raise
        finally:
            self._pending.pop(token, None)

    def on_token(self, token: bytes) -> None:
        """The XPUB shows a token: that frontend has the channel's topic from here on."""
        pending = self._pending.get(token)
        if pending is None:
            self._links.seen(token)
            return
        if pending.admitted.done():
            return
        channel, uid, ref = pending.channel, pending.uid, pending.ref
        try:
            if self.channels.get(channel.name) is not channel:
                raise self._moved(channel.name)
            since = time.time()
            change = channel.presence.join(uid, ref, since=since, exclusive=pending.exclusive)
        except RequestError as error:
            pending.admitted.set_exception(error)
            return
        if change is not None:
            self._tell(channel, change)
        epoch, offset = channel.stream.position
        version = channel.presence.version
        order = (ref.session, channel.name, uid, self._server_id, epoch, offset, version)
        self._cast(ref.frontend, ref.incarnation, "hub.joined", (*order, since, pending.exclusive))
        pending.admitted.set_result(self._joined(channel))

    async def leave(self, name: str, uid: str, ref: SessionRef) -> None:
        """Take a session out; the others are told at once when it was its member's last."""
        channel = await self._open(name)
        self._cast(ref.frontend, ref.incarnation, "hub.leave", (ref.session, name))
        change = channel.presence.leave(uid, ref)
        if change is not None:
            self._tell(channel, change)
            self._let_go(channel)

    def lost(self, name: str, uid: str, ref: SessionRef) -> None:
        """A member's connection closed: the leave is told after the grace."""
        channel = self.channels.get(name)
        if channel is not None:
            channel.presence.lose(uid, ref, self._clock())
            self._losing[name] = channel

    async def members(self, name: str) -> list[str]:
        """The uids in the channel, in joining order."""
        return (await self._open(name)).presence.uids()

    async def publish(
        self, name: str, route: str, body: bytes, uid: str, cid: str, audience: list[str] | None
    ) -> StreamPosition:
        """Number, journal and publish; returns the publication's place.

        Raises:
            Unavailable: the channel's queue is full, or the journal failed.
        """
        channel = await self._open(name)
        to = None if audience is None else tuple(audience)
        return await self._broker.offer(channel.stream, Draft(route, body, uid, cid, to))

    @property
    def settled(self) -> bool:
        """Whether it speaks for its channels: all frontends have told of their members."""
        return self._settled.is_set()

    @property
    def published(self) -> int:
        """Publications since the start."""
        return self._broker.published

    # For frontends

    async def announce(
        self,
        frontend: str,
        incarnation: str,
        ring: str,
        claims: dict[str, list[Claim]],
        last: bool,
        token: bytes,
    ) -> list[Announced]:
        """A frontend tells of its members in our channels, and learns where those stand.

        Channels that are not ours are left out of the answer: the ring will tell the frontend.

        Raises:
            Unavailable: its token did not come: it has no link to our publications yet.
        """
        channels = [
            await self._claimed(name, frontend, incarnation, members)
            for name, members in claims.items()
            if self._ring().owner(name) == self._server_id
        ]
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
        frame = published(history.publications, epoch, self._framer.dictionary)
        return Repaired(epoch, offset, frame.first, list(frame.items))

    def frontend_lost(self, frontend: str, incarnation: str) -> None:
        """A life of a frontend has ended: its members are lost."""
        self.taking.gone(frontend)
        now = self._clock()
        for channel in self.channels.values():
            channel.presence.lose_incarnation(incarnation, now)
            self._losing[channel.name] = channel

    # The life of channels

    def ring_changed(self, frontends: Sequence[str]) -> None:
        """Let go of what is not ours any more; wait for announces of what is ours now."""
        ring = self._ring()
        for name in [name for name in self.channels if ring.owner(name) != self._server_id]:
            channel = self.channels.pop(name)
            self._losing.pop(name, None)
            self._store.let_go(name)
            channel.stream.fail(self._moved(name))
        self.taking.begin(ring.tag, frontends, self._clock())
        self._settled.clear()
        self.tick()

    def tick(self) -> None:
        """Do what is due; call it about every 100 ms."""
        now = self._clock()
        if not self._settled.is_set() and self.taking.done(now):
            self._unsettled.clear()
            self._settled.set()
        for name, channel in list(self._losing.items()):
            for change in channel.presence.expire(now):
                self._tell(channel, change)
            if not channel.presence.losing:
                del self._losing[name]
                self._let_go(channel)

    async def close(self) -> None:
        """Finish what is under way. Idempotent."""
        await self._broker.close()
        await self._store.close()

    async def _open(self, name: str, *, settled: bool = True) -> Channel:
        """The channel, when it is ours; members of a channel just taken are waited for."""
        channel = self.channels.get(name)
        if channel is not None and not (settled and name in self._unsettled):
            return channel
        if self._ring().owner(name) != self._server_id:
            raise self._moved(name)
        if settled and not self._settled.is_set():
            await self._settled.wait()
            return await self._open(name, settled=False)
        opening = self._opening.get(name)
        if opening is None:
            opening = self._opening[name] = asyncio.ensure_future(self._take(name))
            opening.add_done_callback(lambda _: self._opening.pop(name, None))
        return await asyncio.shield(opening)

    async def _take(self, name: str) -> Channel:
        stream = Stream(name, await self._store.open(name))
        channel = self.channels[name] = Channel(stream, Presence(self._grace))
        if not self._settled.is_set():
            self._unsettled.add(name)
        return channel

    def _let_go(self, channel: Channel) -> None:
        """Forget a channel that has nobody in it; its history stays in the store."""
        if channel.idle and not any(p.channel is channel for p in self._pending.values()):
            self.channels.pop(channel.name, None)

    async def _claimed(
        self, name: str, frontend: str, incarnation: str, members: list[Claim]
    ) -> Channel:
        """The channel with these members in it; of two claims to one name the older wins."""
        channel = await self._open(name, settled=False)
        for claim in members:
            member = Member(claim.uid, claim.since, claim.exclusive)
            member.sessions.add(SessionRef(frontend, incarnation, claim.session))
            for ref in channel.presence.claim(member):
                self.counters["claims_lost"] += 1
                self._cast(ref.frontend, ref.incarnation, "hub.evict", (ref.session, name))
        return channel

    def _undo(self, name: str, uid: str, ref: SessionRef) -> None:
        self._cast(ref.frontend, ref.incarnation, "hub.leave", (ref.session, name))
        channel = self.channels.get(name)
        change = channel.presence.leave(uid, ref) if channel else None
        if channel is not None and change is not None:
            self._tell(channel, change)
            self._let_go(channel)

    def _order(self, ref: SessionRef, method: str, args: Sequence[Any]) -> None:
        if not self._cast(ref.frontend, ref.incarnation, method, args):
            raise Unavailable(f"{ref.frontend} is not connected to {self._server_id}")

    def _joined(self, channel: Channel) -> Joined:
        epoch, offset = channel.stream.position
        return Joined(epoch, offset, channel.presence.uids())

    def _moved(self, name: str) -> Moved:
        return Moved(f"{name} is owned elsewhere", owner=self._ring().owner(name) or "")

    def _tell(self, channel: Channel, change: Change) -> None:
        frame = self._framer.presence(channel.stream.position.epoch, change)
        self._publish(channel.name, frame)

    def _published(self, name: str, epoch: str, publications: Sequence[Publication]) -> None:
        self._publish(name, self._framer.published(epoch, publications))


def request_of(ref: SessionRef) -> int:
    """The client's message id, when the work of now is done for a request of this session."""
    origin = current.get()
    same = origin.frontend == ref.frontend and origin.session == ref.session
    return origin.request if same else 0
