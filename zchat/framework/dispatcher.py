"""From a route to a handler, and from what it does to one answer.

The table is built at start and printed by `zchat routes`; a message looks up a key, never an
attribute. This is the only place where exceptions become codes.
"""

from __future__ import annotations

import inspect
import logging
import re
import typing
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from zchat.errors import BadRequest, ConfigError, ProtocolError, RequestError
from zchat.framework.backend_session import BackendSession
from zchat.framework.context import Origin, RequestKey, current, request_key
from zchat.framework.deadline import in_time
from zchat.framework.loader import Found
from zchat.protocol.body import dumps, loads, loads_lenient
from zchat.protocol.package import MAX_BODY

logger = logging.getLogger("zchat.app")

EMPTY = b"{}"
MAX_ANSWER = MAX_BODY - 32
"""Bytes of an answer's body, with room for the message's head."""
_MISSING = re.compile(r"Object missing required field `(.*)`\Z")
INTERNAL_ERROR = dumps({"code": 500, "error": "internal error"})


def retry(function: Any) -> Any:
    """Mark a handler as safe to run twice: a lost request is sent again by itself."""
    function.zchat_retry = True
    return function


def serial(function: Any) -> Any:
    """Mark a handler of a frontend as one of those that a session runs one at a time, in order."""
    function.zchat_serial = True
    return function


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table."""

    route: str
    call: Callable[[Any, BackendSession], Awaitable[Any]]
    decode: Callable[[bytes], Any]
    found: Found


class Dispatcher:
    """Runs handlers of this server's type.

    Args:
        found: what the loader found.
        instance: the one instance of a handler class.

    Raises:
        ConfigError: a handler cannot be called with a message and a session, or its message's
            annotation is none that JSON can be read into. Its place is named.
    """

    def __init__(self, found: Iterable[Found], instance: Callable[[type], Any]) -> None:
        self.table: dict[str, Entry] = {}
        for entry in found:
            method = getattr(instance(entry.cls), entry.method)
            route = str(entry.route)
            self.table[route] = Entry(route, method, _decoder(method, entry), entry)

    def is_serial(self, route: str) -> bool:
        """Whether the handler is marked `serial`."""
        entry = self.table.get(route)
        return entry is not None and hasattr(entry.call, "zchat_serial")

    async def answer(
        self, route: str, session: BackendSession, body: bytes, request: int, budget: float
    ) -> bytes:
        """Run the handler; returns the answer's body, whatever happens in it.

        Args:
            request: the client's message id; 0 for a notify.
            budget: seconds that it may take; then it is cancelled.
        """
        current.set(Origin(session.frontend, session.id, request))
        request_key.set(RequestKey(_name(session, request)) if request else None)
        try:
            return await in_time(self._run(route, session, body), budget)
        except RequestError as error:
            return self._body_of(error, route, session, request)
        except Exception:
            return self._internal_error(route, session, request)

    def _body_of(
        self, error: RequestError, route: str, session: BackendSession, request: int
    ) -> bytes:
        try:
            return dumps(error.body())
        except Exception:  # its fields are no JSON
            return self._internal_error(route, session, request)

    def _internal_error(self, route: str, session: BackendSession, request: int) -> bytes:
        """Log the exception of now; the client learns nothing of it."""
        logger.exception(
            "%s failed: session %s/%d, request %d", route, session.frontend, session.id, request
        )
        return INTERNAL_ERROR

    async def _run(self, route: str, session: BackendSession, body: bytes) -> bytes:
        entry = self.table.get(route)
        if entry is None:
            raise RequestError(f"no handler for {_printable(route)}")
        result = await entry.call(entry.decode(body), session)
        # Nothing, and what JavaScript takes for it, is an empty object to clients (wire 13.2).
        answer = EMPTY if result in (None, 0, "") else dumps(result)
        if len(answer) > MAX_ANSWER:
            raise ValueError(f"an answer of {len(answer)} bytes; {MAX_ANSWER} can be sent")
        return answer


def _decoder(method: Any, found: Found) -> Callable[[bytes], Any]:
    """How a handler's body is read: its first parameter's annotation says what it must be."""
    try:
        inspect.signature(method).bind("msg", "session")
        first = next(iter(inspect.signature(method).parameters))
        wanted = typing.get_type_hints(method, include_extras=True).get(first, Any)
        if wanted in (Any, object, dict) or typing.get_origin(wanted) is dict:
            return loads_lenient
        return _typed_decoder(wanted)
    except (TypeError, NameError) as error:
        raise ConfigError(f"{found.path}:{found.line}: {found.route}: {error}") from error


def _typed_decoder(wanted: Any) -> Callable[[bytes], Any]:
    decoder = msgspec.json.Decoder(wanted)

    def decode(body: bytes) -> Any:
        try:
            return decoder.decode(body or EMPTY)
        except msgspec.ValidationError as error:
            raise _bad_request(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _convert_mended(body, wanted)

    return decode


def _convert_mended(body: bytes, wanted: Any) -> Any:
    """Bodies from clients that write CESU-8 or half a pair, and those that are no JSON at all."""
    try:
        return msgspec.convert(loads(body), wanted, str_keys=True)
    except msgspec.ValidationError as error:
        raise _bad_request(str(error)) from None
    except ProtocolError as error:
        raise BadRequest(f"the body is {error}") from None


def _bad_request(message: str) -> BadRequest:
    """msgspec says: Expected `str`, got `int` - at `$.name`."""
    reason, _, where = message.rpartition(" - at `") if " - at `" in message else (message, "", "")
    path = where.partition("$")[2].rstrip("`")
    missing = _MISSING.match(reason)
    return BadRequest(
        reason, path=f"{path}.{missing[1]}".strip(".") if missing else path.strip(".")
    )


def _name(session: BackendSession, request: int) -> str:
    """One request, in the cluster and for all time; short, for clients get it as an `id`."""
    return f"{session.ref.incarnation[:8]}-{session.id:x}-{request:x}"


def _printable(route: str) -> str:
    return route[:100].encode("unicode_escape").decode()
