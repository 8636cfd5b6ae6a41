"""Bodies of messages: JSON as Pomelo's clients write and read it (pomelo wire 12).

JavaScript's browser client knows UTF-8 only up to three bytes a character. It sends an emoji as two
three-byte surrogate halves (CESU-8), and garbles one that comes as four bytes (pomelo wire 12.6).
So what goes out has such characters as `\\uXXXX\\uXXXX` escapes, which every client reads, and what
comes in may be UTF-8, CESU-8 or a mixture.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import msgspec

from zchat.errors import ProtocolError

__all__ = ["JSON", "BodyCodec", "JsonCodec", "dumps", "loads", "loads_lenient", "text"]


def dumps(value: Any) -> bytes:
    """Compact JSON whose characters outside the BMP are escaped.

    Raises:
        TypeError: a value that JSON cannot hold.
        ValueError: a string with half a surrogate pair.
        RecursionError: nested too deeply, or in a circle.
    """
    data = _encode(value)
    if data.isascii():
        return data
    return _FOUR_BYTES.sub(_escape, data)


def loads(data: bytes) -> Any:
    """The value that JSON text means.

    Bytes that are neither UTF-8 nor CESU-8, and escapes that are half a surrogate pair, become
    U+FFFD, so a string in the result can always be sent on.

    Raises:
        ProtocolError: not JSON, or nested too deeply.
    """
    try:
        return _decode(data)
    except (ValueError, RecursionError):
        return _loads_mended(data)


def loads_lenient(data: bytes) -> Any:
    """The body of a request or notify, as the reference hands it to handlers.

    What is not JSON, and null, 0, false and the empty string, become `{}` (pomelo wire 12.1).
    """
    try:
        value = loads(data)
    except ProtocolError:
        return {}
    return value if value or isinstance(value, list) else {}


def text(data: bytes) -> str:
    """Text from UTF-8 or CESU-8; every byte that is neither becomes U+FFFD."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _SURROGATES.sub(_join, data).decode("utf-8", "replace")


class BodyCodec(Protocol):
    """Turns bodies into bytes and back. Protobuf chooses a schema by route; JSON needs none."""

    def encode(self, route: str, value: Any) -> bytes:
        """The bytes of a body sent on `route`; never empty (pomelo wire 12.4)."""

    def decode(self, route: str, data: bytes) -> Any:
        """The body received on `route`, or in answer to a request on it.

        Raises:
            ProtocolError: the bytes are no body of this route.
        """


class JsonCodec:
    """JSON on every route."""

    def encode(self, route: str, value: Any) -> bytes:
        return dumps(value)

    def decode(self, route: str, data: bytes) -> Any:
        return loads(data)


JSON = JsonCodec()

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_FOUR_BYTES = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")
_SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
# A whole pair or any other escape is stepped over (so the second of two backslashes starts none);
# only what is left, half a pair, is a group.
_HALF_PAIR = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)


def _loads_mended(data: bytes) -> Any:
    """Second try, for text that a browser may well send and a strict decoder refuses."""
    mended = _HALF_PAIR.sub(_replace_half, text(data).encode())
    try:
        return _decode(mended)
    except RecursionError:
        raise ProtocolError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise ProtocolError(f"not JSON: {error}") from None


def _escape(match: re.Match[bytes]) -> bytes:
    offset = ord(match[0].decode()) - 0x10000
    return b"\\u%04x\\u%04x" % (0xD800 | offset >> 10, 0xDC00 | offset & 0x3FF)


def _join(match: re.Match[bytes]) -> bytes:
    pair = match[0].decode("utf-8", "surrogatepass")
    return pair.encode("utf-16-le", "surrogatepass").decode("utf-16-le").encode()


def _replace_half(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if match[1] else match[0]
