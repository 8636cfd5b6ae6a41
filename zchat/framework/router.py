"""Which server runs a request: a function per server type.

    app.route("chat", by_channel("room"))                       the owner of the session's channel
    app.route("area", lambda session, msg, app, servers: ...)   an id or a server of `servers`

A type without a route goes by its sessions: each uid, or each session without one, always to the
same server while the list of servers is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from zchat.config.topology import Server
from zchat.errors import RequestError, Unavailable
from zchat.protocol.body import loads_lenient
from zchat.rendezvous import choose

if TYPE_CHECKING:
    from zchat.framework.application import Application


class Routable(Protocol):
    """What a router may read of a session, on any server."""

    uid: str

    @property
    def id(self) -> int: ...

    def get(self, key: str) -> Any: ...


class RoutedMessage:
    """The message that a router decides on; its body is read only if the router looks."""

    __slots__ = ("_raw", "route")

    def __init__(self, route: str, raw: bytes) -> None:
        self.route = route
        self._raw = raw

    @property
    def body(self) -> Any:
        """The decoded body."""
        return loads_lenient(self._raw)


Router = Callable[[Any, RoutedMessage, "Application", Sequence[Server]], "Server | str | None"]


def by_channel(key: str) -> Router:
    """To the owner of the channel that the session's setting `key` names."""

    def route(
        session: Routable, msg: RoutedMessage, app: Application, servers: Sequence[Server]
    ) -> str | None:
        channel = session.get(key)
        if not channel:
            raise RequestError(f"no {key} yet: enter first")
        owner = app.channels.owner(channel)
        return owner or choose(channel, [server.id for server in servers])

    return route


def by_session(
    session: Routable, msg: RoutedMessage, app: Application, servers: Sequence[Server]
) -> str | None:
    """Each uid, or session without one, to the same server of the type: the default."""
    return choose(session.uid or str(session.id), [server.id for server in servers])


class Routers:
    """The routers of an application, by server type."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._routers: dict[str, Router] = {}

    def set(self, server_type: str, router: Router) -> None:
        """Use `router` for that type."""
        self._routers[server_type] = router

    def pick(self, server_type: str, session: Routable, route: str, raw: bytes) -> str:
        """The id of the server that runs this request.

        Raises:
            RequestError: there is no such server type, or the router refuses.
            Unavailable: the type has no servers.
        """
        app = self._app
        servers = app.servers(server_type)
        if not servers:
            known = server_type in app.server_types
            error = Unavailable if known else RequestError
            raise error(f"no server of type {server_type[:50]}")
        router = self._routers.get(server_type, by_session)
        picked = router(session, RoutedMessage(route, raw), app, servers)
        if picked is None:
            raise Unavailable(f"no server of type {server_type} for this request")
        return picked if isinstance(picked, str) else picked.id
