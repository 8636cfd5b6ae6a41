"""An application: what its author says once, for all of its servers.

    app = Application(__file__)
    app.route("chat", by_channel("room"))
    app.presence(joined="onJoin", left="onLeave")

Its code stands in `servers/` beside that file (see `loader`). In handlers and remotes, `self.app`
is the application at work on one server: it also knows that server, its channels and its peers.
"""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

from zchat.config.servers import ServersFile
from zchat.config.settings import Settings
from zchat.config.topology import Server
from zchat.errors import RequestError
from zchat.framework.app.components import Components
from zchat.framework.app.parts import Parts
from zchat.framework.app.plan import MOMENTS, Names, Plan, names
from zchat.framework.app.session_rules import SessionRules
from zchat.framework.channels.channels import Channels
from zchat.framework.handlers import loader
from zchat.framework.handlers.dispatcher import is_retried
from zchat.framework.handlers.loader import Found
from zchat.framework.peers.calls import Calls, RpcFilter
from zchat.framework.peers.loads import Loads
from zchat.framework.peers.node import Node
from zchat.framework.peers.remotes import Remotes
from zchat.framework.peers.router import Routable, Router, Routers
from zchat.framework.sessions.entrance import Entrance
from zchat.framework.sessions.sessions import Sessions
from zchat.rooms.channel import PresencePushes

Configure = TypeVar("Configure", bound=Callable[["Application"], None])
C = TypeVar("C")


class Work(Protocol):
    """The server that an application is at work on; see `running.Running`."""

    @property
    def server(self) -> Server: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def servers(self) -> ServersFile: ...
    @property
    def channels(self) -> Channels: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def node(self) -> Node: ...
    @property
    def loads(self) -> Loads: ...
    @property
    def lag(self) -> float: ...


class Part:
    """Base of what is made once per server, with the application at work there."""

    def __init__(self, app: Application) -> None:
        self.app = app


class Handler(Part):
    """Callable by clients: `async def name(self, msg, session) -> dict`."""


class Remote(Part):
    """Callable by other servers: `async def name(self, ...)`, arguments as annotated."""


class Component(Part):
    """A long-lived part of a server; it may have `start`, `after_start` and `stop`."""


class Application(Plan, Entrance, SessionRules):
    """What all servers of a project run.

    Args:
        file: the file that makes it, `__file__`; `servers/` is looked for beside it.
    """

    def __init__(self, file: str) -> None:
        super().__init__()
        SessionRules.__init__(self)
        path = Path(file).resolve()
        self.root = path.parent
        self._package = _package(inspect.currentframe())
        self._configures: list[
            tuple[frozenset[str], frozenset[str], Callable[[Application], None]]
        ] = []
        self._watched: dict[str, list[str]] = {}
        self._routes: dict[str, Router] = {}
        self._instances: dict[type, Any] = {}
        self._work: Work | None = None
        self.components = Components()
        """Those of the server at work."""
        self._rpc_filters: list[RpcFilter] = []
        self.remote_filters: list[RpcFilter] = []
        """See `remote_filter`."""
        self.channel_types: frozenset[str] | None = None
        self.posts = ""
        """The server types that own channels; None means every backend's."""
        self.presence_pushes = PresencePushes()
        """What members are told when another one comes or goes."""
        self.parts = Parts()
        """What its servers are made of."""
        self.routers = Routers(self, self._routes)
        """The routers; they choose when the application is at work."""
        self.rpc = self._make_rpc()
        """Calls to other servers: `await app.rpc.chat.chatRemote.add(session, ...)`."""

    # What an author says

    @overload
    def configure(
        self, function: Configure, *, environments: Names = (), types: Names = ()
    ) -> Configure: ...

    @overload
    def configure(
        self, *, environments: Names = (), types: Names = ()
    ) -> Callable[[Configure], Configure]: ...

    def configure(
        self, function: Any = None, *, environments: Names = (), types: Names = ()
    ) -> Any:
        """Run `function` with the application at the start of servers; also a decorator.

        Args:
            environments: only in these, as "production|test" or a list; in all when empty.
            types: only for servers of these types, likewise.
        """
        if function is None:
            return partial(self.configure, environments=environments, types=types)
        self._configures.append((names(environments), names(types), function))
        return function

    def route(self, server_type: str, router: Router) -> None:
        """Choose the server for requests and calls to a type; see `zchat.framework.peers.router`.

        Args:
            server_type: `*` stands for all that have no router.
        """
        self._routes[server_type] = router

    def rpc_filter(self, rpc_filter: RpcFilter) -> None:
        """Wrap the calls that servers make with `app.rpc`; see `zchat.framework.peers.calls`."""
        self._rpc_filters.append(rpc_filter)

    def remote_filter(self, rpc_filter: RpcFilter) -> None:
        """Wrap the calls of remotes where they run, likewise."""
        self.remote_filters.append(rpc_filter)

    def watch(self, watcher: str, watched: str) -> None:
        """Servers of type `watcher` keep links to those of `watched`, to know which are alive."""
        self._watched.setdefault(watcher, []).append(watched)

    def own_channels(self, *types: str, posts: str = "") -> None:
        """Only servers of these types own channels; without it every backend does.

        Args:
            posts: the push by which clients get what `zchat publish` puts into a channel, unless it
                names another route.
        """
        self.channel_types = frozenset(types)
        self.posts = posts

    def presence(
        self,
        *,
        joined: str = "",
        left: str = "",
        body: Callable[[str, str], dict[str, Any]] | None = None,
    ) -> None:
        """Tell members who comes and goes, but for those that ask for differences: `Channel.add`.

        Args:
            joined: the push's route when a member came; empty: nothing is pushed.
            left: the same when a member left.
            body: makes the push's body from the uid and the route; `{"uid": uid}` when None.
        """
        self.presence_pushes = (
            PresencePushes(joined, left, body) if body else PresencePushes(joined, left)
        )

    # What a server at work knows

    @property
    def server(self) -> Server:
        """The server that this code runs on."""
        return self._at_work.server

    @property
    def settings(self) -> Settings:
        """config/settings.toml."""
        return self._at_work.settings

    @property
    def environment(self) -> str:
        """The environment that the cluster runs in."""
        return self._at_work.servers.environment

    @property
    def channels(self) -> Channels:
        """The rooms."""
        return self._at_work.channels

    @property
    def sessions(self) -> Sessions:
        """The sessions of all frontends."""
        return self._at_work.sessions

    async def push_to(self, uids: Iterable[str], route: str, body: Any) -> list[str]:
        """Push to all sessions of these uids, wherever they are; see `Sessions.push_to`."""
        return await self.sessions.push_to(uids, route, body)

    async def broadcast(
        self,
        server_type: str,
        route: str,
        body: Any,
        *,
        where: dict[str, Any] | None = None,
        bound: bool = False,
    ) -> int:
        """Push to all clients of a type of frontends; see `Sessions.broadcast`."""
        frontends = [server.id for server in self.servers(server_type) if server.takes_clients]
        return await self.sessions.broadcast(frontends, route, body, where=where, bound=bound)

    @property
    def server_types(self) -> tuple[str, ...]:
        """The types that servers.json lists now."""
        return self._at_work.servers.topology.types

    def servers(self, server_type: str, *, alive: bool = False) -> tuple[Server, ...]:
        """The servers of a type.

        Args:
            alive: only those that answer now and are not about to stop; this server must keep links
                to them (`watch`).
        """
        work = self._at_work
        listed = work.servers.topology.of_type(server_type)
        if not alive:
            return listed
        return tuple(server for server in listed if work.node.is_alive(server.id))

    def least_loaded(self, servers: Sequence[Server]) -> Server | None:
        """The one of these servers that has the least to do, and one thing more from now on.

        Frontends count their clients, other servers the requests and calls that run there. They
        are asked once a second; before the first answer all have the same. Servers that are known
        to be away are chosen only if all are.
        """
        work = self._at_work
        alive = [server for server in servers if work.node.is_alive(server.id)] or list(servers)
        chosen = work.loads.choose([server.id for server in alive], time.monotonic())
        return next((server for server in alive if server.id == chosen), None)

    @property
    def lag(self) -> float:
        """How late this server's event loop is, in seconds, smoothed over some 100 ms."""
        return self._at_work.lag

    def component(self, kind: type[C]) -> C:
        """The component of a class on this server.

        Raises:
            LookupError: it has none.
        """
        return self.components.find(kind)

    @property
    def _at_work(self) -> Work:
        if self._work is None:
            raise RuntimeError("this application is not at work on a server: use self.app")
        return self._work

    def _pick(self, server_type: str, session: Routable, route: str) -> str:
        return self.routers.pick(server_type, session, route, None)

    def _make_rpc(self) -> Remotes:
        def send(
            server: str, method: str, args: Sequence[Any], timeout: float | None, **how: bool
        ) -> Awaitable[Any]:
            return self._at_work.node.call(server, method, args, timeout, **how)

        calls = Calls(send, lambda: self.server.id, self._rpc_filters)
        return Remotes(self._pick, calls, self._ids_of)

    def _ids_of(self, server_type: str) -> list[str]:
        if server_type not in self.server_types:
            raise RequestError(f"no server of type {server_type}")
        return [server.id for server in self.servers(server_type)]

    # What a server at work needs

    def at(self, work: Work) -> Application:
        """This application at work on one server: a copy, configured for it, with components."""
        app = self.configured(work)
        own = app.server.type
        for moment, hook in loader.load_hooks(self.root, self._package, own, MOMENTS):
            getattr(app, moment)(hook)
        for factory in app.factories(own):
            app.components.add(factory(app))
        return app

    def configured(self, work: Work) -> Application:
        """A copy that is configured for one server."""
        app = copy.copy(self)
        app._work = work
        app._instances = {}
        app.components = Components()
        app._own_plan()
        app._routes = dict(self._routes)
        app._watched = {watcher: list(types) for watcher, types in self._watched.items()}
        app.routers = Routers(app, app._routes)
        app._rpc_filters = list(self._rpc_filters)
        app.remote_filters = list(self.remote_filters)
        app.session_hooks = self.session_hooks.copy()
        app.rpc = app._make_rpc()
        for environments, types, function in self._configures:
            here = not environments or app.environment in environments
            if here and (not types or app.server.type in types):
                function(app)
        return app

    def handlers(self, server_type: str | None = None) -> list[Found]:
        """The handler methods of a type, or of all types.

        Raises:
            ConfigError: see `loader.load`.
        """
        return loader.load(self.root, self._package, "handler", server_type)

    def remotes(self, server_type: str | None = None) -> list[Found]:
        """The remote methods, likewise."""
        return loader.load(self.root, self._package, "remote", server_type)

    def retried_routes(self) -> frozenset[str]:
        """The routes whose handlers are marked `retry`."""
        return frozenset(
            str(entry.route)
            for entry in self.handlers()
            if is_retried(getattr(entry.cls, entry.method))
        )

    def watched(self, server_type: str) -> Sequence[str]:
        """The types that servers of this type keep links to."""
        return self._watched.get(server_type, ())

    def instance(self, cls: type) -> Any:
        """The one instance of a handler or remote class here."""
        if cls not in self._instances:
            self._instances[cls] = cls(self) if issubclass(cls, Part) else cls()
        return self._instances[cls]


def _package(frame: Any) -> str:
    """The import package of the module that makes the application."""
    name: str = frame.f_back.f_globals.get("__package__") or ""
    return name or "zchat_application"
