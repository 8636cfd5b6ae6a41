"""`app.channels`: rooms, usable on any server.

At the owner a call is a function call; elsewhere it travels to the owner. When a channel moves
while a call is under way, the call follows it until its deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from zchat.errors import Unavailable
from zchat.framework.channels.convoy import Convoy
from zchat.framework.channels.host import ChannelHost
from zchat.framework.channels.joins import Joined
from zchat.framework.channels.owned_channels import Moved
from zchat.framework.peers.context import current, request_key
from zchat.framework.peers.deadline import in_time
from zchat.framework.peers.node import Unlisted
from zchat.framework.sessions.wire import Wire
from zchat.protocol.body import dumps
from zchat.protocol.dictionary import EMPTY
from zchat.protocol.misfit import Misfit
from zchat.protocol.protobuf import MessageType
from zchat.protocol.protos import NO_PROTOS
from zchat.rooms.presence import SessionRef
from zchat.rooms.recovery import FURTHEST, Page, Position
from zchat.rooms.ring import Ring
from zchat.rooms.stream import RESERVED, Draft, StreamPosition, check_body, check_name
from zchat.rooms.wish import Presence, Wish

_PAUSE = 0.05

_PLAIN = Wire(EMPTY, NO_PROTOS)


class HasRef(Protocol):
    """A session, or its name in the cluster."""

    @property
    def ref(self) -> SessionRef: ...


Call = Callable[[str, str, Sequence[Any], float], Awaitable[Any]]
"""(server id, method, args, timeout) -> result"""


class Channel:
    """One room. Cheap to make; nothing happens before a method is called."""

    __slots__ = ("_channels", "name")

    def __init__(self, name: str, channels: Channels) -> None:
        self.name = name
        self._channels = channels

    async def add(
        self,
        uid: str,
        session: HasRef | SessionRef,
        *,
        exclusive: bool = False,
        since: Position | None = None,
        resume: str = "",
        presence: Presence = "",
        wish: Wish | None = None,
    ) -> Joined:
        """Make a session a member; from then on it gets what is published, in order.

        In a handler of the session's own frontend: when that fails in the end, this is undone.

        Args:
            uid: who the member is; several sessions of a uid are one member.
            session: a session of any frontend, or its `ref`.
            exclusive: refuse when another live session has this uid here.
            since: the place of the last publication that the client has; what it missed is in
                the result then, the first page of it if it is much.
            resume: the token of an earlier result, or a secret that the client has made: a session
                with it, which may look alive still, gives its place to this one. With "." and a
                number that rises with each attempt of the client, one that comes late is refused.
            presence: "diff" tells the session who comes and goes by pushes on `onPresence`, whose
                `joined` and `left` are lists of uids: the changes of a moment are one push. By
                default each is the application's own push (`Application.presence`).
            wish: says the last three, as the client did.

        Returns:
            Who is here, where the member came in, what it missed, and its token.

        Raises:
            AlreadyMember: see `exclusive`; or a later attempt of the client was quicker.
            Unavailable, TimedOut: the join did not happen.
        """
        ref = _ref(session)
        if wish is not None:
            since, resume, presence = wish.since, wish.resume, wish.presence
        last = StreamPosition(since.epoch, since.offset) if since else None
        how = (exclusive, last, resume, _request_of(ref), presence == "diff")
        raw = await self._call("join", uid, ref, *how)
        return msgspec.convert(raw, Joined)

    async def leave(self, uid: str, session: HasRef | SessionRef) -> None:
        """Take a session out. Not being in is no error.

        Raises:
            Unavailable: the session's frontend is not connected to the owner, and goes on serving
                the member until it is; or nobody owns the channel now.
            TimedOut: the owner did not answer in time; it may have been done.
        """
        await self._call("leave", uid, _ref(session))

    async def members(self) -> list[str]:
        """The uids of all members in joining order."""
        return msgspec.convert(await self._call("members"), list[str])

    async def count(self) -> int:
        """How many members there are."""
        return msgspec.convert(await self._call("count"), int)

    async def sessions(self, uid: str) -> list[SessionRef]:
        """The sessions of a member, wherever they are; none when it is lost or no member."""
        return msgspec.convert(await self._call("sessions", uid), list[SessionRef])

    async def push(self, route: str, body: Any, *, to: Iterable[str] | None = None) -> list[str]:
        """Push to the members, for what is stale in a second: nothing is kept of it.

        Best effort: not in the order of what is published, not journalled, not sent again, and not
        sent to who is just coming in.

        Args:
            route: the push that clients get.
            body: its body.
            to: the uids it is for; None means all members.

        Returns:
            Those of `to` that are no members, each once, in their order.

        Raises:
            ValueError, TypeError: the body cannot be sent, or does not fit the route's schema.
            Unavailable: nobody owns the channel now.
        """
        audience = None if to is None else list(dict.fromkeys(to))
        package = self._channels.package(route, body)
        return msgspec.convert(await self._call("push", package, audience), list[str])

    async def destroy(self) -> None:
        """Put all members out, and tell them nothing: push before what they should know.

        What was published stays in the journal. Who comes afterwards is in the channel again.
        """
        await self._call("destroy")

    async def history(
        self, uid: str, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> Page:
        """What was said and `uid` may see: what is for all, for it, or from it.

        Args:
            before: page back from this offset; by default from the end.
            after: page forward from this offset instead.
            limit: publications looked at, 1 to 200.
        """
        places = (uid, _within(before), _within(after), _within(limit))
        return msgspec.convert(await self._call("history", *places), Page)

    async def publish(
        self,
        route: str,
        body: dict[str, Any],
        *,
        uid: str = "",
        cid: str = "",
        to: Iterable[str] | None = None,
        members_only: bool = False,
    ) -> StreamPosition:
        """Send to the members, in one order for all; returns when it is journalled.

        Args:
            route: the push that clients get.
            body: its body. zchat adds `epoch`, `offset`, `id` and `ts`.
            uid: who sends it.
            cid: the sender's own id for it; clients get it back as `id`. What is published again
                with the same uid and cid gets the position of the first time. In a handler of a
                request it is made of the request when it is empty.
            to: the uids it is for; None means all members.
            members_only: refuse when one of `to` is no member. A repeat of what was published is
                not refused.

        Returns:
            Its place in the channel.

        Raises:
            RequestError: see `members_only`; its code is 404.
            ValueError: the body has a member that zchat adds, does not fit the route's schema, or
                is too large (see `Draft`).
            Unavailable: it was not published.
            TimedOut: it may have been published.
        """
        if not RESERVED.isdisjoint(body):
            raise ValueError(f"zchat itself adds {sorted(RESERVED & body.keys())} to bodies")
        self._channels.check(route, body)
        key = request_key.get()
        if not cid and key is not None:
            cid = key.next()
        draft = Draft(route, dumps(body), uid, cid, None if to is None else tuple(to))
        return await self._channels.publish(self.name, draft, members_only)

    async def _call(self, method: str, *args: Any) -> Any:
        return await self._channels.call(self.name, method, args)


class Channels:
    """The author's way to channels.

    Args:
        server_id: this server.
        host: the channels owned here; None on servers that own none.
        ring: the ring of now.
        call: reaches other servers.
        timeout: seconds that a call may take, following moves included.
        schemas: of pushes, by route; without one a push is JSON.
        package: makes a push that is not published: (route, body).

    Attributes:
        refused: calls refused because too many waited for their channel.
    """

    def __init__(
        self,
        server_id: str,
        host: ChannelHost | None,
        ring: Callable[[], Ring],
        call: Call,
        timeout: float,
        schemas: Mapping[str, MessageType] = NO_PROTOS.at_server.outgoing,
        package: Callable[[str, Any], bytes] = _PLAIN.push,
    ) -> None:
        self._server_id = server_id
        self._host = host
        self._ring = ring
        self._remote = call
        self._timeout = timeout
        self._schemas = schemas
        self.package = package
        self._convoys: dict[str, Convoy] = {}
        self.refused = 0

    def get(self, name: str) -> Channel:
        """The channel of that name; it need not exist yet.

        Raises:
            ValueError: see `zchat.rooms.stream.check_name`.
        """
        check_name(name)
        return Channel(name, self)

    def create(self, name: str) -> Channel:
        """The same as `get`: a channel is there when its first member is."""
        return self.get(name)

    async def destroy(self, name: str) -> None:
        """Put all members of a channel out; see `Channel.destroy`."""
        await self.get(name).destroy()

    def check(self, route: str, body: dict[str, Any]) -> None:
        """Whether clients can be sent this body on this route.

        Raises:
            ValueError: it does not fit the route's schema.
        """
        schema = self._schemas.get(route)
        if schema is not None:
            try:
                check_body(msgspec.to_builtins(body, str_keys=True), schema)
            except Misfit as misfit:
                raise ValueError(f"a push on {route}: {misfit}") from None

    def owner(self, name: str) -> str | None:
        """The id of the server that owns the channel now."""
        return self._ring().owner(name)

    async def call(self, name: str, method: str, args: Sequence[Any]) -> Any:
        """Run a method of the channel at its owner, wherever that is by then.

        Raises:
            Unavailable: it moves about, or nobody owns it; nothing was done.
            TimedOut: the owner did not answer in time; it may have been done.
        """
        deadline = time.monotonic() + self._timeout
        while (left := deadline - time.monotonic()) > 0:
            try:
                return await self._at_owner(name, method, args, left)
            except Moved:
                await asyncio.sleep(min(_PAUSE, left))
        raise _on_its_way(name)

    async def publish(self, name: str, draft: Draft, members_only: bool) -> StreamPosition:
        """Have it published by the channel's owner, wherever that is by then; it is never overtaken
        by one that was published here later in that channel.

        Args:
            draft: one that `check` has nothing against.
            members_only: see `Channel.publish`.

        Raises:
            Unavailable, TimedOut: see `call`; Unavailable also when too many calls wait.
        """
        convoy = self._convoys.get(name)
        if convoy is None:
            here = self._server_id if self._host is not None else ""
            convoy = self._convoys[name] = Convoy(name, self._ring, here)
        try:
            return await self._follow(convoy, name, draft, members_only)
        finally:
            if convoy.empty:
                del self._convoys[name]

    async def _follow(
        self, convoy: Convoy, name: str, draft: Draft, members_only: bool
    ) -> StreamPosition:
        deadline = time.monotonic() + self._timeout
        number, gone = convoy.number(), self._go(convoy)
        refused_by = -1  # generation of the ring whose owner sent it back
        while (left := deadline - time.monotonic()) > 0:
            if not gone and not await _in_turn(convoy, number, left):
                break
            try:
                generation = self._ring().generation
                if refused_by == generation:  # its owner knows another one
                    await asyncio.sleep(min(_PAUSE, left))
                if (left := deadline - time.monotonic()) <= 0:
                    break
                place = await self._publish_at_owner(name, draft, members_only, left)
                convoy.taken = True
                return place
            except Moved:
                convoy.taken, gone, refused_by = False, False, generation
            finally:
                convoy.end()
        raise _on_its_way(name)

    def _go(self, convoy: Convoy) -> bool:
        try:
            return convoy.go()
        except Unavailable:
            self.refused += 1
            raise

    async def _publish_at_owner(
        self, name: str, draft: Draft, members_only: bool, left: float
    ) -> StreamPosition:
        if self._host is not None and self.owner(name) == self._server_id:
            # Each call less on this way counts: all that a busy worker does comes here.
            return await in_time(self._host.offer(name, draft, members_only), left)
        args = (draft.route, draft.body, draft.uid, draft.cid, draft.audience, members_only)
        return msgspec.convert(await self._at_owner(name, "publish", args, left), StreamPosition)

    async def _at_owner(self, name: str, method: str, args: Sequence[Any], left: float) -> Any:
        owner = self.owner(name)
        if owner is None:
            raise Unavailable("no server owns channels now")
        if owner == self._server_id and self._host is not None:
            return await in_time(getattr(self._host, method)(name, *args), left)
        try:
            return await self._remote(owner, f"channel.{method}", (name, *args), left)
        except Unlisted as error:  # it came, or went, before our servers.json said so
            raise Moved(error.message, owner=owner) from None


async def _in_turn(convoy: Convoy, number: int, left: float) -> bool:
    """Whether its turn came in time."""
    try:
        async with asyncio.timeout(left):
            await convoy.turn(number)
    except TimeoutError:
        return False
    return True


def _on_its_way(name: str) -> Unavailable:
    return Unavailable(f"channel {name} is on its way to another server")


def _ref(session: HasRef | SessionRef) -> SessionRef:
    return session if isinstance(session, SessionRef) else session.ref


def _request_of(ref: SessionRef) -> int:
    """The client's message id, when the work of now is done for a request of this session."""
    origin = current.get()
    same = origin.frontend == ref.frontend and origin.session == ref.session
    return origin.request if same else 0


def _within(offset: int | None) -> int | None:
    """The same place for all that is asked of it; clients may write numbers of any length."""
    return None if offset is None else max(-FURTHEST, min(offset, FURTHEST))
