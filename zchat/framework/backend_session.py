"""A session as handlers and remotes see it, on any server.

It is a copy, made for each request; the frontend owns the session. What is set here is known to
others after `push`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from zchat.frontend.session import Snapshot
from zchat.rooms.presence import SessionRef


class Call(Protocol):
    """An RPC to a server by id."""

    def __call__(self, server: str, method: str, args: Sequence[Any], /) -> Awaitable[Any]: ...


class BackendSession:
    """One client connection.

    Args:
        snapshot: the session as the frontend had it when the request came.
        call: reaches the frontend.
    """

    __slots__ = ("_call", "_settings", "_snapshot", "uid")

    def __init__(self, snapshot: Snapshot, call: Call) -> None:
        self._snapshot = snapshot
        self._settings = dict(snapshot.settings)
        self._call = call
        self.uid = snapshot.uid
        """Who the client says it is; empty until bound."""

    @property
    def id(self) -> int:
        """Names the session on its frontend."""
        return self._snapshot.id

    @property
    def frontend(self) -> str:
        """The id of the server that holds the connection."""
        return self._snapshot.frontend

    @property
    def ref(self) -> SessionRef:
        """Names the session in the whole cluster, for channels and remotes."""
        return SessionRef(self._snapshot.frontend, self._snapshot.incarnation, self._snapshot.id)

    @property
    def address(self) -> str:
        """The client's address."""
        return self._snapshot.address

    @property
    def host(self) -> str:
        """The host name by which the client reached its frontend."""
        return self._snapshot.host

    def get(self, key: str) -> Any:
        """One setting; None when it is not set."""
        return self._settings.get(key)

    def set(self, key: str, value: Any) -> None:
        """Change a setting of this copy; None takes it out. `push` tells the frontend."""
        self._settings[key] = value

    async def push(self, *keys: str) -> None:
        """Make these settings of the copy, or all, known to the frontend."""
        settings = {key: self._settings.get(key) for key in keys or self._settings}
        await self._call(self.frontend, "session.push", (self.id, settings))

    async def bind(self, uid: str) -> None:
        """Say who this is, for the whole life of the connection.

        Raises:
            RequestError: it is bound to another uid, or gone.
        """
        await self._call(self.frontend, "session.bind", (self.id, uid))
        self.uid = uid

    async def unbind(self, uid: str) -> None:
        """Forget who this is.

        Raises:
            RequestError: it is not bound to `uid`, or gone.
        """
        await self._call(self.frontend, "session.unbind", (self.id, uid))
        self.uid = ""

    async def drop(self, channel: str) -> None:
        """Leave a channel whose owner cannot be told now: nothing more comes from it, and the
        others are told of the leave once its owner is back, after the grace."""
        await self._call(self.frontend, "session.drop", (self.id, channel))

    async def kick(self, reason: str) -> None:
        """Close the connection; the client is told the reason."""
        await self._call(self.frontend, "session.kick", (self.id, reason))
