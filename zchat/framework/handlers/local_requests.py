"""Requests of a frontend's own clients for its own handlers, from the client to the one answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from zchat.errors import TimedOut
from zchat.framework.handlers.dispatcher import Dispatcher
from zchat.framework.sessions.backend_session import BackendSession, Call
from zchat.frontend.forwarder import Finish
from zchat.frontend.session import Session
from zchat.protocol.message import Message

_LATE = 1.0
"""Seconds past its deadline at which a request is answered without its handler."""


class LocalRequests:
    """Runs them here.

    The forwarder bounds them: a session has so many under way, and when full it refuses further
    ones.

    Args:
        dispatcher: this server's handlers.
        call: what handlers ask of this frontend for a session.
        spawn: runs work that nobody waits for.
        failed: told the session's id and the message's of each that fails.
        deadline: seconds that each has.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        call: Call,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        failed: Callable[[int, int], None],
        *,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dispatcher = dispatcher
        self._call = call
        self._spawn = spawn
        self._failed = failed
        self._deadline = deadline
        self._clock = clock
        # In the order of their ends: all have the same time.
        self._running: dict[Finish, tuple[float, Session, Message]] = {}

    def take(self, session: Session, message: Message, finish: Finish) -> None:
        """A client asks, or notifies.

        Args:
            finish: called with the answer's body; twice when a handler ends after `tick` gave up.
        """
        self._spawn(self._run(session, message, finish), message.route)

    def tick(self, now: float) -> None:
        """Answer what should have ended by now, even if its handler does not let itself be ended.

        Call it at least twice a second.
        """
        while self._running:
            finish, (end, session, message) = next(iter(self._running.items()))
            if end > now:
                break
            del self._running[finish]
            self._failed(session.id, message.id)
            finish(self._dispatcher.failure(message.route, TimedOut("not done in time")))

    async def _run(self, session: Session, message: Message, finish: Finish) -> None:
        until = self._clock() + self._deadline
        self._running[finish] = until + _LATE, session, message
        try:
            turn = self._dispatcher.turn(message.route, session.ref)
            if turn is None:
                await self._answer(session, message, finish, until)
                return
            async with turn:
                await self._answer(session, message, finish, until)
        finally:
            self._running.pop(finish, None)

    async def _answer(
        self, session: Session, message: Message, finish: Finish, until: float
    ) -> None:
        view = BackendSession(session.snapshot(), self._call)
        route, body, budget = message.route, message.body, until - self._clock()
        answer = self._dispatcher.answer(route, view, body, message.id, budget, self._failed)
        finish(await answer)
