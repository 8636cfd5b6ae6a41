"""The request that the running code works for, wherever in the cluster it runs.

A handler's calls to other servers carry it along, so that a join ordered three servers away still
knows which answer the client waits for.
"""

from __future__ import annotations

from contextvars import ContextVar

import msgspec

from zchat.rooms.presence import SessionRef


class Origin(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Names one client request over the whole cluster."""

    frontend: str = ""
    session: int = 0
    request: int = 0
    """The client's message id; 0 for a notify."""


NOBODY = Origin()
"""Work that no client asked for."""


class RequestKey:
    """Names each thing that a handler publishes for one request, so that a repeat is known.

    A request that is sent again runs its handler again, which publishes the same things in the
    same order.

    Args:
        session: whose request it is.
        request: the client's message id.
    """

    __slots__ = ("_count", "_request", "_session")

    def __init__(self, session: SessionRef, request: int) -> None:
        self._session = session
        self._request = request
        self._count = 0

    def next(self) -> str:
        """The id of what is published next: short, for clients get it."""
        self._count += 1
        session = self._session
        name = f"{session.incarnation[:8]}-{session.session:x}-{self._request:x}"
        return f"{name}-{self._count}"


request_key: ContextVar[RequestKey | None] = ContextVar("request_key", default=None)
"""The request whose handler runs now; None elsewhere."""

current: ContextVar[Origin] = ContextVar("origin", default=NOBODY)
"""The origin of the work that runs now."""

caller: ContextVar[str] = ContextVar("caller", default="")
"""The id of the server whose call runs now; empty when none does."""

encode_origin = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Origin).decode


def decode_origin(data: bytes) -> Origin:
    """What `encode_origin` wrote; nothing at all is nobody."""
    return _decode(data) if data else NOBODY
