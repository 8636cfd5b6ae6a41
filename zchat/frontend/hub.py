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
from collections.abc import Callable, Iterable, Sequence

from zchat.cluster.subscriber import Subscriber
from zchat.errors import ClusterError
from zchat.frontend.disconnect import SLOW_READER
from zchat.frontend.frames import frame
from zchat.frontend.session import Held, Membership, Session
from zchat.rooms.follower import Follower, Run
from zchat.rooms.stream import PresenceChange, Published, StreamPosition, decode_frame

logger = logging.getLogger("zchat.session")

_EARLY_LIMIT = 1000


Wanted = Callable[[str], bool]
"""Says whether a frame is for a uid; None stands for everybody."""


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
        "version",
    )

    def __init__(self, name: str, owner: str) -> None:
        self.name = name
        self.owner = owner
        """The server that ordered the last join or answered the last announce."""
        self.follower = Follower()
        self.version = 0
        """The member list's version last told."""
        self.live: dict[int, Membership] = {}
        self.joining: dict[int, Membership] = {}
        self.early: list[PresenceChange] = []
        """Changes that came before this channel had its place; at most 1,000, then dropped."""
        self.out: list[tuple[bytes, Wanted | None]] = []
        """Frames of this drain, and for which of the live members each is."""
        self.fetching = False

    @property
    def memberships(self) -> Iterable[Membership]:
        """All of them, joining ones first."""
        return [*self.joining.values(), *self.live.values()]


class Hub:
    """This frontend's table of channels.

    Args:
        subscriber: the XSUB that channels come in on.
        fetch: called with a channel when a gap must be fetched from its owner.
        lost: called with a membership whose session has closed.
        hold_limit: bytes held per joining member. When full, its connection is cut off as a slow
            reader and counted.
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
        """The owner wants this session in: subscribe, send its token, hold from now on."""
        local = self.channels.get(channel)
        if local is None:
            local = self.channels[channel] = LocalChannel(channel, owner)
            self._subscriber.subscribe(channel)
        membership = local.live.get(session.id) or local.joining.get(session.id)
        if membership is None:
            membership = Membership(session, channel, uid, origin)
            local.joining[session.id] = membership
            if session.memberships is None:
                session.memberships = {}
            session.memberships[channel] = membership
        membership.token = token
        self._subscriber.send_token(token)

    def joined(
        self,
        session: Session,
        channel: str,
        owner: str,
        position: StreamPosition,
        version: int,
        since: float,
        exclusive: bool,
    ) -> bool:
        """The owner admitted this session; it is a member from after `position` on.

        Returns:
            False when it left, or its connection closed, while the order was under way.
        """
        local = self.channels.get(channel)
        if local is None:
            return False
        membership = local.joining.get(session.id) or local.live.get(session.id)
        if membership is None:
            return False
        membership.token = b""
        membership.since = since
        membership.exclusive = exclusive
        local.owner = owner
        if session.id in local.live:
            return True
        membership.position = position
        membership.version = version
        if local.follower.position is None:
            self.place(local, position, version)
        self._go_live(local, membership)
        return True

    def leave(self, session: Session, channel: str) -> None:
        """Take a session out of a channel; the channel goes when it was the last. Idempotent."""
        memberships = session.memberships
        if memberships is None or memberships.pop(channel, None) is None:
            return
        local = self.channels[channel]
        self._flush(local)
        local.live.pop(session.id, None)
        local.joining.pop(session.id, None)
        if not local.live and not local.joining:
            del self.channels[channel]
            self._subscriber.unsubscribe(channel)

    # The session's side

    def answered(self, session: Session) -> None:
        """An answer was written to this session: what it was waiting for may go live."""
        for channel, membership in list((session.memberships or {}).items()):
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
            if local.owner == owner:
                for membership in local.joining.values():
                    if membership.token:
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
            self._deliver(
                local, local.follower.receive(message.epoch, Run(message.first, message.items))
            )
            if local.follower.missing and not local.fetching:
                self._fetch(local)
        else:
            self._tell(local, message)

    def place(self, local: LocalChannel, position: StreamPosition, version: int) -> None:
        """An owner's answer says where the channel stands: go on from there."""
        local.version = version
        for membership in local.joining.values():
            start = membership.position
            if start is not None and start.epoch != position.epoch:
                # It came in before this epoch began, so all of the epoch is for it.
                membership.position = StreamPosition(position.epoch, 0)
                membership.version = version
        self._deliver(local, local.follower.place(position))
        early, local.early = local.early, []
        for change in early:
            self._tell(local, change)
        self._promote(local)

    def repair(self, local: LocalChannel, position: StreamPosition, run: Run) -> None:
        """What was fetched for a gap."""
        self._deliver(local, local.follower.repair(position, run))

    def _deliver(self, local: LocalChannel, runs: Sequence[Run]) -> None:
        if not runs:
            return
        assert local.follower.position is not None
        epoch = local.follower.position.epoch
        for run in runs:
            for index, item in enumerate(run.items):
                data = frame(item.package)
                wanted = None if item.audience is None else item.audience.__contains__
                self._queue(local, data, wanted)
                if local.joining:
                    self._hold_all(local, (epoch, run.first + index, 0, data), wanted)
        self._promote(local)

    def _tell(self, local: LocalChannel, change: PresenceChange) -> None:
        """Who came or went is told to the others, never to the one it is about."""
        position = local.follower.position
        if position is None:
            if len(local.early) < _EARLY_LIMIT:
                local.early.append(change)
            return
        if change.epoch != position.epoch or change.version <= local.version:
            self.counters["old_presence"] += 1
            return
        local.version = change.version
        if change.package:
            data, wanted = frame(change.package), change.uid.__ne__
            self._queue(local, data, wanted)
            self._hold_all(local, (change.epoch, 0, change.version, data), wanted)
        self._promote(local)

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
        out, local.out = local.out, []
        if not out:
            return
        self.counters["deliveries"] += len(out) * len(local.live)
        if all(wanted is None for _, wanted in out):
            data = out[0][0] if len(out) == 1 else b"".join([data for data, _ in out])
            for membership in local.live.values():
                membership.session.connection.enqueue(data)
            return
        for membership in local.live.values():
            uid = membership.uid
            mine = [data for data, wanted in out if wanted is None or wanted(uid)]
            if mine:
                membership.session.connection.enqueue(b"".join(mine))

    def _hold_all(self, local: LocalChannel, held: Held, wanted: Wanted | None) -> None:
        for membership in local.joining.values():
            if wanted is None or wanted(membership.uid):
                self._hold(membership, held)

    def _hold(self, membership: Membership, held: Held) -> None:
        if membership.held is None:
            membership.held = []
        membership.held_bytes += len(held[3])
        if membership.held_bytes > self._hold_limit:
            self.counters["hold_full"] += 1
            membership.session.connection.close(SLOW_READER)
            return
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
        for epoch, offset, version, data in held:
            if epoch == start.epoch and (offset > start.offset or version > membership.version):
                membership.session.connection.enqueue(data)
        if start.offset > now.offset or membership.version > local.version:
            return  # frames from before it came are still on their way: none of them is for it
        self._flush(local)
        del local.joining[membership.session.id]
        local.live[membership.session.id] = membership
