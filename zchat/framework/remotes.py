"""Calls of one server's code to another's: `await app.rpc.chat.chatRemote.add(session, ...)`.

The first argument says where: a session (by the server type's router) or a server id. The rest go
to the remote's method. snake_case and camelCase names are the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from zchat.framework.router import Routable
from zchat.naming import camel

PREFIX = "remote."
"""Remotes stand in the table of methods under this prefix and their route."""

Pick = Callable[[str, Routable, str], str]
"""(server type, session, route) -> server id"""

Send = Callable[[str, str, tuple[Any, ...], float | None], Awaitable[Any]]
"""(server id, method, args, timeout) -> result"""


class Remotes:
    """`app.rpc`: server types as attributes.

    Args:
        pick: chooses the server for a session.
        send: calls a method of a server.
    """

    def __init__(self, pick: Pick, send: Send) -> None:
        self._pick = pick
        self._send = send

    def __getattr__(self, server_type: str) -> RemoteType:
        _refuse_private(server_type)
        return RemoteType(server_type, self._pick, self._send)


class RemoteType:
    """`app.rpc.chat`: its remotes as attributes."""

    def __init__(self, server_type: str, pick: Pick, send: Send) -> None:
        self._type = server_type
        self._pick = pick
        self._send = send

    def __getattr__(self, remote: str) -> RemoteObject:
        _refuse_private(remote)
        return RemoteObject(self._type, camel(remote), self._pick, self._send)


class RemoteObject:
    """`app.rpc.chat.chatRemote`: its methods as attributes."""

    def __init__(self, server_type: str, remote: str, pick: Pick, send: Send) -> None:
        self._type = server_type
        self._remote = remote
        self._pick = pick
        self._send = send

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        _refuse_private(method)
        route = f"{self._type}.{self._remote}.{camel(method)}"

        async def call(where: Routable | str, *args: Any, timeout: float | None = None) -> Any:
            server = where if isinstance(where, str) else self._pick(self._type, where, route)
            return await self._send(server, PREFIX + route, args, timeout)

        return call


def _refuse_private(name: str) -> None:
    """copy, pickle, inspect and consoles look for such names; no remote has them."""
    if name.startswith("_"):
        raise AttributeError(name)
