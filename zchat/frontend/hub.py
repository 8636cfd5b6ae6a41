"""The hub: from one frame per channel to the sockets of its members on this frontend.

    subscriber -> follower (order) -> channel (who, held or live) -> outboxes (one write per turn)

Owners order joins and leaves; the hub subscribes, sends the owner's token down the same pipe, and
holds what is published from that moment for the newcomer. `joined` says from where it is a member;
with the answer to its request written, it goes live from exactly there.

Frames of one drain are joined once per channel and handed to every live member as one piece.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from zchat.cluster.subscriber import Subscriber
from zchat.errors import ClusterError
from zchat.frontend.disconnect import SLOW_READER
from zchat.frontend.frames import frame
from zchat.frontend.session import Held, Membership, Session
from zchat.rooms.follower import Follower, Run
from zchat.rooms.stream import PresenceChange, Published, StreamPosition, decode_frame

logger = logging.getLogger("zchat.session")

_EARLY_LIMIT = 1000

Wanted = Callable[[Membership], bool]
"""Says whether a frame is for a member; None stands for everybody."""


class LocalChannel:
    """A channel that has members on this frontend."""

    __slots__ = (
        "early",
        "fetching",
        "follower",
        "joining",
        "live",
        "name",
        "out",
        "owner",
        "placed",
        "told",
    )

    def __init__(self, name: str, owner: str) -> None:
        self.name = name
        self.owner = owner
        """The server that the channel was met at, or that answered the last announce."""
        self.follower = Follower()
        self.placed = False
        """Whether it has had a place, even if it waits for the next one now."""
        self.told = ("", 0)
        """Epoch and version of the member list's change that was told last."""
        self.live: dict[int, Membership] = {}
        self.joining: dict[int, Membership] = {}
        self.early: list[PresenceChange] = []
        """Changes that came while this channel had no place. When full (1,000), further ones are
        dropped and counted in `early_full`."""
        self.out: list[tuple[bytes, Wanted | None]] = []
        """Frames of this turn, and for which of the live members each is."""
        self.fetching = False

    @property
    def memberships(self) -> list[Membership]:
        """All of them, joining ones first."""
        return [*self.joining.values(), *self.live.values()]


class Hub:
    """This frontend's table of channels.

    Walking over members while sending to them is safe: a connection that is cut off meanwhile
    tells of it in a later turn of the loop (see `Connections`), so no table changes under us.

    Args:
        subscriber: the XSUB that channels come in on.
        fetch: called with a channel while a gap is to be fetched from its owner; again and again.
        lost: called with a membership whose session has closed, and the channel's owner.
        hold_limit: bytes held per joining member. When full, its connection is cut off as a slow
            reader and counted in `hold_full`.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        fetch: Callable[[LocalChannel], None],
        lost: Callable[[Membership, str], None],
        *,
        hold_limit: int = 1 << 20,
    ) -> None:
        self._subscriber = subscriber
        self._fetch = fetch
        self._lost = lost
        self._hold_limit = hold_limit
        self._dirty: list[LocalChannel] = []
        self.channels: dict[str, LocalChannel] = {}
        self.counters: Counter[str] = Counter()

    # Orders of the owner

    def join(
        self, session: Session, channel: str, uid: str, owner: str, token: bytes, origin: int
    ) -> None:
        """The owner wants this session in: subscribe, send its token, hold from now on.

        A session has one uid in a channel: under another one it comes in as somebody new.
        """
        membership = (session.memberships or {}).get(channel)
        if membership is not None and membership.uid != uid:
            self._lost(membership, owner)
            self.leave(session, channel)
            membership = None
        if membership is None:
            membership = self._enter(session, channel, uid, owner, origin)
        membership.owner = owner
        membership.token = token
        self._subscriber.send_token(token)

    def joined(
        self,
        session: Session,
        channel: str,
        position: StreamPosition,
        version: int,
        since: float,
        exclusive: bool,
    ) -> bool:
        """The owner admitted this session; it is a member from after `position` on.

        Returns:
            False when it left, or its connection closed, while the order was under way.
        """
        membership = (session.memberships or {}).get(channel)
        if membership is None:
            return False
        local = self.channels[channel]
        membership.token = b""
        membership.since = since
        membership.exclusive = exclusive
        if membership.position is None:  # admitted twice, it is in since the first time
            membership.position = position
            membership.version = version
        if not local.placed:
            self.place(local, position)
        elif session.id in local.joining:
            self._go_live(local, membership)
        return True

    def leave(self, session: Session, channel: str) -> None:
        """Take a session out of a channel; the channel goes when it was the last. Idempotent."""
        memberships = session.memberships
        if memberships is None or memberships.pop(channel, None) is None:
            return
        if not memberships:
            session.memberships = None
        local = self.channels[channel]
        self._flush(local)
        local.live.pop(session.id, None)
        local.joining.pop(session.id, None)
        if not local.live and not local.joining:
            del self.channels[channel]
            self._subscriber.unsubscribe(channel)

    def abandon(self, owner: str) -> None:
        """That life of `owner` is over: the joins that it had not admitted died with it."""
        for local in list(self.channels.values()):
            for membership in list(local.joining.values()):
                if membership.owner == owner and membership.position is None:
                    self.leave(membership.session, local.name)

    # The session's side

    def answered(self, session: Session) -> None:
        """An answer was written to this session: what it was waiting for may go live."""
        for channel, membership in (session.memberships or {}).items():
            local = self.channels[channel]
            if session.id in local.joining:
                self._go_live(local, membership)

    def closed(self, session: Session) -> None:
        """The session's connection is gone: its owners are told, its channels let go."""
        for channel, membership in list((session.memberships or {}).items()):
            self._lost(membership, self.channels[channel].owner)
            self.leave(session, channel)

    def repeat_tokens(self, owner: str) -> None:
        """A link to `owner` came up: a token sent before may have died with the old one."""
        for local in self.channels.values():
            for membership in local.memberships:
                if membership.token and membership.owner == owner:
                    self._subscriber.send_token(membership.token)

    # The stream's side

    def on_frame(self, channel: str, payload: bytes) -> None:
        """A frame from an owner. Late ones of channels just left are dropped and counted."""
        local = self.channels.get(channel)
        if local is None:
            self.counters["late_frames"] += 1
            return
        try:
            message = decode_frame(payload)
        except ClusterError as error:
            self.counters["bad_frames"] += 1
            logger.warning("channel %s: %s", channel, error)
            return
        if isinstance(message, Published):
            run = Run(message.first, message.items)
            self._deliver(local, local.follower.receive(message.epoch, run))
            if local.follower.missing:
                self._fetch(local)
        elif isinstance(message, PresenceChange):
            self._tell(local, message)
        else:
            self.counters["bad_frames"] += 1  # a beat has a topic of its own

    def place(self, local: LocalChannel, position: StreamPosition) -> None:
        """An owner's answer says where the channel stands: go on from there."""
        local.placed = True
        runs = local.follower.place(position)
        for membership in local.memberships:
            membership.begin(position.epoch)
        self._deliver(local, runs)
        early, local.early = local.early, []
        for change in early:
            self._tell(local, change)
        self._promote(local)
        if local.follower.missing:
            self._fetch(local)

    def repair(self, local: LocalChannel, position: StreamPosition, run: Run) -> None:
        """What was fetched for a gap."""
        self._deliver(local, local.follower.repair(position, run))
        self._promote(local)

    def _enter(
        self, session: Session, channel: str, uid: str, owner: str, origin: int
    ) -> Membership:
        local = self.channels.get(channel)
        if local is None:
            local = self.channels[channel] = LocalChannel(channel, owner)
            self._subscriber.subscribe(channel)
        membership = Membership(session, channel, uid, owner, origin)
        local.joining[session.id] = membership
        if session.memberships is None:
            session.memberships = {}
        session.memberships[channel] = membership
        return membership

    def _deliver(self, local: LocalChannel, runs: Sequence[Run]) -> None:
        if not runs:
            return
        assert local.follower.position is not None
        epoch = local.follower.position.epoch
        for run in runs:
            for offset, item in enumerate(run.items, run.first):
                data = frame(item.package)
                wanted = None if item.audience is None else _among(item.audience)
                self._queue(local, data, wanted)
                if local.joining:
                    self._hold_all(local, (epoch, offset, 0, data), wanted)
        if local.joining:
            self._promote(local)

    def _tell(self, local: LocalChannel, change: PresenceChange) -> None:
        """Who came or went is told to who was there before, never to the one it is about."""
        position = local.follower.position
        if position is None:
            if len(local.early) < _EARLY_LIMIT:
                local.early.append(change)
            else:
                self.counters["early_full"] += 1
            return
        epoch, version, uid = change.epoch, change.version, change.uid
        if epoch != position.epoch or (epoch == local.told[0] and version <= local.told[1]):
            self.counters["old_presence"] += 1
            return
        local.told = (epoch, version)
        if change.package:
            data = frame(change.package)
            # Who came in with this version, or a later one, has the change in its member list.
            self._queue(local, data, lambda m: m.uid != uid and m.version < version)
            self._hold_all(local, (epoch, 0, version, data), lambda m: m.uid != uid)

    # To the sockets

    def _queue(self, local: LocalChannel, data: bytes, wanted: Wanted | None) -> None:
        if not local.live:
            return
        if not local.out:
            if not self._dirty:
                asyncio.get_running_loop().call_soon(self._flush_all)
            self._dirty.append(local)
        local.out.append((data, wanted))

    def _flush_all(self) -> None:
        dirty, self._dirty = self._dirty, []
        for local in dirty:
            self._flush(local)

    def _flush(self, local: LocalChannel) -> None:
        """One `enqueue` per member, of bytes that members with the same frames share."""
        out, local.out = local.out, []
        if not out:
            return
        if all(wanted is None for _, wanted in out):
            self.counters["deliveries"] += len(out) * len(local.live)
            data = out[0][0] if len(out) == 1 else b"".join([data for data, _ in out])
            for membership in local.live.values():
                membership.session.connection.enqueue(data)
            return
        joined: dict[tuple[bytes, ...], bytes] = {}
        for membership in local.live.values():
            mine = tuple([data for data, wanted in out if wanted is None or wanted(membership)])
            if mine:
                self.counters["deliveries"] += len(mine)
                data = joined.get(mine) or joined.setdefault(mine, b"".join(mine))
                membership.session.connection.enqueue(data)

    def _hold_all(self, local: LocalChannel, held: Held, wanted: Wanted | None) -> None:
        for membership in local.joining.values():
            if wanted is None or wanted(membership):
                self._hold(membership, held)

    def _hold(self, membership: Membership, held: Held) -> None:
        if membership.held_bytes > self._hold_limit:
            return  # it was cut off and will be told to us as closed
        membership.held_bytes += len(held[3])
        if membership.held_bytes > self._hold_limit:
            self.counters["hold_full"] += 1
            membership.held = None
            membership.session.connection.close(SLOW_READER)
        elif membership.held is None:
            membership.held = [held]
        else:
            membership.held.append(held)

    def _promote(self, local: LocalChannel) -> None:
        for membership in list(local.joining.values()):
            self._go_live(local, membership)

    def _go_live(self, local: LocalChannel, membership: Membership) -> None:
        """Write what was held past the member's position, once it is known and answered."""
        start = membership.position
        now = local.follower.position
        if start is None or now is None or start.epoch != now.epoch or not membership.answered:
            return
        held, membership.held, membership.held_bytes = membership.held or (), None, 0
        for entry in held:
            if membership.wants(entry):
                self.counters["deliveries"] += 1
                membership.session.connection.enqueue(entry[3])
        if start.offset > now.offset:
            return  # publications from before it came are still on their way: not for it
        self._flush(local)
        del local.joining[membership.session.id]
        local.live[membership.session.id] = membership


def _among(audience: tuple[str, ...]) -> Wanted:
    return lambda membership: membership.uid in audience
