"""Notices: how backends hear of sessions that are bound or close.

Only servers of types that have hooks are told, and only those that had a request of the session:
each gets one cast when it is bound and one when it closes, and nothing else is sent for it. What
was lost with a link is asked for once when the next one is there; see `Acquaintances`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec

from zchat.errors import RequestError
from zchat.framework.peers.methods import Methods
from zchat.framework.sessions.acquaintances import Acquaintances
from zchat.framework.sessions.hooks import SessionEvents
from zchat.frontend.session import Session, SessionTable, Snapshot, decode_snapshot
from zchat.frontend.sockets.disconnect import CONNECTION_LOST
from zchat.rooms.presence import SessionRef

logger = logging.getLogger("zchat.session")

_PAUSE = 0.5


class NoticeSender:
    """The frontend's end.

    Args:
        sessions: of this frontend.
        events: runs the hooks here.
        types: the server types that have hooks.
        cast: tells a server something; False when it cannot be told.
        methods: where it lets backends ask.
    """

    def __init__(
        self,
        sessions: SessionTable,
        events: SessionEvents,
        types: frozenset[str],
        cast: Callable[[str, str, Sequence[Any]], bool],
        methods: Methods,
    ) -> None:
        self._sessions = sessions
        self._events = events
        self._cast = cast
        self.types = types
        methods.add("session.which", self._which)

    def asked(self, session: Session, server: str) -> None:
        """A server gets a request of this session, and so is told of its end."""
        if session.told is None:
            session.told = set()
        session.told.add(server)

    def bound(self, session: Session) -> None:
        """A session was bound."""
        self._events.bound(session.snapshot())
        for server in session.told or ():
            self._cast(server, "session.bound", (session.encoded(),))

    def closed(self, session: Session, reason: str) -> None:
        """A session has closed."""
        self._events.closed(session.snapshot(), reason)
        for server in session.told or ():
            self._cast(server, "session.closed", (session.ref, reason))

    async def _which(self, incarnation: str, numbers: list[int]) -> list[bytes | None]:
        """The snapshots of these sessions; None for those that are gone."""
        if incarnation != self._sessions.incarnation:
            return [None] * len(numbers)
        sessions = [self._sessions.get(number) for number in numbers]
        return [session.encoded() if session else None for session in sessions]


class NoticeReceiver:
    """The backend's end; call `tick` at least twice a second.

    Args:
        events: runs the hooks here.
        grace: see `Acquaintances`.
        call: calls another server.
        spawn: runs work that nobody waits for.
        methods: where it lets frontends tell.
    """

    def __init__(
        self,
        events: SessionEvents,
        grace: float,
        call: Callable[[str, str, Sequence[Any]], Awaitable[Any]],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        methods: Methods,
    ) -> None:
        self._events = events
        self._call = call
        self._spawn = spawn
        self._known = Acquaintances(grace)
        methods.add_cast("session.bound", self._hear_bound)
        methods.add_cast("session.closed", self._hear_closed)

    def meet(self, snapshot: Snapshot) -> None:
        """A request of this session is here."""
        if self._known.meet(snapshot):
            self._events.bound(snapshot)

    def frontend_up(self, frontend: str, incarnation: str) -> None:
        """A frontend has made a link: ask after its sessions, if any are known."""
        self._end(self._known.up(frontend, incarnation))
        if self._known.known(incarnation):
            self._spawn(self._ask(frontend, incarnation), "session.which")

    def frontend_lost(self, incarnation: str, now: float) -> None:
        """A frontend's link is lost."""
        self._end(self._known.lost(incarnation, now))

    def tick(self, now: float) -> None:
        """End what belongs to frontends that stay away."""
        self._end(self._known.expire(now))

    async def _ask(self, frontend: str, incarnation: str) -> None:
        while not self._known.is_away(incarnation):
            numbers = self._known.known(incarnation)
            try:
                answers = await self._call(frontend, "session.which", (incarnation, numbers))
            except RequestError as error:
                logger.info("sessions of %s: %s", frontend, error)
                await asyncio.sleep(_PAUSE)  # it may be unlisted, and have a link all the same
                continue
            for number, answer in zip(numbers, msgspec.convert(answers, list[Any]), strict=True):
                if answer is None:
                    ref = SessionRef(frontend, incarnation, number)
                    self._hear_closed(ref, CONNECTION_LOST.name)
                else:
                    self._hear_bound(answer)
            return

    def _hear_bound(self, snapshot: bytes) -> None:
        self.meet(decode_snapshot(snapshot))

    def _hear_closed(self, ref: SessionRef, reason: str) -> None:
        snapshot = self._known.close(ref)
        if snapshot is not None:
            self._events.closed(snapshot, reason)

    def _end(self, snapshots: Any) -> None:
        for snapshot in snapshots:
            self._events.closed(snapshot, CONNECTION_LOST.name)
