"""The request that the running code works for, wherever in the cluster it runs.

A handler's calls to other servers carry it along, so that a join ordered three servers away still
knows which answer the client waits for.
"""

from __future__ import annotations

from contextvars import ContextVar

import msgspec


class Origin(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Names one client request over the whole cluster."""

    frontend: str = ""
    session: int = 0
    request: int = 0
    """The client's message id; 0 for a notify."""


NOBODY = Origin()
"""Work that no client asked for."""

current: ContextVar[Origin] = ContextVar("origin", default=NOBODY)
"""The origin of the work that runs now."""

encode_origin = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Origin).decode


def decode_origin(data: bytes) -> Origin:
    """What `encode_origin` wrote; nothing at all is nobody."""
    return _decode(data) if data else NOBODY
