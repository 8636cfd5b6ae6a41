"""Admission to channels, at their owner: how sessions come in and go.

A join, step by step: the owner orders the frontend to join the session (`hub.join`, with a token);
the frontend subscribes and sends the token through the same pipe; when the XPUB shows the token,
no later publication can miss that frontend, so the owner admits the member, tells the others, and
says `hub.joined` with the position on the pipe that will carry the handler's answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from zchat.errors import RequestError, TimedOut, Unavailable
from zchat.framework.channels.departures import Departure, Departures
from zchat.framework.channels.joins import Join, Joined, Joins
from zchat.framework.channels.owned_channels import OwnedChannels
from zchat.framework.channels.readable import Readable
from zchat.framework.channels.voice import Voice
from zchat.framework.peers.deadline import in_time
from zchat.rooms.channel import Channel
from zchat.rooms.presence import Evicted, SessionRef
from zchat.rooms.recovery import PAGE, recover
from zchat.rooms.resume import Token
from zchat.rooms.stream import StreamPosition

Cast = Callable[[str, str, str, Sequence[Any]], bool]
"""(frontend id, incarnation, method, args): False when that life of it is not connected."""


class Admission:
    """Joins and leaves.

    Args:
        server_id: this server.
        owned: its channels.
        joins: those under way.
        voice: tells the other members.
        cast: tells a frontend something.
        journal: for what a member missed.
        timeout: seconds that a join may take.
        clock: monotonic seconds.
        wall_clock: seconds since 1970.
        new_token: makes a token's secret: ASCII, and nobody can guess it.

    Attributes:
        counters: how many were recovered or not, resumed, and lost their claim to a name.
    """

    def __init__(
        self,
        server_id: str,
        owned: OwnedChannels,
        joins: Joins,
        voice: Voice,
        cast: Cast,
        journal: Readable,
        *,
        timeout: float,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        new_token: Callable[[], str],
    ) -> None:
        self._server_id = server_id
        self._owned = owned
        self._joins = joins
        self._voice = voice
        self._cast = cast
        self._journal = journal
        self._timeout = timeout
        self._clock = clock
        self._wall_clock = wall_clock
        self._new_token = new_token
        self._departures = Departures()
        self.counters: Counter[str] = Counter()

    async def join(
        self,
        name: str,
        uid: str,
        ref: SessionRef,
        exclusive: bool,
        since: StreamPosition | None,
        resume: str,
        request: int,
        differences: bool = False,
    ) -> Joined:
        """Make a session a member.

        Args:
            exclusive: refuse when another live session has this uid in the channel.
            since: the last that the member has from being here before; None when it was not.
            resume: what its client shows, see `Token`; its own former session gives way. Empty
                when it shows nothing: then its secret is made. One that no session has becomes
                the new session's: its client need not learn another one.
            request: the message id of the client's request that this is done for, or 0.
            differences: tell it who comes and goes as differences, see `Channel.add`.

        Raises:
            AlreadyMember: see `exclusive`. Or the client is here by a later attempt.
            Unavailable: the session's frontend is not connected, or the session is gone.
            TimedOut: the frontend did not follow the order; the join was undone.
        """
        channel = self._owned.at_once(name) or await self._owned.in_turn(name)
        shown = Token.read(resume)
        token = shown if shown.secret else Token(self._new_token())
        channel.presence.check(uid, ref, exclusive=exclusive, token=token)
        # Also for who is in already: its frontend may not have heard of it, when its link broke.
        join = self._joins.begin(channel, uid, ref, exclusive, token, request)
        self._departures.forget(name, ref)
        args = (ref.session, name, uid, self._server_id, join.token, request, differences)
        try:
            if not self._cast(ref.frontend, ref.incarnation, "hub.join", args):
                raise Unavailable(f"{ref.frontend} is not connected to {self._server_id}")
            joined = await self._admitted(join)
            joined = await self._recovered(joined, name, uid, since)
            self._joins.stands(join)
            return joined
        except BaseException:
            self._undo(join)
            raise
        finally:
            self._joins.end(join)

    async def _admitted(self, join: Join) -> Joined:
        try:
            return await in_time(join.admitted, self._timeout)
        except TimedOut:
            text = f"{join.ref.frontend} did not join {join.channel.name} in time"
            raise TimedOut(text) from None

    def on_token(self, token: bytes) -> bool:
        """The XPUB shows a token: that frontend has the channel's topic from here on.

        Behind the token it says which version of the member list it has, when it has one.

        Returns:
            False when it is no join's.
        """
        token, _, known = token.partition(b" ")
        join = self._joins.get(token)
        if join is not None and not join.admitted.done():
            try:
                join.admitted.set_result(self._admit(join, int(known) if known.isdigit() else 0))
            except RequestError as error:
                join.admitted.set_exception(error)
        return join is not None

    async def leave(self, name: str, uid: str, ref: SessionRef) -> None:
        """Take a session out; the others are told at once when it was its member's last.

        Raises:
            Unavailable: its frontend is not connected, and goes on with it until it is.
        """
        channel = self._owned.at_once(name) or await self._owned.in_turn(name)
        order = (ref.session, name, self._server_id)
        told = self._put_out(name, ref, Departure("hub.leave", order))
        change = channel.presence.leave(uid, ref)
        if change is not None:
            self._voice.tell(channel, change)
            self._owned.watch(channel)
        if not told:
            raise Unavailable(f"{ref.frontend} is not connected to {self._server_id}")

    async def destroy(self, name: str) -> None:
        """Put everybody out, without a word to anybody.

        A frontend that is not connected hears of it when it claims its members again.
        """
        channel = self._owned.at_once(name) or await self._owned.in_turn(name)
        presence = channel.presence
        for member in list(presence.members.values()):
            for ref in list(member.sessions):
                order = Departure("hub.leave", (ref.session, name, self._server_id))
                self._put_out(name, ref, order)
            presence.remove(member.uid)
        self._owned.watch(channel)

    def lost(self, name: str, uid: str, ref: SessionRef, order: bytes | None) -> None:
        """A member is not there any more: the leave is told after the grace.

        Args:
            order: the token of the last order that had let it in; it may have come in again since.
                None when its session is gone: then nothing will come of any order.
        """
        if order is not None and self._joins.came_in_since(name, uid, ref, order):
            return
        if order is None:
            self._joins.fail_session(name, ref, Unavailable(f"session {ref.session} is gone"))
        else:
            self._joins.fail_order(order)
        channel = self._owned.table.get(name)
        if channel is not None:
            channel.presence.lose(uid, ref, self._clock())
            self._owned.watch(channel)

    def evict(self, channel: Channel, evicted: Evicted) -> None:
        """Order the frontends of these sessions to put them out."""
        for ref in evicted.sessions:
            self.counters["resumed" if evicted.resumed else "claims_lost"] += 1
            args = (ref.session, channel.name, evicted.resumed)
            self._cast(ref.frontend, ref.incarnation, "hub.evict", args)

    def has_left(self, name: str, ref: SessionRef) -> bool:
        """Whether a session that its frontend claims was put out: then it is told so again."""
        departure = self._departures.get(name, ref)
        if departure is None:
            return False
        self.counters["departures_repeated"] += 1
        self._cast(ref.frontend, ref.incarnation, *departure)
        return True

    def ring_changed(self) -> None:
        """Of channels that are others' now, others know who has left."""
        self._departures.keep(self._owned.is_ours)

    def frontend_lost(self, frontend: str, incarnation: str) -> None:
        """The joins of a life of a frontend that has ended come to nothing."""
        error = Unavailable(f"{frontend} is gone")
        self._joins.fail(lambda join: join.ref.incarnation == incarnation, error)

    def _admit(self, join: Join, known: int) -> Joined:
        """Let it in; its frontend knows the member list of version `known`, 0: none."""
        channel, uid, ref = join.channel, join.uid, join.ref
        presence, since = channel.presence, self._wall_clock()
        exclusive, token = join.exclusive, join.resume
        former = presence.check(uid, ref, exclusive=exclusive, token=token)
        join.entered = ref not in presence.sessions(uid)
        change = presence.join(uid, ref, since=since, exclusive=exclusive, token=token)
        join.returned = change is None
        if change is not None:
            self._voice.tell(channel, change)
        position, version, members = self._place(join)
        shown = presence.token(uid, ref)
        joined = Joined(position, members, resume=shown.secret)
        order = (ref.session, channel.name, uid, self._server_id, *position, version)
        now = version == presence.version
        news = presence.changes.since(known, presence.members) if known and now else None
        uids, gone = news or (members, [])
        args = (*order, join.token, since, exclusive, str(shown), uids, news is not None, gone)
        told = self._cast(ref.frontend, ref.incarnation, "hub.joined", args)
        self.evict(channel, Evicted(former, resumed=True))
        if not told:
            raise Unavailable(f"{ref.frontend} cannot be told of the join")
        return joined

    def _place(self, join: Join) -> tuple[StreamPosition, int, list[str]]:
        """Where it comes in, and with which version of which member list.

        By a request that is done once more it came in before, and its client may get either answer.
        """
        presence = join.channel.presence
        before = None if join.entered else self._joins.place_before(join)
        if before is not None:
            members = presence.changes.undo(before[1], presence.uids())
            if members is not None:
                self._joins.came_in(join, *before)
                return *before, members
        place = join.channel.stream.position, presence.version
        self._joins.came_in(join, *place)
        return *place, presence.uids()

    def _undo(self, join: Join) -> None:
        """Take the session out again, unless it is in, or wants in, by another join as well."""
        name, uid, ref = join.channel.name, join.uid, join.ref
        inside = ref in join.channel.presence.sessions(uid)
        if self._joins.shared(join) or (inside and not join.entered):
            return
        departure = Departure("hub.undo", (ref.session, name, join.token))
        if not join.entered:  # who claims to be in, when its frontend is back, is so by another one
            self._cast(ref.frontend, ref.incarnation, *departure)
            return
        self._put_out(name, ref, departure)
        if join.returned:  # it was there before, and may come again
            join.channel.presence.lose(uid, ref, self._clock())
            self._owned.watch(join.channel)
            return
        change = join.channel.presence.leave(uid, ref)
        if change is not None and self._owned.table.get(name) is join.channel:
            self._voice.tell(join.channel, change)
            self._owned.watch(join.channel)

    def _put_out(self, name: str, ref: SessionRef, departure: Departure) -> bool:
        """Returns whether its frontend could be told; if it never hears of it, see `has_left`."""
        self._departures.add(name, ref, departure)
        return self._cast(ref.frontend, ref.incarnation, *departure)

    async def _recovered(
        self, joined: Joined, name: str, uid: str, since: StreamPosition | None
    ) -> Joined:
        """With what the member missed before it came in again: the rest it gets live."""
        if since is None:
            return joined
        history = await self._journal.read(name, max(since.offset, 0), PAGE)
        missed = recover(uid, since, joined.position, history)
        self.counters["recovered" if missed.recovered else "not_recovered"] += 1
        return Joined(joined.position, joined.members, missed, joined.resume)
