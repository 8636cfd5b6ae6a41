"""How the body of a handler's message is read: the annotation says what it must be."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from zchat.errors import BadRequest, ConfigError, ProtocolError
from zchat.framework.handlers.loader import Found
from zchat.protocol.body import loads, loads_lenient
from zchat.protocol.misfit import Misfit
from zchat.protocol.portable import portable
from zchat.protocol.protobuf import MessageType

EMPTY = b"{}"
"""A body that says nothing."""

_MISSING = re.compile(r"Object missing required field `(.*)`\Z")


def body_decoder(
    method: Any, found: Found, schema: MessageType | None = None
) -> Callable[[bytes], Any]:
    """Reads a handler's body into what its first parameter is annotated with; anything without.

    Args:
        schema: the route's, when it is not JSON that clients send on it.

    Raises:
        ConfigError: it cannot be called with a message and a session, or JSON cannot be read into
            its message's annotation. Its place is named.
    """
    try:
        inspect.signature(method).bind("msg", "session")
        first = next(iter(inspect.signature(method).parameters))
        wanted = typing.get_type_hints(method, include_extras=True).get(first, Any)
        if wanted in (Any, object, dict) or typing.get_origin(wanted) is dict:
            return _decode_any if schema is None else _schema_decoder(schema, Any)
        typed = _typed_decoder(wanted)
        return typed if schema is None else _schema_decoder(schema, wanted)
    except (TypeError, NameError) as error:
        raise ConfigError(f"{found.path}:{found.line}: {found.route}: {error}") from error


def _decode_any(body: bytes) -> Any:
    try:
        return portable(loads_lenient(body), len(body))
    except Misfit as error:
        raise _bad_request(error) from None


def _typed_decoder(wanted: Any) -> Callable[[bytes], Any]:
    decoder = msgspec.json.Decoder(wanted)

    def decode(body: bytes) -> Any:
        try:
            return portable(decoder.decode(body or EMPTY), len(body))
        except (msgspec.ValidationError, Misfit) as error:
            raise _bad_request(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _convert_mended(body, wanted)

    return decode


def _schema_decoder(schema: MessageType, wanted: Any) -> Callable[[bytes], Any]:
    def decode(body: bytes) -> Any:
        try:
            return msgspec.convert(schema.decode(body), wanted, str_keys=True)
        except (msgspec.ValidationError, Misfit) as error:
            raise _bad_request(error) from None

    return decode


def _convert_mended(body: bytes, wanted: Any) -> Any:
    """Bodies from clients that write CESU-8 or half a pair, and those that are no JSON at all."""
    try:
        return msgspec.convert(portable(loads(body), len(body)), wanted, str_keys=True)
    except (msgspec.ValidationError, Misfit) as error:
        raise _bad_request(error) from None
    except ProtocolError as error:
        raise BadRequest(f"the body is {error}") from None


def _bad_request(error: msgspec.ValidationError | Misfit) -> BadRequest:
    """msgspec says: Expected `str`, got `int` - at `$.name`."""
    if isinstance(error, Misfit):
        return BadRequest(error.problem, path=error.path)
    message = str(error)
    reason, _, where = message.rpartition(" - at `") if " - at `" in message else (message, "", "")
    path = where.partition("$")[2].rstrip("`")
    missing = _MISSING.match(reason)
    return BadRequest(
        reason, path=f"{path}.{missing[1]}".strip(".") if missing else path.strip(".")
    )
