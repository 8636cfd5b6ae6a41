"""Sessions of clients that said in their handshake who they are, until they are signed in."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from zchat.errors import RequestError
from zchat.framework.sessions.logins import Logins, SignedInElsewhere
from zchat.frontend.session import Session
from zchat.frontend.sockets.disconnect import SIGNED_IN_ELSEWHERE, TOO_MANY_MESSAGES, UNAVAILABLE
from zchat.protocol.message import Message


class Newcomers:
    """Signs them in, and holds their messages meanwhile.

    A session's messages are bounded. When full, its connection is closed: `too_many_messages`.

    Args:
        logins: binds them.
        take: goes on with a message.
        spawn: runs work that nobody waits for.
        limit: messages held per session.
    """

    def __init__(
        self,
        logins: Logins,
        take: Callable[[Session, Message], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        limit: int,
    ) -> None:
        self._logins = logins
        self._take = take
        self._spawn = spawn
        self._limit = limit
        self._held: dict[int, list[Message]] = {}

    def begin(self, session: Session, uid: str) -> None:
        """A session is open, whose client is `uid`."""
        self._held[session.id] = []
        self._spawn(self._sign_in(session, uid), "sign in")

    def take(self, session: Session, message: Message) -> None:
        """A message came in on a session, of whatever kind."""
        held = self._held.get(session.id) if self._held else None
        if held is None:
            self._take(session, message)
        elif len(held) < self._limit:
            held.append(message)
        else:
            session.connection.close(TOO_MANY_MESSAGES)

    async def _sign_in(self, session: Session, uid: str) -> None:
        try:
            await self._logins.sign_in(session, uid)
        except SignedInElsewhere:
            session.connection.close(SIGNED_IN_ELSEWHERE)
        except RequestError as error:
            session.connection.close(UNAVAILABLE.because(error.message))
        finally:
            held = self._held.pop(session.id)
        if session.connection.disconnect is None:
            for message in held:
                self._take(session, message)
