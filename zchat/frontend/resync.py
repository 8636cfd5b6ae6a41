"""Keeps this frontend's channels and their owners agreed.

Each time a link to an owner comes up, or the ring changes, the frontend *announces*: it tells each
owner which members it has in that owner's channels, and learns where those channels stand. With the
announce goes a token through the subscriptions' pipe: the owner answers when its XPUB has shown it,
so that whatever is published past the answered positions reaches us. A gap is *fetched* from the
owner's history, and a roster that is behind is *compared* with the owner's member list. All are
retried for as long as the owner is meant.
"""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import Semaphore
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Protocol

from zchat.errors import ClusterError, ZchatError
from zchat.frontend.answers import Announced, Claim, Compared, Repaired, read
from zchat.frontend.hub import Hub
from zchat.frontend.local_channel import LocalChannel
from zchat.frontend.losses import Cast, Losses
from zchat.frontend.session import Membership, SessionTable
from zchat.rooms.beat import BeatWatch
from zchat.rooms.follower import Run
from zchat.rooms.ring import Ring
from zchat.rooms.stream import Beat, StreamPosition, decode_frame

logger = logging.getLogger("zchat.cluster")

_CHUNK = 500
_RETRY = 0.1
_COMPARES = 8


class Call(Protocol):
    """An RPC to a server by id; raises a ZchatError when there is no good answer."""

    def __call__(self, server: str, method: str, args: Sequence[Any], /) -> Awaitable[Any]: ...


class Resync:
    """Announces, fetches, compares, and tells of losses.

    At most 8 rosters are compared with one owner at a time; the others wait, one per channel. What
    waits for an owner that cannot be told of a loss is bounded in `Losses`.

    Args:
        hub: the channels here.
        sessions: the sessions here.
        send_token: down the subscriptions' pipe, to all owners.
        call: RPC to a server.
        cast: tells a server something.
        ring: the ring of now.
        beat: seconds between two beats of an owner.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        hub: Hub,
        sessions: SessionTable,
        send_token: Callable[[bytes], None],
        call: Call,
        cast: Cast,
        ring: Callable[[], Ring],
        *,
        beat: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._beats = BeatWatch(beat)
        self._hub = hub
        self._sessions = sessions
        self._send_token = send_token
        self._call = call
        self._ring = ring
        self._tokens = 0
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._announcing: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._compares: dict[str, Semaphore] = {}
        self.counters: Counter[str] = Counter()
        self._losses = Losses(sessions, cast, self.counters, clock)

    def announce(self, owner: str, *, restarted: bool = False) -> None:
        """Tell `owner` of its members here, even when there are none: it waits for our word.

        Args:
            restarted: the owner is a new process, so its numbering may be a new one.
        """
        if restarted:
            self._hub.abandon(owner)
        for local in self._owned(owner):
            if restarted or local.owner != owner:
                self._hub.unsettle(local)
        self._stop_announcing(owner)
        task = self._start(self._announce(owner), f"announce to {owner}")
        if task is not None:
            self._announcing[owner] = task

    def forget(self, owner: str) -> None:
        """The server is gone: stop telling it. What it owned waits for its next owner."""
        self._stop_announcing(owner)
        self._losses.forget(owner)
        self._compares.pop(owner, None)
        self._hub.abandon(owner)

    def came_in(self, channel: str, owner: str, epoch: str) -> None:
        """`owner` admitted a member. If the channel has moved on by now, its owner is told too."""
        now = self._ring().owner(channel)
        position = self._hub.channels[channel].follower.position
        if now is None or (now == owner and position is not None and position.epoch == epoch):
            return
        if now in self._announcing:
            self._again.add(now)  # one more, and not a new one: joins would keep it from its end
        else:
            self.announce(now)

    def lost(self, membership: Membership, owner: str) -> None:
        """A member's session closed: its owner is told, now or as soon as it can be."""
        channel, ring = membership.channel, self._ring()
        for server in {owner, ring.owner(channel) or owner} & ring.workers:
            self.gone(server, channel, membership.uid, membership.session.id, membership.order)

    def gone(self, owner: str, channel: str, uid: str, session: int, order: bytes) -> None:
        """That session is not (or not any more) in a channel of `owner`; told once it can be.

        Args:
            order: the token of the last order by which it was: a later one is not meant.
        """
        self._losses.add(owner, channel, uid, session, order)

    def on_beat(self, payload: bytes) -> None:
        """An owner says where its channels stand: what has not come from there is fetched."""
        try:
            beat = decode_frame(payload)
        except ClusterError as error:
            self.counters["bad_beats"] += 1
            logger.warning("beat: %s", error)
            return
        if not isinstance(beat, Beat):
            self.counters["bad_beats"] += 1
            return
        missed = self._beats.take(beat, self._clock())
        for channel, epoch, offset, version in beat.positions:
            local = self._hub.channels.get(channel)
            if local is not None and local.owner == beat.owner:
                local.follower.hear(StreamPosition(epoch, offset))
                local.roster.hear(version)
                self._hub.mend(local)
        if missed:
            self.counters["beats_missed"] += 1
            self._ask(beat.owner)

    def watch(self, owners: Iterable[str]) -> None:
        """Ask those of `owners` whose beats stay away; call it now and then."""
        for owner in self._beats.silent(owners, self._clock()):
            self.counters["beats_missed"] += 1
            self._ask(owner)

    def _ask(self, owner: str) -> None:
        """Announce, which is answered with all positions, unless that is under way."""
        if owner in self._ring().workers and owner not in self._announcing:
            self.announce(owner)

    def fetch(self, local: LocalChannel) -> None:
        """Fill the gap of a channel; does nothing while that is under way."""
        if not local.fetching:
            local.fetching = self._start(self._fetch(local), f"fetch {local.name}") is not None

    def compare(self, local: LocalChannel) -> None:
        """Bring a channel's roster to its owner's list; does nothing while that is under way."""
        if not local.comparing:
            started = self._start(self._compare(local), f"compare {local.name}")
            local.comparing = started is not None

    async def close(self) -> None:
        """Stop what is under way; nothing begins any more. Idempotent."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        if self._closed:
            work.close()
            return None
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _stop_announcing(self, owner: str) -> None:
        self._again.discard(owner)
        running = self._announcing.pop(owner, None)
        if running is not None:
            running.cancel()

    def _owned(self, owner: str) -> list[LocalChannel]:
        ring = self._ring()
        return [local for local in self._hub.channels.values() if ring.owner(local.name) == owner]

    # Announces

    async def _announce(self, owner: str) -> None:
        again = True
        while again:
            self._again.discard(owner)
            chunks = list(_chunks(self._owned(owner)))
            for index, chunk in enumerate(chunks):
                await self._tell(owner, chunk, last=index == len(chunks) - 1)
            self._losses.repeat(owner)
            again = owner in self._again
        del self._announcing[owner]

    async def _tell(self, owner: str, chunk: Sequence[LocalChannel], *, last: bool) -> None:
        """One announce, until it is answered: the caller is cancelled when it is pointless."""
        level = logging.INFO
        while True:
            claims = {local.name: _claims(local) for local in chunk}
            token = self._token(owner)
            me = (self._sessions.frontend, self._sessions.incarnation)
            args = (*me, self._ring().tag, claims, last, token)
            self._send_token(token)
            self._losses.claimed(owner, (member for local in chunk for member in _admitted(local)))
            try:
                raw = await self._call(owner, "channel.announce", args)
                answers = read(raw, list[Announced])
            except ZchatError as error:
                logger.log(level, "announce to %s: %s; trying on", owner, error)
                level = logging.DEBUG
                await asyncio.sleep(_RETRY)
                continue
            for answer in answers:
                self._place(owner, answer)
            return

    def _token(self, owner: str) -> bytes:
        self._tokens += 1
        return f"{owner}/{self._sessions.incarnation}/{self._tokens}".encode()

    def _place(self, owner: str, answer: Announced) -> None:
        local = self._hub.channels.get(answer.channel)
        if local is not None and self._ring().owner(answer.channel) == owner:
            if local.owner != owner:
                self._hub.unsettle(local)
                local.owner = owner
            position = StreamPosition(answer.epoch, answer.offset)
            self._hub.place(local, position, answer.version)

    # Fetches and comparisons

    async def _fetch(self, local: LocalChannel) -> None:
        level = logging.INFO
        try:
            while local.follower.missing and self._hub.channels.get(local.name) is local:
                try:
                    await self._fetch_page(local)
                except ZchatError as error:
                    level = _trying_on(level, "repair", local, error)
                    await asyncio.sleep(_RETRY)
        finally:
            local.fetching = False

    async def _fetch_page(self, local: LocalChannel) -> None:
        owner, position = local.owner, local.follower.position
        assert position is not None, "what is missing has a place"
        raw = await self._call(owner, "channel.repair", (local.name, position.offset))
        page = read(raw, Repaired)
        now = local.follower.position
        if now is None or now.epoch != position.epoch or local.owner != owner:
            return  # the channel moves, or has: who owns it now says where it stands
        tail = StreamPosition(page.epoch, page.offset)
        if tail.epoch != position.epoch:
            self._hub.place(local, tail)
            return
        self._hub.publications.repair(local, tail, Run(page.first, page.items))
        self.counters["repaired"] += len(page.items)
        if local.follower.position == position:
            await asyncio.sleep(_RETRY)  # the owner has not got there yet

    async def _compare(self, local: LocalChannel) -> None:
        level = logging.INFO
        try:
            while self._is_behind(local):
                try:
                    async with self._compares.setdefault(local.owner, Semaphore(_COMPARES)):
                        await self._compare_once(local)
                except ZchatError as error:
                    level = _trying_on(level, "member list", local, error)
                if self._is_behind(local):
                    await asyncio.sleep(_RETRY)
        finally:
            local.comparing = False

    def _is_behind(self, local: LocalChannel) -> bool:
        """False too while it is unplaced: what places it compares it then."""
        return local.is_behind and self._hub.channels.get(local.name) is local

    async def _compare_once(self, local: LocalChannel, *, whole: bool = False) -> None:
        """By the version of the roster; with all of it when its owner cannot tell by that."""
        if not self._is_behind(local):
            return  # it was its turn only now
        owner, roster = local.owner, local.roster
        asked, heard = roster.version, roster.heard
        uids = list(roster.uids) if whole or not asked else None
        args = (local.name, asked, uids, list(local.doubtful))
        answer = read(await self._call(owner, "channel.compare", args), Compared)
        if answer.unknown:
            await self._compare_once(local, whole=True)
            return
        position = local.follower.position
        if position is None or local.owner != owner or answer.epoch != position.epoch:
            return  # the channel moves, or begins anew
        self._hub.rosters.compared(local, answer.version, answer.changes, asked, heard)
        self.counters["compared"] += 1
        self.counters["changes_compared"] += len(answer.changes)


def _trying_on(level: int, what: str, local: LocalChannel, error: ZchatError) -> int:
    """Log it; returns the level for the next time."""
    logger.log(level, "%s of %s from %s: %s; trying on", what, local.name, local.owner, error)
    return logging.DEBUG


def _chunks(channels: Sequence[LocalChannel]) -> Iterator[Sequence[LocalChannel]]:
    """Slices of at most 500 channels; one empty slice when there are none."""
    for start in range(0, len(channels) or 1, _CHUNK):
        yield channels[start : start + _CHUNK]


def _admitted(local: LocalChannel) -> Iterator[Membership]:
    """Its members: who still waits for its token is joined by its own request."""
    return (member for member in local.memberships if member.position is not None)


def _claims(local: LocalChannel) -> list[Claim]:
    return [
        Claim(member.uid, member.session.id, member.since, member.exclusive, member.resume)
        for member in _admitted(local)
    ]
