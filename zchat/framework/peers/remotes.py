"""Calls of one server's code to another's: `await app.rpc.chat.chatRemote.add(session, ...)`.

    await app.rpc.chat.chatRemote.add(session, name)                 by the type's router
    await app.rpc.chat.chatRemote.add.to("chat-server-1")(name)      at that server
    await app.rpc.chat.chatRemote.add.to_all(name)                   at each: {server id: result}

snake_case and camelCase names are the same. How calls fail: see `Calls.call`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from zchat.errors import RequestError
from zchat.framework.peers.calls import Calls
from zchat.framework.peers.router import Routable
from zchat.naming import camel

Pick = Callable[[str, Routable, str], str]
"""(server type, session, route) -> server id"""

ServersOf = Callable[[str], Sequence[str]]
"""server type -> ids of the listed servers"""


class Remotes:
    """`app.rpc`: server types as attributes.

    Args:
        pick: chooses the server for a session.
        calls: calls a method of a server.
        servers_of: who is called when all of a type are.
    """

    def __init__(self, pick: Pick, calls: Calls, servers_of: ServersOf) -> None:
        self._pick = pick
        self._calls = calls
        self._servers_of = servers_of

    def __getattr__(self, server_type: str) -> RemoteType:
        _refuse_private(server_type)
        return RemoteType(server_type, self)


class RemoteType:
    """`app.rpc.chat`: its remotes as attributes."""

    def __init__(self, server_type: str, remotes: Remotes) -> None:
        self._type = server_type
        self._remotes = remotes

    def __getattr__(self, remote: str) -> RemoteObject:
        _refuse_private(remote)
        return RemoteObject(self._type, camel(remote), self._remotes)


class RemoteObject:
    """`app.rpc.chat.chatRemote`: its methods as attributes."""

    def __init__(self, server_type: str, remote: str, remotes: Remotes) -> None:
        self._type = server_type
        self._remote = remote
        self._remotes = remotes

    def __getattr__(self, method: str) -> RemoteMethod:
        _refuse_private(method)
        route = f"{self._type}.{self._remote}.{camel(method)}"
        return RemoteMethod(self._type, route, self._remotes)


class RemoteMethod:
    """`app.rpc.chat.chatRemote.add`: call it, or say first where."""

    __slots__ = ("_remotes", "_route", "_type")

    def __init__(self, server_type: str, route: str, remotes: Remotes) -> None:
        self._type = server_type
        self._route = route
        self._remotes = remotes

    async def __call__(
        self, where: Routable | str, *args: Any, timeout: float | None = None, retry: bool = False
    ) -> Any:
        """Call it; see `Calls.call` for the rest.

        Args:
            where: a session, for which the type's router chooses, or a server's id.
        """
        remotes, route = self._remotes, self._route
        server = where if isinstance(where, str) else remotes._pick(self._type, where, route)
        return await remotes._calls.call(server, route, args, timeout, retry=retry)

    def to(self, server: str) -> ServerMethod:
        """The method at this server, and no other."""
        return ServerMethod(server, self._route, self._remotes._calls)

    async def to_all(
        self, *args: Any, timeout: float | None = None, retry: bool = False
    ) -> dict[str, Any]:
        """Call it at every listed server of the type, at the same time.

        Returns:
            By server id what each returned, or the RequestError that its call failed with.

        Raises:
            TypeError: an argument cannot be packed.
        """
        calls, servers = self._remotes._calls, self._remotes._servers_of(self._type)
        results = await asyncio.gather(
            *(calls.call(server, self._route, args, timeout, retry=retry) for server in servers),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, RequestError):
                raise result
        return dict(zip(servers, results, strict=True))


class ServerMethod:
    """`app.rpc.chat.chatRemote.add.to("chat-server-1")`."""

    __slots__ = ("_calls", "_route", "_server")

    def __init__(self, server: str, route: str, calls: Calls) -> None:
        self._server = server
        self._route = route
        self._calls = calls

    async def __call__(self, *args: Any, timeout: float | None = None, retry: bool = False) -> Any:
        """Call it; see `Calls.call`."""
        return await self._calls.call(self._server, self._route, args, timeout, retry=retry)


def _refuse_private(name: str) -> None:
    """copy, pickle, inspect and consoles look for such names; no remote has them."""
    if name.startswith("_"):
        raise AttributeError(name)
