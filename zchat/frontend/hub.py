"""The hub: from one frame per channel to the sockets of its members on this frontend.

    subscriber -> follower (order) -> channel (who, held or live) -> outboxes (one write per turn)

Owners order joins and leaves; the hub subscribes, sends the owner's token down the same pipe, and
holds what is published from that moment for the newcomer. `joined` says from where it is a member;
with the answer to its request written, it goes live from exactly there.

Who comes and goes is told against a roster, and against the list that a member came in with: what
a client knows already is not told again, and what was lost is asked for, see `Rosters`. What cannot
be had any more is told too, see `Publications`.

Frames of one drain are joined once per channel and handed to every live member as one piece.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection

from zchat.cluster.subscriber import Subscriber
from zchat.errors import ClusterError
from zchat.frontend.fanout import Fanout
from zchat.frontend.local_channel import LocalChannel
from zchat.frontend.pending_joins import PendingJoins
from zchat.frontend.publications import Publications
from zchat.frontend.refusals import Refusals
from zchat.frontend.rosters import Rosters
from zchat.frontend.session import Membership, Session
from zchat.frontend.sockets.disconnect import OUTRUN
from zchat.frontend.sockets.frames import frame
from zchat.protocol.dictionary import EMPTY, RouteDictionary
from zchat.rooms.stream import (
    PresenceChange,
    PresenceChanges,
    Published,
    Pushed,
    StreamPosition,
    decode_frame,
)

logger = logging.getLogger("zchat.session")


class Hub:
    """This frontend's table of channels.

    Args:
        subscriber: the XSUB that channels come in on.
        fetch: called with a channel while a gap is to be fetched from its owner; again and again.
        compare: likewise, while its roster is behind its owner's member list.
        lost: called with a membership whose session has closed, and the channel's owner.
        hold_limit: bytes held per joining member, see `Fanout`.
        dictionary: the routes that have codes.
        framed: makes of a package what is sent to clients.
        join_timeout: seconds in which an owner admits who it has ordered in, or gives it up.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        fetch: Callable[[LocalChannel], None],
        compare: Callable[[LocalChannel], None],
        lost: Callable[[Membership, str], None],
        *,
        hold_limit: int = 1 << 20,
        dictionary: RouteDictionary = EMPTY,
        framed: Callable[[bytes], bytes] = frame,
        join_timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._subscriber = subscriber
        self._lost = lost
        self._framed = framed
        self.channels: dict[str, LocalChannel] = {}
        self.counters: Counter[str] = Counter()
        self._fanout = Fanout(self.counters, hold_limit)
        self.publications = Publications(self._fanout, fetch, framed, dictionary)
        self.rosters = Rosters(self._fanout, compare, framed, dictionary)
        self._pending = PendingJoins(join_timeout, clock)
        self._refusals = Refusals()

    # Orders of the owner

    def join(
        self,
        session: Session,
        channel: str,
        uid: str,
        owner: str,
        token: bytes,
        origin: int,
        differences: bool = False,
    ) -> bool:
        """The owner wants this session in: subscribe, send its token, hold from now on.

        A session has one uid in a channel: under another one it comes in as somebody new. One that
        is in already is held up again, so that the new answer comes first, with its member list.

        Args:
            differences: see `Membership`.

        Returns:
            False when the request that it comes in by was answered with an error already.
        """
        if self._refusals.has(session, origin):
            return False
        membership = (session.memberships or {}).get(channel)
        if membership is not None and membership.uid != uid:
            self._lost(membership, owner)
            self.leave(session, channel)
            membership = None
        if membership is None:
            membership = self._enter(session, channel, uid, owner, origin)
            membership.base = self.channels[channel].base(owner, token)
        elif origin:
            self._hold_up(membership, origin)
        membership.differences = differences
        membership.owner = owner
        membership.token = membership.order = token
        if membership.position is None:
            self._pending.add(membership)
        self._subscriber.send_token(membership.shown)
        return True

    def joined(
        self,
        session: Session,
        channel: str,
        owner: str,
        position: StreamPosition,
        version: int,
        token: bytes,
        since: float,
        exclusive: bool,
        resume: str,
        uids: Collection[str],
        since_base: bool = False,
        gone: Collection[str] = (),
    ) -> bool:
        """The owner admitted this session; it is a member from after `position` on.

        Args:
            owner: who says so; the channel may have another one by now.
            token: of the order that it followed.
            uids: the member list, as it stands in the answer to come.
            since_base: whether these are only those who came since the base of that order.
            gone: those who went since then.

        Returns:
            False when it left, or its connection closed, while the order was under way; or when
            the owner lets it in where we cannot begin any more: then it is told to come back.
        """
        local = self.channels.get(channel)
        membership = (session.memberships or {}).get(channel)
        if membership is None or local is None:
            return False
        if since_base:
            base = membership.base
            if base is None or base.token != token:
                return True  # it has left and was ordered in again since: that order counts
            uids = (base.uids | set(uids)) - set(gone)
        counts = membership.position is None or membership.again
        if counts and membership.is_outrun(position):
            # By an owner that was none any more, while the next one's frames came already.
            self._send_away(membership)
            self.leave(session, channel)
            return False
        same = owner == local.owner and local.follower.epoch in ("", position.epoch)
        if membership.position is None or not membership.answered:  # else it has another list
            local.take_list(membership, uids, version if same else 0)
        if membership.token == token:  # else another order is still to be followed
            membership.token = b""
            membership.base = None
        self._pending.done(membership)
        membership.since = since
        membership.exclusive = exclusive
        membership.resume = resume
        if counts:  # else it has answers to several requests: it is in since the first
            membership.position = position
        membership.again = False
        if not local.placed:
            self.place(local, position)
            return True
        if session.id in local.joining:
            self._fanout.go_live(local, membership)
        self.mend(local)
        return True

    def leave(self, session: Session, channel: str) -> None:
        """Take a session out of a channel; the channel goes when it was the last. Idempotent."""
        memberships = session.memberships
        membership = memberships.pop(channel, None) if memberships is not None else None
        if memberships is None or membership is None:
            return
        self._pending.done(membership)
        if not memberships:
            session.memberships = None
        local = self.channels[channel]
        self._fanout.flush_member(local, membership)
        local.leave(membership)
        if not local.live and not local.joining:
            del self.channels[channel]
            self._count(local, self.counters)
            self._subscriber.unsubscribe(channel)

    def undo(self, session: Session, channel: str, token: bytes) -> None:
        """A join came to nothing; unless another owner has ordered one since, the session leaves.

        Orders of two owners come by two links, in any order.
        """
        membership = (session.memberships or {}).get(channel)
        if membership is not None and membership.order == token:
            self.leave(session, channel)

    def refused(self, session: Session, request: int) -> None:
        """This request of it is about to be answered with an error: its joins are undone.

        Else a client would be in a room that it was refused, and in the one that it meant to leave.
        A member that only came in once more has to come back: what it missed meanwhile, it knows.
        """
        self._refusals.add(session, request)
        for channel, membership in list((session.memberships or {}).items()):
            if membership.origin != request:
                continue
            if membership.returned:
                self._send_away(membership)
            else:
                self._lost(membership, self.channels[channel].owner)
                self.leave(session, channel)

    def abandon(self, owner: str) -> None:
        """That life of `owner` is over: the joins that it had not admitted died with it.

        Or the word of it did, where the answer came by another way.
        """
        for local in list(self.channels.values()):
            for membership in list(local.joining.values()):
                if membership.owner == owner and membership.position is None:
                    if membership.answered:
                        self._never_told(membership)
                    self.leave(membership.session, local.name)

    def tick(self) -> None:
        """Send away whose owner's word was lost with its link; call it at least twice a second.

        Its client may have been told that it is in: then it would never hear anything.
        """
        for membership in self._pending.overdue():
            self._never_told(membership)

    # The session's side

    def answered(self, session: Session) -> None:
        """An answer was written to this session: what it was waiting for may go live."""
        for channel, membership in (session.memberships or {}).items():
            local = self.channels[channel]
            if session.id in local.joining:
                if membership.answered:
                    membership.origin, membership.returned = 0, False
                self._fanout.go_live(local, membership)

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
                    self._subscriber.send_token(membership.shown)

    # The stream's side

    def flush(self) -> None:
        """Sends what the channels have for their members; for the end of a turn."""
        self._fanout.flush_all()

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
            self.publications.take(local, message)
        elif isinstance(message, PresenceChange):
            self.rosters.take(local, (message,))
        elif isinstance(message, PresenceChanges):
            self.rosters.take(local, message.changes)
        elif isinstance(message, Pushed):
            readers = None if message.audience is None else local.readers(message.audience)
            self._fanout.queue(local, self._framed(message.package), readers)
        else:
            self.counters["bad_frames"] += 1  # a beat has a topic of its own

    def unsettle(self, local: LocalChannel) -> None:
        """The owner changed or restarted: hold everything until the next `place`."""
        if local.follower.position is not None:
            local.follower.unplace()
        local.doubt()

    def place(self, local: LocalChannel, position: StreamPosition, version: int = 0) -> None:
        """An owner's answer says where the channel stands: go on from there.

        Args:
            version: of the owner's member list; 0 when the answer does not say.
        """
        if not local.placed:
            local.placed = True
            for membership in local.memberships:
                membership.floor = position if membership.position is None else None
        if local.follower.epoch not in ("", position.epoch):
            local.doubt()
        began = [member for member in local.memberships if member.begin(position.epoch)]
        local.began |= frozenset(member.session.id for member in began)
        for member in began:
            if member.is_outrun(StreamPosition(position.epoch, 0)):
                self._send_away(member)
        self.publications.place(local, position)
        local.roster.hear(version)
        self.mend(local)

    def mend(self, local: LocalChannel) -> None:
        """Ask for what has not come, if anything has not."""
        self.publications.mend(local)
        self.rosters.mend(local)

    def totals(self) -> Counter[str]:
        """`counters`, and what the followers of the channels here have counted."""
        totals = Counter(self.counters)
        for local in self.channels.values():
            self._count(local, totals)
        return totals

    @staticmethod
    def _count(local: LocalChannel, counters: Counter[str]) -> None:
        counters["items_dropped"] += local.follower.dropped
        counters["items_repeated"] += local.follower.repeats
        counters["items_lost"] += local.follower.lost

    def _enter(
        self, session: Session, channel: str, uid: str, owner: str, origin: int
    ) -> Membership:
        local = self.channels.get(channel)
        if local is None:
            local = self.channels[channel] = LocalChannel(channel, owner)
            self._subscriber.subscribe(channel)
        membership = Membership(session, local.name, uid, owner, origin)
        membership.floor = local.follower.last
        local.enter(membership)
        if session.memberships is None:
            session.memberships = {}
        session.memberships[local.name] = membership
        return membership

    def _send_away(self, membership: Membership) -> None:
        """It was let in where we cannot begin any more: it can when it comes back."""
        self.counters["outrun"] += 1
        membership.session.connection.close(OUTRUN)

    def _never_told(self, membership: Membership) -> None:
        """Whether it is in will not be heard any more: its client is told to come back."""
        self.counters["joins_unheard"] += 1
        membership.session.connection.close(OUTRUN)

    def _hold_up(self, membership: Membership, origin: int) -> None:
        """Its client has asked to be let in again: nothing more before that is answered."""
        local, session = self.channels[membership.channel], membership.session
        membership.again = origin == membership.origin
        membership.returned |= membership.position is not None and not membership.again
        membership.origin = origin
        if session.id in local.live and not membership.answered:
            self._fanout.flush_member(local, membership)
            local.joining[session.id] = local.live.pop(session.id)
