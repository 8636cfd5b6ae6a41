"""From a route to a handler, and from what it does to one answer.

The table is built at start and printed by `zchat routes`; a message looks up a key, never an
attribute. This is the only place where exceptions become codes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from zchat.errors import RequestError
from zchat.framework.handlers.decoding import body_decoder
from zchat.framework.handlers.filters import Call, Filter, compose, serial
from zchat.framework.handlers.loader import Found
from zchat.framework.handlers.session_turns import SessionTurns
from zchat.framework.peers.context import Origin, RequestKey, current, request_key
from zchat.framework.peers.deadline import in_time
from zchat.framework.sessions.backend_session import BackendSession
from zchat.protocol.body import dumps
from zchat.protocol.package import MAX_BODY
from zchat.protocol.protos import NO_PROTOS, ProtoCodec
from zchat.rooms.presence import SessionRef

logger = logging.getLogger("zchat.app")

H = TypeVar("H", bound=Callable[..., Any])

MAX_ANSWER = MAX_BODY - 32
"""Bytes of an answer's body, with room for the message's head."""
_INTERNAL = {"code": 500, "error": "internal error"}
INTERNAL_ERROR = dumps(_INTERNAL)


ErrorHandler = Callable[[Exception, Any, BackendSession], Any]
"""(error, message or None, session) -> the answer, or None to leave it to others."""


def retry(function: H) -> H:
    """Mark a handler as safe to run twice: a lost request is sent again by itself."""
    marked: Any = function
    marked.zchat_retry = True
    return function


def is_retried(handler: object) -> bool:
    """Whether a handler is marked `retry`."""
    return hasattr(handler, "zchat_retry")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table."""

    route: str
    call: Call
    """The handler inside of its filters."""
    decode: Callable[[bytes], Any]
    serial: bool
    """Whether `serial` is one of them."""
    found: Found


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around the handlers."""

    app: Any = None
    """The application at work, as filters see it in `call.app`."""
    filters: Callable[[Found], Sequence[Filter]] = lambda found: ()
    """The filters of a handler, the outermost first."""
    on_error: Sequence[ErrorHandler] = ()
    """Asked in this order what a failed request is answered with."""
    bodies: ProtoCodec = NO_PROTOS.at_server
    """Reads the bodies of routes that have a schema, and writes their answers."""


def _nothing(session: int, request: int) -> None:
    """What else a failure means where nothing is to be undone."""


class Dispatcher:
    """Runs handlers of this server's type.

    Args:
        found: what the loader found.
        instance: the one instance of a handler class.
        around: their filters and error handlers.

    Attributes:
        counters: how many requests were answered with each code, of those that failed.

    Raises:
        ConfigError: a handler cannot be called with a message and a session, or its message's
            annotation is none that JSON can be read into. Its place is named.
    """

    def __init__(
        self,
        found: Iterable[Found],
        instance: Callable[[type], Any],
        around: Surroundings | None = None,
    ) -> None:
        around = around or Surroundings()
        self._on_error = tuple(around.on_error)
        self._bodies = around.bodies
        self._turns = SessionTurns()
        self.counters: Counter[str] = Counter()
        self.table: dict[str, Entry] = {}
        for entry in found:
            method = getattr(instance(entry.cls), entry.method)
            route, filters = str(entry.route), around.filters(entry)
            call = compose(filters, Call(route, around.app, method))
            decode = body_decoder(method, entry, around.bodies.incoming.get(route))
            self.table[route] = Entry(route, call, decode, serial in filters, entry)

    def turn(self, route: str, session: SessionRef) -> AbstractAsyncContextManager[None] | None:
        """What to wait for before the session's copy is made; None if the route is not `serial`."""
        entry = self.table.get(route)
        return self._turns.turn(session) if entry is not None and entry.serial else None

    def failure(self, route: str, error: RequestError) -> bytes:
        """What a request is answered with that no handler answers."""
        return self._bodies.failure(route, error.body())

    async def answer(
        self,
        route: str,
        session: BackendSession,
        body: bytes,
        request: int,
        budget: float,
        failed: Callable[[int, int], None] = _nothing,
    ) -> bytes:
        """Run the handler; returns the answer's body, whatever happens in it.

        Args:
            request: the client's message id; 0 for a notify.
            budget: seconds that it may take; then it is cancelled.
            failed: called with the session's id and `request` when it raises, or ends in no time.
        """
        current.set(Origin(session.frontend, session.id, request))
        request_key.set(RequestKey(session.ref, request) if request else None)
        message = None
        try:
            entry = self.table.get(route)
            if entry is None:
                raise RequestError(f"no handler for {_printable(route)}")
            message = entry.decode(body)
            return self._packed(route, await in_time(entry.call(message, session), budget))
        except Exception as error:
            failed(session.id, request)
            try:
                return self._failed(error, route, message, session)
            except Exception:
                return self._internal_error(route, session, request)
        except (asyncio.CancelledError, GeneratorExit):  # this server stops: not the handler's
            raise
        except BaseException:  # SystemExit and the like would end the whole server
            return self._internal_error(route, session, request)

    def _failed(self, error: Exception, route: str, message: Any, session: BackendSession) -> bytes:
        """The answer to a failed request; raises what is to be logged."""
        for handle in self._on_error:
            answer = handle(error, message, session)
            if answer is not None:
                body = self._packed(route, answer)
                self._count(answer.get("code", 200) if isinstance(answer, dict) else 200)
                return body
        if not isinstance(error, RequestError):
            raise error
        body = self._bodies.failure(route, error.body())
        self._count(error.code)
        return body

    def _internal_error(self, route: str, session: BackendSession, request: int) -> bytes:
        """Log the exception of now; the client learns nothing of it."""
        self._count(RequestError.code)
        logger.exception(
            "%s failed: session %s/%d, request %d", route, session.frontend, session.id, request
        )
        return self._bodies.failure(route, _INTERNAL)

    def _packed(self, route: str, result: Any) -> bytes:
        """The body of the answer.

        Raises:
            ValueError: it cannot be sent, or does not fit the route's schema.
            TypeError: it is no JSON.
        """
        # Nothing, and what JavaScript takes for it, is an empty object to clients (wire 13.2).
        answer = self._bodies.encode(route, {} if result in (None, 0, "") else result)
        if len(answer) > MAX_ANSWER:
            raise ValueError(f"an answer of {len(answer)} bytes; {MAX_ANSWER} can be sent")
        return answer

    def _count(self, code: object) -> None:
        if isinstance(code, int):
            self.counters[f"answered_{code}"] += 1


def _printable(route: str) -> str:
    return route[:100].encode("unicode_escape").decode()
