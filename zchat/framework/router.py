"""Which server runs a request: a function per server type.

    app.route("chat", by_channel("room"))                       the owner of the session's channel
    app.route("area", lambda session, msg, app, servers: ...)   an id or a server of `servers`

A type without a route goes by its sessions: each uid, or each session without one, always to the
same server while the list of servers is the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from zchat.config.topology import Server
from zchat.errors import RequestError, Unavailable
from zchat.protocol.body import loads_lenient
from zchat.rendezvous import choose

logger = logging.getLogger("zchat.app")


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


class Owners(Protocol):
    """The channels, as far as a router asks about them."""

    def owner(self, name: str) -> str | None: ...


class Cluster(Protocol):
    """What a router may ask of the application at work."""

    @property
    def channels(self) -> Owners: ...

    @property
    def server_types(self) -> Sequence[str]: ...

    def servers(self, server_type: str, /) -> Sequence[Server]: ...


Router = Callable[[Any, RoutedMessage, Any, Sequence[Server]], Server | str | None]
"""(session, message, application, servers of the type) -> one of these servers, or its id."""


def by_channel(key: str) -> Router:
    """To the owner of the channel that the session's setting `key` names.

    Without an owner of this type the channel's name chooses among the servers.
    """

    def route(
        session: Routable, msg: RoutedMessage, app: Cluster, servers: Sequence[Server]
    ) -> str | None:
        channel = session.get(key)
        if not channel:
            raise RequestError(f"no {key} yet: enter first")
        ids = [server.id for server in servers]
        owner = app.channels.owner(channel)
        return owner if owner in ids else choose(channel, ids)

    return route


def by_session(
    session: Routable, msg: RoutedMessage, app: Cluster, servers: Sequence[Server]
) -> str | None:
    """Each uid, or session without one, to the same server of the type: the default."""
    return choose(session.uid or str(session.id), [server.id for server in servers])


class Routers:
    """The routers of an application at work, by server type.

    Args:
        cluster: the application at work.
        routers: by server type; `by_session` for others.
    """

    def __init__(self, cluster: Cluster, routers: Mapping[str, Router]) -> None:
        self._cluster = cluster
        self._routers = routers

    def pick(self, server_type: str, session: Routable, route: str, raw: bytes) -> str:
        """The id of the server that runs this request.

        Raises:
            RequestError: there is no such server type, or the router refuses or fails.
            Unavailable: the type has no servers, or not the one that the router means.
        """
        servers = self._cluster.servers(server_type)
        if not servers:
            known = server_type in self._cluster.server_types
            error = Unavailable if known else RequestError
            raise error(f"no server of type {server_type[:50]}")
        picked = self._ask(server_type, session, RoutedMessage(route, raw), servers)
        picked_id = picked.id if isinstance(picked, Server) else picked
        if not any(server.id == picked_id for server in servers):
            raise Unavailable(f"no server of type {server_type} for this request")
        return str(picked_id)

    def _ask(
        self, server_type: str, session: Routable, message: RoutedMessage, servers: Sequence[Server]
    ) -> Server | str | None:
        """Routers read what clients wrote: their faults must not be ours."""
        router = self._routers.get(server_type, by_session)
        try:
            return router(session, message, self._cluster, servers)
        except RequestError:
            raise
        except Exception:
            logger.exception("the router of %s failed", server_type)
            raise RequestError("internal error") from None
