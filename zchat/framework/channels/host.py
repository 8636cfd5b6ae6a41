"""The owner's side of channels: what a worker does for the ones that are its own.

Its methods may be called from any server; `Moved` tells the caller to ask another one.

    Admission      who comes in and goes
    Frontends      what frontends say of their members, and what they lack
    OwnedChannels  the channels themselves: opened, known in full, let go
    Voice          what all frontends are told
    Broker         publications: numbered, journalled, published
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence

from zchat.framework.channels.admission import Admission, Cast
from zchat.framework.channels.frontends import Frontends
from zchat.framework.channels.joins import Joins
from zchat.framework.channels.owned_channels import OwnedChannels
from zchat.framework.channels.readable import Readable
from zchat.framework.channels.voice import Voice
from zchat.rooms.beat import BeatMaker
from zchat.rooms.broker import Broker
from zchat.rooms.channel import Channel, Framer
from zchat.rooms.presence import SessionRef
from zchat.rooms.recovery import PAGE, Page, backward, forward
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import Store
from zchat.rooms.stream import Draft, StreamPosition

_END = 2**53
"""Past every offset."""


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
        moment: seconds for which changes of members wait to be told together, see `Voice`.
        repeat_window: publications per channel among which a repeated one is recognized.
        repeat_age: seconds during which it is.
        clock: monotonic seconds.
        wall_clock: seconds since 1970.
        new_token: makes a token's secret: ASCII, and nobody can guess it.
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
        moment: float = 0.05,
        repeat_window: int = 1000,
        repeat_age: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        new_token: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._store = store
        self._journal = Readable(store)
        joins = Joins(incarnation)
        self._voice = Voice(framer, publish, BeatMaker(server_id, incarnation), beat, clock, moment)
        self._owned = OwnedChannels(
            server_id,
            ring,
            store,
            joins,
            grace=grace,
            repeat_window=repeat_window,
            repeat_age=repeat_age,
            clock=clock,
            wall_clock=wall_clock,
        )
        self._admission = Admission(
            server_id,
            self._owned,
            joins,
            self._voice,
            cast,
            self._journal,
            timeout=join_timeout,
            clock=clock,
            wall_clock=wall_clock,
            new_token=new_token,
        )
        self._frontends = Frontends(
            server_id, self._owned, self._admission, self._voice, self._journal, clock, wall_clock
        )
        self._broker = Broker(
            store,
            self._voice.published,
            lambda: int(wall_clock() * 1000),
            lambda: ring().generation,
            learn_ring,
        )
        self._clock = clock
        # What other servers call, besides `members`, `publish` and `history`.
        self.join = self._admission.join
        self.leave = self._admission.leave
        self.destroy = self._admission.destroy
        self.lost = self._admission.lost
        self.refused = joins.fail_order
        self.announce = self._frontends.announce
        self.repair = self._frontends.repair
        self.compare = self._frontends.compare

    def on_token(self, token: bytes) -> None:
        """The XPUB shows a token: publications reach that frontend from here on."""
        if not self._admission.on_token(token):
            self._frontends.links.seen(token)

    async def members(self, name: str) -> list[str]:
        """The uids in the channel, in joining order."""
        return (await self._owned.open(name)).presence.uids()

    async def count(self, name: str) -> int:
        """How many members there are."""
        return len((await self._owned.open(name)).presence.members)

    async def sessions(self, name: str, uid: str) -> list[SessionRef]:
        """Those of a member."""
        return sorted((await self._owned.open(name)).presence.sessions(uid))

    async def push(self, name: str, package: bytes, to: list[str] | None) -> list[str]:
        """Send a push to the members, or to those of `to`; returns those who are none."""
        channel = await self._owned.open(name)
        self._voice.push(channel, package, to)
        return [uid for uid in to or () if uid not in channel.presence.members]

    async def publish(
        self,
        name: str,
        route: str,
        body: bytes,
        uid: str,
        cid: str,
        audience: list[str] | None,
        members_only: bool,
    ) -> StreamPosition:
        """Number, journal and publish; returns the publication's place.

        Args:
            members_only: refuse when one of the audience is no member now. What was published
                before has its place all the same, whoever has gone since.

        Raises:
            NotMember: see `members_only`.
            Unavailable: the channel's queue is full, or the journal failed.
            TimedOut: the journal failed, and whether it was written cannot be found out.
            ValueError: it can never be sent, see `Draft`; or it does not fit the route's schema.
        """
        draft = Draft(route, body, uid, cid, None if audience is None else tuple(audience))
        self._voice.framer.check(route, body)
        return await self.offer(name, draft, members_only)

    def offer(self, name: str, draft: Draft, members_only: bool) -> Awaitable[StreamPosition]:
        """Like `publish`, for a draft that fits its route's schema.

        It is queued when this returns, unless the channel has to be waited for. What it raises may
        come here or when it is awaited, which the caller does in any case.
        """
        channel = self._owned.at_once(name)
        if channel is None:
            return self._offer_in_turn(name, draft, members_only)
        return self._offer(channel, draft, members_only)

    async def _offer_in_turn(self, name: str, draft: Draft, members_only: bool) -> StreamPosition:
        return await self._offer(await self._owned.in_turn(name), draft, members_only)

    def _offer(
        self, channel: Channel, draft: Draft, members_only: bool
    ) -> Awaitable[StreamPosition]:
        to = draft.audience
        if members_only and to and not self._broker.knows(channel.stream, draft):
            channel.presence.expect(to)
        return self._broker.offer(channel.stream, draft)

    async def history(
        self, name: str, uid: str, before: int | None, after: int | None, limit: int
    ) -> Page:
        """What was said before or after an offset and `uid` may see; at most PAGE at once.

        Args:
            before: page back from here; None pages back from the end, unless `after` is given.
            after: page forward from here.
        """
        await self._owned.open(name)
        limit = max(1, min(limit, PAGE))
        if after is not None:
            after = max(after, 0)
            return forward(uid, after, await self._journal.read(name, after, limit))
        end = _END if before is None else before
        return backward(uid, await self._journal.read_back(name, end, limit))

    @property
    def channels(self) -> dict[str, Channel]:
        """The channels that are open here."""
        return self._owned.table

    @property
    def settled(self) -> bool:
        """Whether it speaks for its channels: all frontends have told of their members."""
        return self._owned.settled

    @property
    def published(self) -> int:
        """Publications since the start."""
        return self._broker.published

    @property
    def counts(self) -> dict[str, int]:
        """All that was counted since the start, by the names that operators see."""
        return {
            **self._admission.counters,
            "publications_refused": self._broker.refused,
            "publications_repeated": self._broker.repeated,
            "appends_fenced": self._broker.fenced,
            "turns_refused": self._owned.turns.refused,
            "link_tokens_forgotten": self._frontends.links.forgotten,
        }

    def frontend_lost(self, frontend: str, incarnation: str) -> None:
        """A life of a frontend has ended."""
        self._frontends.lost(frontend, incarnation)

    def ring_changed(self, frontends: Sequence[str]) -> None:
        """Let go of what is not ours any more; wait for announces of what is ours now.

        Args:
            frontends: those whose announces are waited for.
        """
        self._owned.ring_changed(frontends)
        self._admission.ring_changed()
        self.tick()

    def tick(self) -> None:
        """Do what is due; call it at least twice a second."""
        self._owned.settle()
        for channel, change in self._owned.expire():
            self._voice.tell(channel, change)
        self._voice.tick(self._owned.stand)

    async def close(self) -> None:
        """Finish what is under way. Idempotent."""
        await self._owned.close()
        await self._broker.close()
        await self._store.close()
