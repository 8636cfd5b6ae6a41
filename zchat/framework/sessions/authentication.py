"""From a client's handshake to the application's word on who it is."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from zchat.errors import RequestError, Unavailable
from zchat.framework.sessions.entrance import Authenticate, Handshake, Identity
from zchat.frontend.sockets.connection import Connection
from zchat.protocol.handshake import HandshakeRequest

logger = logging.getLogger("zchat.app")

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class Authentication:
    """Asks the application about clients.

    Args:
        authenticate: the application's function.
        spawn: runs what has to wait.
        timeout: seconds that it may take.
        limit: how many may be undecided. When full, further clients are refused and counted as
            `handshakes_refused`: connections that went while they waited count until their answer
            is here, so their number alone bounds nothing.
    """

    def __init__(
        self, authenticate: Authenticate, spawn: Spawn, *, timeout: float, limit: int
    ) -> None:
        self._authenticate = authenticate
        self._spawn = spawn
        self._timeout = timeout
        self._limit = limit
        self._undecided = 0
        self.counters: Counter[str] = Counter()

    def ask(self, connection: Connection, request: HandshakeRequest) -> None:
        """A client wants to come in."""
        try:
            if self._undecided >= self._limit:
                raise Unavailable("too many clients wait to be let in")
            answer = self._authenticate(_handshake(connection, request))
            if inspect.isawaitable(answer):
                self._undecided += 1
                self._spawn(self._wait(connection, request, answer), "handshake")
            else:
                _accept(connection, request, answer)
        except Exception as error:
            self._refuse(connection, error)

    async def _wait(
        self, connection: Connection, request: HandshakeRequest, answer: Awaitable[Identity]
    ) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                identity = await answer
            _accept(connection, request, identity)
        except Exception as error:
            self._refuse(connection, error)
        finally:
            self._undecided -= 1

    def _refuse(self, connection: Connection, error: Exception) -> None:
        self.counters["handshakes_refused"] += 1
        if isinstance(error, RequestError):
            connection.refuse(error.message)
        else:
            logger.error("authenticate failed for %s", connection.remote_address, exc_info=error)
            connection.refuse("authenticate failed")


def _handshake(connection: Connection, request: HandshakeRequest) -> Handshake:
    return Handshake(
        request.user,
        request.client_type,
        request.version,
        connection.remote_address,
        connection.host,
    )


def _accept(connection: Connection, request: HandshakeRequest, identity: Identity) -> None:
    """Lets it in as who it is said to be.

    Raises:
        TypeError: nobody can be that.
    """
    match identity:
        case None:
            connection.accept(request, "", None)
        case str() as uid if uid:
            connection.accept(request, uid, None)
        case dict() as user:
            connection.accept(request, "", user)
        case (str() as uid, dict() as user) if uid:
            connection.accept(request, uid, user)
        case _:
            raise TypeError(
                f"authenticate returned {identity!r}; expected a uid, a dict, both or None"
            )
