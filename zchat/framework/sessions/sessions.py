"""`app.sessions`: everybody's sessions, from any server.

All frontends are asked, one call each: nothing is kept beside what they have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from zchat.errors import RequestError
from zchat.framework.sessions.backend_session import BackendSession
from zchat.frontend.session import Session, decode_snapshot
from zchat.rooms.presence import SessionRef


class Call(Protocol):
    """An RPC to a server by id; see `Node.call`."""

    def __call__(
        self, server_id: str, method: str, args: Sequence[Any], /, *, patient: bool = True
    ) -> Awaitable[Any]: ...


class Sessions:
    """The author's way to sessions other than the one that asks.

    Args:
        call: reaches frontends.
        frontends: the ids of all that are listed.
        package: makes a push: (route, body).
        held: the sessions that this server holds itself.
    """

    def __init__(
        self,
        call: Call,
        frontends: Callable[[], Sequence[str]],
        package: Callable[[str, Any], bytes],
        held: Callable[[], Iterable[Session]],
    ) -> None:
        self._call = call
        self._frontends = frontends
        self._package = package
        self._held = held

    def here(self) -> list[BackendSession]:
        """Those that this server holds, bound or not; none on a backend."""
        return [BackendSession(session.snapshot(), self._call) for session in self._held()]

    async def get(self, ref: SessionRef) -> BackendSession | None:
        """A session as it is now; None when it is gone.

        Raises:
            Unavailable, TimedOut: its frontend does not answer.
        """
        raw = await self._call(ref.frontend, "session.get", (ref,), patient=False)
        return None if raw is None else self._copy(raw)

    async def of(self, uid: str) -> list[BackendSession]:
        """All sessions that are bound to a uid: where they are, and what is set.

        Raises:
            Unavailable, TimedOut: a frontend does not answer.
        """
        found = await self._ask_all("session.of_uid", uid)
        return [self._copy(raw) for snapshots in found for raw in snapshots]

    async def kick(self, uid: str, reason: str = "kick") -> int:
        """Close all connections of a uid; their clients are told the reason.

        A handler's own session is closed when its request is answered.

        Returns:
            How many there were.

        Raises:
            Unavailable, TimedOut: a frontend does not answer, and may have more of them; on the
                others they are closed.
        """
        return sum(await self._ask_all("session.kick_uid", uid, reason))

    async def kick_session(self, ref: SessionRef, reason: str = "kick") -> None:
        """Close one connection.

        Raises:
            RequestError: it is gone, or its frontend does not answer.
        """
        await self._call(ref.frontend, "session.kick", (ref, reason), patient=False)

    async def push_to(self, uids: Iterable[str], route: str, body: Any) -> list[str]:
        """Push to all sessions of these uids, wherever they are.

        Best effort: not ordered against what channels publish, not journalled, not sent again.

        Args:
            route: the push that clients get.
            body: its body.

        Returns:
            Those uids of which no session was found, each once, in their order.

        Raises:
            ValueError, TypeError: the body cannot be sent, or does not fit the route's schema.
        """
        wanted = list(dict.fromkeys(uids))
        if not wanted:
            return []
        answers = await self._gather("session.push_to", wanted, self._package(route, body))
        missing = set(wanted)
        for answer in answers:
            if not isinstance(answer, BaseException):
                missing.intersection_update(answer)
        return [uid for uid in wanted if uid in missing]

    async def broadcast(
        self,
        frontends: Iterable[str],
        route: str,
        body: Any,
        *,
        where: dict[str, Any] | None = None,
        bound: bool = False,
    ) -> int:
        """Push to all clients of some frontends. Best effort, like `push_to`.

        Args:
            frontends: their ids.
            route: the push that clients get.
            body: its body.
            where: only to sessions that have these settings.
            bound: only to those of which is known who they are.

        Returns:
            How many sessions it was sent to. Those of a frontend that does not answer are not
            counted.

        Raises:
            ValueError, TypeError: the body cannot be sent, or does not fit the route's schema.
        """
        args = (self._package(route, body), where or {}, bound)
        answers = await self._gather("session.broadcast", *args, frontends=frontends)
        return sum(answer for answer in answers if not isinstance(answer, BaseException))

    async def _ask_all(self, method: str, *args: Any) -> list[Any]:
        answers = await self._gather(method, *args)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    async def _gather(
        self, method: str, *args: Any, frontends: Iterable[str] | None = None
    ) -> list[Any]:
        """What each frontend answers, or the RequestError with which it does not."""
        asked = self._frontends() if frontends is None else frontends
        calls = (self._call(server, method, args, patient=False) for server in asked)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, RequestError):
                raise answer
        return answers

    def _copy(self, raw: bytes) -> BackendSession:
        return BackendSession(decode_snapshot(raw), self._call)
