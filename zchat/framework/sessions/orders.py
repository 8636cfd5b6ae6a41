"""What any server may ask a frontend to do with its sessions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from zchat.errors import RequestError
from zchat.framework.peers.context import current
from zchat.framework.peers.methods import Methods, decode, encode
from zchat.framework.sessions.logins import Logins
from zchat.frontend.dialect import Dialect
from zchat.frontend.session import Session, SessionTable
from zchat.frontend.sockets.disconnect import KICKED, Disconnect
from zchat.rooms.presence import SessionRef

logger = logging.getLogger("zchat.session")


class SessionOrders:
    """The frontend's end of `BackendSession` and `app.sessions`.

    Args:
        sessions: of this frontend.
        logins: binds them.
        drop: takes a session out of a channel whose owner cannot be told.
        methods: where the orders are offered.
        dialect: what clients here speak.
    """

    def __init__(
        self,
        sessions: SessionTable,
        logins: Logins,
        drop: Callable[[Session, str], None],
        methods: Methods,
        dialect: Dialect,
    ) -> None:
        self._sessions = sessions
        self._logins = logins
        self._drop_from = drop
        self._methods = methods
        self._dialect = dialect
        methods.add("session.push", self._push)
        methods.add("session.bind", self._bind)
        methods.add("session.unbind", self._unbind)
        methods.add("session.kick", self._kick)
        methods.add("session.drop", self._drop)
        methods.add("session.get", self._get)
        methods.add("session.of_uid", self._of_uid)
        methods.add("session.kick_uid", self._kick_uid)
        methods.add("session.push_to", self._push_to)
        methods.add("session.broadcast", self._broadcast)

    async def call(self, server: str, method: str, args: Sequence[Any]) -> Any:
        """What a handler of this frontend does with its session; packed, like calls of others.

        It has its request's deadline. With one of its own each, by `Node.call`, to bind and to push
        cost 8 us more of the 450 us that it takes to come in. And what is no RequestError reaches
        the handler as it is, where `Node.call` has it logged and raises RequestError.
        """
        return decode(await self._methods.invoke(method, encode(args)))

    def _session(self, ref: SessionRef) -> Session:
        """Of this life of the frontend: ids begin anew with each."""
        session = self._sessions.get(ref.session)
        if session is None or ref.incarnation != self._sessions.incarnation:
            raise RequestError(f"session {ref.session} is gone")
        return session

    async def _push(
        self, ref: SessionRef, settings: dict[str, tuple[int, Any]]
    ) -> tuple[bool, int, dict[str, Any]]:
        """Whether the copy was taken; and what is set now."""
        session = self._session(ref)
        taken = session.push_copy(settings)
        return taken, session.version, session.settings

    async def _bind(self, ref: SessionRef, uid: str) -> None:
        await self._logins.sign_in(self._session(ref), uid)

    async def _unbind(self, ref: SessionRef, uid: str) -> None:
        await self._logins.sign_out(self._session(ref), uid)

    async def _drop(self, ref: SessionRef, channel: str) -> None:
        self._drop_from(self._session(ref), channel)

    async def _kick(self, ref: SessionRef, reason: str) -> None:
        self._close(self._session(ref), reason)

    async def _get(self, ref: SessionRef) -> bytes | None:
        """The snapshot; None when the session is gone."""
        try:
            return self._session(ref).encoded()
        except RequestError:
            return None

    async def _of_uid(self, uid: str) -> list[bytes]:
        """The snapshots of the uid's sessions here."""
        return [session.encoded() for session in self._sessions.of_uid(uid)]

    async def _kick_uid(self, uid: str, reason: str) -> int:
        """Close all sessions of the uid; returns how many."""
        sessions = self._sessions.of_uid(uid)
        for session in sessions:
            self._close(session, reason)
        return len(sessions)

    async def _push_to(self, uids: list[str], package: bytes) -> list[str]:
        """Send a push to all sessions of these; returns the uids that have none here.

        What the dialect cannot read is logged by it, and sent to nobody.
        """
        if not self._dialect.is_whole:
            package = self._dialect.push(package)
        missing = []
        for uid in uids:
            sessions = self._sessions.of_uid(uid)
            for session in sessions if package else ():
                session.connection.send(package)
            if not sessions:
                missing.append(uid)
        return missing

    async def _broadcast(self, package: bytes, where: dict[str, Any], bound: bool) -> int:
        """Send a push to all sessions that have these settings; returns how many there are."""
        if not self._dialect.is_whole:
            package = self._dialect.push(package)
        count = 0
        for session in list(self._sessions) if package else ():
            settings = session.settings
            if bound and not session.uid:
                continue
            if all(key in settings and settings[key] == where[key] for key in where):
                session.connection.send(package)
                count += 1
        return count

    def _close(self, session: Session, reason: str) -> None:
        """A session that kicks itself gets the answer to that request first."""
        logger.info("session %d of %s is kicked: %s", session.id, session.uid or "nobody", reason)
        disconnect: Disconnect = KICKED.because(reason)
        origin = current.get()
        own = (origin.frontend, origin.session) == (self._sessions.frontend, session.id)
        if own and session.in_flight is not None and origin.request in session.in_flight:
            session.parting = origin.request, disconnect
        else:
            session.connection.close(disconnect)
