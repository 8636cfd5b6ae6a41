"""From a route to a handler, and from what it does to one answer.

The table is built at start and printed by `zchat routes`; a message looks up a key, never an
attribute. This is the only place where exceptions become codes.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import typing
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from zchat.errors import BadRequest, RequestError, TimedOut
from zchat.framework.backend_session import BackendSession
from zchat.framework.context import Origin, current
from zchat.framework.loader import Found
from zchat.protocol.body import dumps, loads_lenient, text
from zchat.protocol.package import MAX_BODY

logger = logging.getLogger("zchat.app")

EMPTY = b"{}"
MAX_ANSWER = MAX_BODY - 32
"""Bytes of an answer's body, with room for the message's head."""
INTERNAL_ERROR = dumps({"code": 500, "error": "internal error"})


def retry(function: Any) -> Any:
    """Mark a handler as safe to run twice: a lost request is sent again by itself."""
    function.zchat_retry = True
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
    """

    def __init__(self, found: Iterable[Found], instance: Callable[[type], Any]) -> None:
        self.table: dict[str, Entry] = {}
        for entry in found:
            method = getattr(instance(entry.cls), entry.method)
            route = str(entry.route)
            self.table[route] = Entry(route, method, _decoder(method), entry)

    async def answer(
        self, route: str, session: BackendSession, body: bytes, request: int, budget: float
    ) -> bytes:
        """Run the handler; returns the answer's body, whatever happens in it.

        Args:
            request: the client's message id; 0 for a notify.
            budget: seconds that it may take; then it is cancelled.
        """
        current.set(Origin(session.frontend, session.id, request))
        try:
            async with asyncio.timeout(budget):
                return await self._run(route, session, body)
        except TimeoutError:
            return dumps(TimedOut("not answered in time").body())
        except RequestError as error:
            return dumps(error.body())
        except Exception:
            logger.exception(
                "%s failed: session %s/%d, request %d", route, session.frontend, session.id, request
            )
            return INTERNAL_ERROR

    async def _run(self, route: str, session: BackendSession, body: bytes) -> bytes:
        entry = self.table.get(route)
        if entry is None:
            raise RequestError(f"no handler for {_printable(route)}")
        result = await entry.call(entry.decode(body), session)
        answer = dumps(result) if result else EMPTY
        if len(answer) > MAX_ANSWER:
            raise RequestError(f"an answer of {len(answer)} bytes is too large to send")
        return answer


def _decoder(method: Any) -> Callable[[bytes], Any]:
    """How a handler's body is read: its first parameter's annotation says what it must be."""
    hints = typing.get_type_hints(method, include_extras=True)
    first = next(iter(inspect.signature(method).parameters), "")
    wanted = hints.get(first, Any)
    if wanted is Any or typing.get_origin(wanted) is dict or wanted is dict:
        return loads_lenient
    decoder = msgspec.json.Decoder(wanted)

    def decode(body: bytes) -> Any:
        try:
            return decoder.decode(body or EMPTY)
        except msgspec.ValidationError as error:
            raise _bad_request(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _decode_mended(decoder, body)

    return decode


def _decode_mended(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """Bodies from clients that write CESU-8, and those that are no JSON at all."""
    try:
        return decoder.decode(text(body).encode())
    except msgspec.ValidationError as error:
        raise _bad_request(str(error)) from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None


def _bad_request(message: str) -> BadRequest:
    """msgspec says: Expected `str`, got `int` - at `$.name`."""
    reason, _, path = message.partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".")
    if not field and "required field `" in reason:
        field = reason.split("`")[1]
    return BadRequest(reason, path=field)


def _printable(route: str) -> str:
    return route[:100].encode("unicode_escape").decode()
