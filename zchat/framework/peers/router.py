"""Which server runs a request: a function per server type.

    app.route("chat", by_channel("room"))                       the owner of the session's channel
    app.route("team", by_session("team"))                       one server for each team
    app.route("area", lambda session, msg, app, servers: ...)   an id or a server of `servers`
    app.route("*", at_random())                                 types that have no route

A type without any goes by its sessions: each uid, or each session without one, always to the same
server while the list of servers is the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Protocol

from zchat.config.topology import Server
from zchat.errors import BadRequest, RequestError, Unavailable
from zchat.protocol.body import loads_lenient
from zchat.protocol.misfit import Misfit
from zchat.protocol.protobuf import MessageType
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

    __slots__ = ("_raw", "_schema", "route")

    def __init__(self, route: str, raw: bytes, schema: MessageType | None = None) -> None:
        self.route = route
        self._raw = raw
        self._schema = schema

    @property
    def body(self) -> Any:
        """The decoded body.

        Raises:
            BadRequest: it does not fit the route's schema.
        """
        if self._schema is None:
            return loads_lenient(self._raw)
        try:
            return self._schema.decode(self._raw)
        except Misfit as misfit:
            raise BadRequest(misfit.problem, path=misfit.path) from None


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

    def least_loaded(self, servers: Sequence[Server], /) -> Server | None: ...


Router = Callable[[Any, RoutedMessage, Any, Sequence[Server]], Server | str | None]
"""(session, message, application, servers of the type) -> one of these servers, or its id."""


def by_channel(key: str) -> Router:
    """To the owner of the channel that the session's setting `key` names.

    Without an owner of this type the channel's name chooses among the servers.
    """

    def route(
        session: Routable, msg: RoutedMessage, app: Cluster, servers: Sequence[Server]
    ) -> Server | str | None:
        channel = session.get(key)
        if not channel:
            raise RequestError(f"no {key} yet: enter first")
        owner = app.channels.owner(channel)
        for server in servers:
            if server.id == owner:
                return server
        return choose(channel, [server.id for server in servers])

    return route


def by_session(key: str = "uid") -> Router:
    """Sessions of which a setting is equal to the same server, by rendezvous hashing.

    When servers come or go only the sessions of those change theirs.

    Args:
        key: the setting; `uid` is who the session is bound to. A session that has it not goes by
            its uid, and by itself before it is bound.
    """

    def route(
        session: Routable, msg: RoutedMessage, app: Cluster, servers: Sequence[Server]
    ) -> str | None:
        value = session.uid if key == "uid" else session.get(key)
        if value in (None, ""):
            value = session.uid or session.id
        return choose(str(value), [server.id for server in servers])

    return route


def least_connections() -> Router:
    """To the server that has the least to do: see `Application.least_loaded`.

    For handlers that keep nothing of a session between two requests: each request may go to
    another server than the one before. Requests of one session still run in order, so that one
    with another server waits for the answers before it.
    """

    def route(
        session: Routable, msg: RoutedMessage, app: Cluster, servers: Sequence[Server]
    ) -> Server | None:
        return app.least_loaded(servers)

    return route


def at_random(random: Random | None = None) -> Router:
    """To any server; what `least_connections` says of handlers holds here too.

    Args:
        random: decides; one of its own when None.
    """
    dice = random or Random()

    def route(
        session: Routable, msg: RoutedMessage, app: Cluster, servers: Sequence[Server]
    ) -> Server:
        return dice.choice(servers)

    return route


EVERY_OTHER = "*"
"""The type that stands for all that have no route."""


class Routers:
    """The routers of an application at work, by server type.

    Args:
        cluster: the application at work.
        routers: by server type, or `*` for others; `by_session` without.
    """

    def __init__(self, cluster: Cluster, routers: Mapping[str, Router]) -> None:
        self._cluster = cluster
        self._routers = routers
        self._default = by_session()
        self.schemas: Mapping[str, MessageType] = {}
        """Of the bodies of messages, by route; others are JSON."""

    def pick(self, server_type: str, session: Routable, route: str, raw: bytes | None) -> str:
        """The id of the server that runs this request.

        Args:
            raw: the body of a client's message; None when it is a handler that calls a remote.

        Raises:
            RequestError: there is no such server type, it is one that only its own clients ask,
                or the router refuses or fails.
            Unavailable: the type has no servers, or not the one that the router means.
        """
        servers = self._cluster.servers(server_type)
        if not servers:
            known = server_type in self._cluster.server_types
            error = Unavailable if known else RequestError
            raise error(f"no server of type {server_type[:50]}")
        if raw is not None and servers[0].frontend:
            raise RequestError(f"{server_type} servers answer only clients that connect to them")
        message = RoutedMessage(route, raw or b"", self.schemas.get(route))
        picked = self._ask(server_type, session, message, servers)
        picked_id = picked.id if isinstance(picked, Server) else picked
        for server in servers:
            if server.id == picked_id:
                return server.id
        raise Unavailable(f"no server of type {server_type} for this request")

    def _ask(
        self, server_type: str, session: Routable, message: RoutedMessage, servers: Sequence[Server]
    ) -> Server | str | None:
        """Routers read what clients wrote: their faults must not be ours."""
        routers = self._routers
        router = routers.get(server_type) or routers.get(EVERY_OTHER, self._default)
        try:
            return router(session, message, self._cluster, servers)
        except RequestError:
            raise
        except Exception:
            logger.exception("the router of %s failed", server_type)
            raise RequestError("internal error") from None
