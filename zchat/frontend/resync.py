"""Keeps this frontend's channels and their owners agreed.

Each time a link to an owner comes up, or the ring changes, the frontend *announces*: it tells each
owner which members it has in that owner's channels, and learns where those channels stand. With the
announce goes a token through the subscriptions' pipe: the owner answers when its XPUB has shown it,
so that whatever is published past the answered positions reaches us. A gap is *fetched* from the
owner's history. Both are retried for as long as the owner is meant.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from zchat.errors import ClusterError, ZchatError
from zchat.frontend.hub import Hub, LocalChannel
from zchat.frontend.session import Membership, SessionTable
from zchat.rooms.beat import BeatWatch
from zchat.rooms.follower import Run
from zchat.rooms.ring import Ring
from zchat.rooms.stream import Beat, Item, StreamPosition, decode_frame

logger = logging.getLogger("zchat.cluster")

_CHUNK = 500
_RETRY = 0.1
_RECENT = 30.0
"""Seconds for which a member's going may be news to a new owner of its channel."""
_UNTOLD_LIMIT = 10_000

T = TypeVar("T")


class Claim(msgspec.Struct, array_like=True, gc=False):
    """One member here, as its owner is told."""

    uid: str
    session: int
    since: float
    exclusive: bool


class Announced(msgspec.Struct, array_like=True, gc=False):
    """What an owner answers for one channel."""

    channel: str
    epoch: str
    offset: int
    version: int


class Repaired(msgspec.Struct, array_like=True, gc=False):
    """Fetched publications: `items` begin at `first`, the channel ends at `epoch`, `offset`."""

    epoch: str
    offset: int
    first: int
    items: list[Item]


class Call(Protocol):
    """An RPC to a server by id; raises a ZchatError when there is no good answer."""

    def __call__(self, server: str, method: str, args: Sequence[Any], /) -> Awaitable[Any]: ...


Cast = Callable[[str, str, Sequence[Any]], bool]
"""(server, method, args): tells a server something; False when it cannot be told now."""


class Resync:
    """Announces, fetches, and tells of losses.

    When full (10,000 losses wait for an owner that cannot be told), further ones are dropped and
    counted in `losses_dropped`; their members stay until this process or the owner ends.

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
        self._cast = cast
        self._ring = ring
        self._tokens = 0
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._announcing: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._untold: dict[str, list[tuple[str, str, int]]] = {}  # channel, uid, session
        # Members that went lately: (when, channel, uid). A new owner cannot know of them. When full
        # the oldest is forgotten.
        self._recent: deque[tuple[float, str, str]] = deque(maxlen=_UNTOLD_LIMIT)
        self.counters: Counter[str] = Counter()

    def announce(self, owner: str, *, restarted: bool = False) -> None:
        """Tell `owner` of its members here, even when there are none: it waits for our word.

        Args:
            restarted: the owner is a new process, so its numbering may be a new one.
        """
        if restarted:
            self._hub.abandon(owner)
        for local in self._owned(owner):
            if restarted or local.owner != owner:
                local.follower.unplace()
        self._stop_announcing(owner)
        task = self._start(self._announce(owner), f"announce to {owner}")
        if task is not None:
            self._announcing[owner] = task

    def forget(self, owner: str) -> None:
        """The server is gone: stop telling it. What it owned waits for its next owner."""
        self._stop_announcing(owner)
        self._untold.pop(owner, None)
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
        if membership.position is not None:
            self._recent.append((self._clock(), channel, membership.uid))
        for server in {owner, ring.owner(channel) or owner} & ring.workers:
            self.gone(server, channel, membership.uid, membership.session.id)

    def gone(self, owner: str, channel: str, uid: str, session: int) -> None:
        """That session is not (or not any more) in a channel of `owner`; told once it can be."""
        ref = (self._sessions.frontend, self._sessions.incarnation, session)
        if self._cast(owner, "channel.lost", (channel, uid, ref)):
            return
        untold = self._untold.setdefault(owner, [])
        if len(untold) < _UNTOLD_LIMIT:
            untold.append((channel, uid, session))
        else:
            self.counters["losses_dropped"] += 1

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
        for channel, epoch, offset in beat.positions:
            local = self._hub.channels.get(channel)
            if local is not None and local.owner == beat.owner:
                local.follower.hear(StreamPosition(epoch, offset))
                if local.follower.missing:
                    self.fetch(local)
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
            for loss in self._untold.pop(owner, ()):
                self.gone(owner, *loss)
            again = owner in self._again
        del self._announcing[owner]

    async def _tell(self, owner: str, chunk: Sequence[LocalChannel], *, last: bool) -> None:
        """One announce, until it is answered: the caller is cancelled when it is pointless."""
        level = logging.INFO
        while True:
            claims = {local.name: _claims(local) for local in chunk}
            token = self._token(owner)
            me = (self._sessions.frontend, self._sessions.incarnation)
            gone = self._gone_from(owner) if last else {}
            args = (*me, self._ring().tag, claims, last, token, gone)
            self._send_token(token)
            try:
                raw = await self._call(owner, "channel.announce", args)
                answers = _read(raw, list[Announced])
            except ZchatError as error:
                logger.log(level, "announce to %s: %s; trying on", owner, error)
                level = logging.DEBUG
                await asyncio.sleep(_RETRY)
                continue
            self._take_back(owner, claims)
            for answer in answers:
                self._place(owner, answer)
            return

    def _gone_from(self, owner: str) -> dict[str, list[str]]:
        """Who went lately from this owner's channels, and is not here with another session."""
        since, ring = self._clock() - _RECENT, self._ring()
        gone: dict[str, list[str]] = {}
        for when, channel, uid in self._recent:
            if when >= since and ring.owner(channel) == owner and not self._has(channel, uid):
                gone.setdefault(channel, []).append(uid)
        return gone

    def _has(self, channel: str, uid: str) -> bool:
        local = self._hub.channels.get(channel)
        return local is not None and any(member.uid == uid for member in local.memberships)

    def _token(self, owner: str) -> bytes:
        self._tokens += 1
        return f"{owner}/{self._sessions.incarnation}/{self._tokens}".encode()

    def _place(self, owner: str, answer: Announced) -> None:
        local = self._hub.channels.get(answer.channel)
        if local is not None and self._ring().owner(answer.channel) == owner:
            local.owner = owner
            self._hub.place(local, StreamPosition(answer.epoch, answer.offset))

    def _take_back(self, owner: str, claims: dict[str, list[Claim]]) -> None:
        """Members that went while they were being claimed; their loss may have come first."""
        for channel, members in claims.items():
            for claim in members:
                session = self._sessions.get(claim.session)
                if session is None or channel not in (session.memberships or {}):
                    self.gone(owner, channel, claim.uid, claim.session)

    # Fetches

    async def _fetch(self, local: LocalChannel) -> None:
        level = logging.INFO
        try:
            while local.follower.missing and self._hub.channels.get(local.name) is local:
                try:
                    await self._fetch_page(local)
                except ZchatError as error:
                    text = "repair of %s from %s: %s; trying on"
                    logger.log(level, text, local.name, local.owner, error)
                    level = logging.DEBUG
                    await asyncio.sleep(_RETRY)
        finally:
            local.fetching = False

    async def _fetch_page(self, local: LocalChannel) -> None:
        owner, position = local.owner, local.follower.position
        assert position is not None, "what is missing has a place"
        raw = await self._call(owner, "channel.repair", (local.name, position.offset))
        page = _read(raw, Repaired)
        if local.follower.position is None or local.owner != owner:
            return  # the channel moves: its next owner says where it stands
        tail = StreamPosition(page.epoch, page.offset)
        if tail.epoch != position.epoch:
            self._hub.place(local, tail)
            return
        self._hub.repair(local, tail, Run(page.first, page.items))
        self.counters["repaired"] += len(page.items)
        if local.follower.position == position:
            await asyncio.sleep(_RETRY)  # the owner has not got there yet


def _read(raw: object, kind: type[T]) -> T:
    """What a peer answered, which may be another version of us."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise ClusterError(f"unreadable answer: {error}") from None


def _chunks(channels: Sequence[LocalChannel]) -> Iterator[Sequence[LocalChannel]]:
    """Slices of at most 500 channels; one empty slice when there are none."""
    for start in range(0, len(channels) or 1, _CHUNK):
        yield channels[start : start + _CHUNK]


def _claims(local: LocalChannel) -> list[Claim]:
    """The admitted members: who still waits for its token is joined by its own request."""
    return [
        Claim(member.uid, member.session.id, member.since, member.exclusive)
        for member in local.memberships
        if member.position is not None
    ]
