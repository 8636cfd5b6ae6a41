"""Values of clients that servers can hand on to each other.

JSON has integers of any size. What servers tell each other and keep of a session is msgpack, whose
integers have 64 bits: what does not fit is refused where it comes in, where the client can be told.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from zchat.protocol.misfit import Misfit

__all__ = ["portable"]

T = TypeVar("T")

SPARE_DEPTH = 100
"""Levels of what a value may be put into, and of the calls made with it: how deep Python goes is
one limit for both."""

_HARMLESS_BYTES = 1_000
"""Shorter bodies cannot be nested so deeply that what they are put into matters."""

# To pack it costs 0.1 us, a tenth of looking for long numbers in the text. What only the
# application can make, in fields that JSON has no say in, is its own affair.
_pack = msgspec.msgpack.Encoder(enc_hook=lambda value: None).encode

# Kept, because to build it anew cost 8 us.
_inner: list[Any] = [None]
_outer = _inner
for _ in range(SPARE_DEPTH):
    _outer = [_outer]


def portable(value: T, size: int) -> T:
    """The value, which has been read from `size` bytes of JSON.

    Raises:
        Misfit: it has an integer of more than 64 bits, or is nested too deeply.
    """
    try:
        if size > _HARMLESS_BYTES:
            _inner[0] = value
            _pack(_outer)
        else:
            _pack(value)
    except RecursionError:
        raise Misfit("nested too deeply") from None
    except OverflowError:
        raise Misfit("expected integers of at most 64 bits", _large_one(value)) from None
    finally:
        _inner[0] = None
    return value


def _large_one(value: Any) -> str:
    """The path of an integer that does not fit."""
    found = [("", msgspec.to_builtins(value, enc_hook=lambda value: None))]
    while found:
        path, item = found.pop()
        if isinstance(item, dict):
            found += ((f"{path}.{key}".lstrip("."), inner) for key, inner in item.items())
        elif isinstance(item, list | tuple):
            found += ((f"{path}[{index}]", inner) for index, inner in enumerate(item))
        elif isinstance(item, int) and not -(2**63) <= item < 2**64:
            return path
    return ""
