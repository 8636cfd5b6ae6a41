"""Logins: which sessions may be bound to one uid at the same time, in the whole cluster.

    allow    any number
    refuse   one; who signs in again elsewhere is refused
    newest   one; who signs in again elsewhere takes the place of the former, which is kicked

With `refuse` and `newest` a bound session is in the channel LOGIN + uid, which is of no other use:
its owner decides, announces of frontends tell a new owner who is in, and a dead frontend's sessions
are out with its link. With `newest` all sessions share one resume token, by which the later one
takes the place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, get_args

from zchat.errors import BadRequest, RequestError
from zchat.frontend.session import Session
from zchat.rooms.presence import AlreadyMember, SessionRef

Policy = Literal["allow", "refuse", "newest"]
POLICIES = get_args(Policy)

LOGIN = "\x02"
"""Begins the names of these channels; an application's names begin with no control character."""

_MAX_UID = 199
_NEWEST = "newest"


class SignedInElsewhere(RequestError):
    """Another session has the uid, and the application allows only one."""

    code = 409


class LoginChannel(Protocol):
    """What is used of a channel; see `framework.channels.channel.Channel`."""

    async def add(
        self, uid: str, session: SessionRef, *, exclusive: bool, resume: str
    ) -> object: ...

    async def leave(self, uid: str, session: SessionRef) -> None: ...


class Logins:
    """Binds the sessions of one frontend.

    Args:
        policy: see above.
        channel: the channel of a name, which need not be one that applications may use.
        bound: told of each session that was bound.
        drop: takes a session out of a channel whose owner cannot be told.
        is_open: whether a session still has its connection.
    """

    def __init__(
        self,
        policy: Policy,
        channel: Callable[[str], LoginChannel],
        bound: Callable[[Session], None],
        drop: Callable[[Session, str], None],
        is_open: Callable[[Session], bool],
    ) -> None:
        self._policy = policy
        self._channel = channel
        self._bound = bound
        self._drop = drop
        self._is_open = is_open

    async def sign_in(self, session: Session, uid: str) -> None:
        """Bind a session. Binding it to the uid that it has changes nothing.

        Raises:
            AlreadyBound: it is bound to another uid.
            BadRequest: the uid is none.
            SignedInElsewhere: another session has the uid, and the policy is `refuse`.
            Unavailable, TimedOut: whether there is another session cannot be found out now.
            RequestError: its connection has closed.
        """
        session.check_uid(uid)
        if session.uid:
            return
        if self._policy != "allow":
            await self._take_place(session, uid)
        try:
            if not self._is_open(session):
                raise RequestError(f"session {session.id} is gone")
            first = not session.uid
            session.bind(uid)  # or it was bound meanwhile
        except RequestError:
            if session.uid != uid:
                await self._give_place_up(session, uid)
            raise
        if first:
            self._bound(session)

    async def sign_out(self, session: Session, uid: str) -> None:
        """Unbind a session.

        Raises:
            RequestError: it is not bound to `uid`.
        """
        session.unbind(uid)
        await self._give_place_up(session, uid)

    async def _take_place(self, session: Session, uid: str) -> None:
        if len(uid) > _MAX_UID or "\0" in uid or not _is_text(uid):
            raise BadRequest(f"a uid has at most {_MAX_UID} characters and no NUL", path="uid")
        token = _NEWEST if self._policy == "newest" else ""
        channel = self._channel(LOGIN + uid)
        try:
            await channel.add(uid, session.ref, exclusive=True, resume=token)
        except AlreadyMember:
            raise SignedInElsewhere(f"{uid} is signed in on another connection") from None

    async def _give_place_up(self, session: Session, uid: str) -> None:
        if self._policy == "allow":
            return
        try:
            await self._channel(LOGIN + uid).leave(uid, session.ref)
        except RequestError:
            self._drop(session, LOGIN + uid)


def _is_text(uid: str) -> bool:
    """Whether it is no half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in uid)
