"""A room as authors use it, on any server: the verbs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec

from zchat.framework.channels.joins import Joined
from zchat.framework.peers.context import current, request_key
from zchat.protocol.body import dumps
from zchat.rooms.presence import SessionRef
from zchat.rooms.recovery import FURTHEST, Page, Position
from zchat.rooms.stream import RESERVED, Draft, StreamPosition
from zchat.rooms.wish import Presence, Wish


class HasRef(Protocol):
    """A session, or its name in the cluster."""

    @property
    def ref(self) -> SessionRef: ...


class Owners(Protocol):
    """How a channel's owner is reached, wherever it is by then; see `channels.Channels`."""

    def package(self, route: str, body: Any, /) -> bytes: ...
    def check(self, route: str, body: dict[str, Any]) -> None: ...
    async def call(self, name: str, method: str, args: Sequence[Any]) -> Any: ...
    async def publish(self, name: str, draft: Draft, members_only: bool) -> StreamPosition: ...


class Channel:
    """One room. Cheap to make; nothing happens before a method is called."""

    __slots__ = ("_channels", "name")

    def __init__(self, name: str, channels: Owners) -> None:
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


def _ref(session: HasRef | SessionRef) -> SessionRef:
    return session if isinstance(session, SessionRef) else session.ref


def _request_of(ref: SessionRef) -> int:
    """The client's message id, when the work of now is done for a request of this session."""
    origin = current.get()
    same = origin.frontend == ref.frontend and origin.session == ref.session
    return origin.request if same else 0


def _within(offset: int | None) -> int | None:
    """The same place for all that is asked of it; applications may say numbers of any length."""
    return None if offset is None else max(-FURTHEST, min(offset, FURTHEST))
