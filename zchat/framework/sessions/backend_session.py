"""A session as handlers and remotes see it, on any server.

It is a copy, made for each request; the frontend owns the session. What is set here is known to
others after `push`. A copy is never kept: it shows the session as it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from zchat.errors import RequestError
from zchat.frontend.session import Snapshot
from zchat.rooms.presence import SessionRef


class Call(Protocol):
    """An RPC to a server by id."""

    def __call__(self, server: str, method: str, args: Sequence[Any], /) -> Awaitable[Any]: ...


class StaleSession(RequestError):
    """The frontend has newer settings than the copy that was pushed; nothing was changed.

    The copy has the newer ones now, so it is enough to decide again and to push again.

    Attributes:
        settings: the newer values of the keys that were pushed; None for those that are not set.
    """

    code = 409

    def __init__(self, message: str, settings: dict[str, Any]) -> None:
        super().__init__(message)
        self.settings = settings


class BackendSession:
    """One client connection.

    Args:
        snapshot: the session as the frontend had it when the request came.
        call: reaches the frontend.
    """

    __slots__ = ("_call", "_set", "_settings", "_snapshot", "_version", "uid")

    def __init__(self, snapshot: Snapshot, call: Call) -> None:
        self._snapshot = snapshot
        self._settings = dict(snapshot.settings)
        self._version = snapshot.version
        self._set: dict[str, int] = {}  # keys that are not pushed yet, and the version they knew
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
        self._set.setdefault(key, self._version)

    async def push(self, *keys: str) -> None:
        """Make these settings of the copy known to the frontend, or all that were set.

        The copy then also has what others have pushed meanwhile.

        Raises:
            StaleSession: one of them was changed by somebody else after this copy was made.
            RequestError: the session is gone.
        """
        settings = {
            key: (self._set.get(key, self._version), self._settings.get(key))
            for key in keys or self._set
        }
        args = (self.ref, settings)
        taken, version, newest = await self._call(self.frontend, "session.push", args)
        for key in settings:
            self._set.pop(key, None)
        kept = {key: self._settings.get(key) for key in self._set}
        self._settings = {**newest, **kept}
        self._version = version
        if not taken:
            newer = {key: self._settings.get(key) for key in settings}
            raise StaleSession(f"newer settings than those pushed: {', '.join(newer)}", newer)

    async def bind(self, uid: str) -> None:
        """Say who this is, for the whole life of the connection.

        Raises:
            AlreadyBound: it is bound to another uid.
            SignedInElsewhere: another session has the uid, and the application allows only one.
            RequestError: it is gone.
        """
        await self._call(self.frontend, "session.bind", (self.ref, uid))
        self.uid = uid

    async def unbind(self, uid: str) -> None:
        """Forget who this is.

        Raises:
            RequestError: it is not bound to `uid`, or gone.
        """
        await self._call(self.frontend, "session.unbind", (self.ref, uid))
        self.uid = ""

    async def drop(self, channel: str) -> None:
        """Leave a channel whose owner cannot be told now: nothing more comes from it, and the
        others are told of the leave once its owner is back, after the grace."""
        await self._call(self.frontend, "session.drop", (self.ref, channel))

    async def kick(self, reason: str = "kick") -> None:
        """Close the connection; the client is told the reason, and does not come back by itself.

        In the handler of a request of this session: once that is answered.
        """
        await self._call(self.frontend, "session.kick", (self.ref, reason))
