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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from zchat.config.servers import ServersFile
from zchat.config.settings import Settings
from zchat.config.topology import Server
from zchat.framework import loader
from zchat.framework.channels import Channels
from zchat.framework.loader import Found
from zchat.framework.node import Node
from zchat.framework.parts import Parts
from zchat.framework.remotes import Remotes
from zchat.framework.router import Routable, Router, Routers
from zchat.rooms.channel import PresencePushes

Configure = Callable[["Application"], None]


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
    def node(self) -> Node: ...


class Part:
    """Base of handlers and remotes; made once per server, with the application at work there."""

    def __init__(self, app: Application) -> None:
        self.app = app


class Handler(Part):
    """Callable by clients: `async def name(self, msg, session) -> dict`."""


class Remote(Part):
    """Callable by other servers: `async def name(self, ...)`, arguments as annotated."""


class Application:
    """What all servers of a project run.

    Args:
        file: the file that makes it, `__file__`; `servers/` is looked for beside it.
    """

    def __init__(self, file: str) -> None:
        path = Path(file).resolve()
        self.root = path.parent
        self._package = _package(inspect.currentframe())
        self._configures: list[tuple[frozenset[str], frozenset[str], Configure]] = []
        self._watched: dict[str, list[str]] = {}
        self._routes: dict[str, Router] = {}
        self._instances: dict[type, Any] = {}
        self._work: Work | None = None
        self.channel_types: frozenset[str] | None = None
        """The server types that own channels; None means every backend's."""
        self.presence_pushes = PresencePushes()
        """What members are told when another one comes or goes."""
        self.parts = Parts()
        """What its servers are made of."""
        self.routers = Routers(self, self._routes)
        """The routers; they choose when the application is at work."""
        self.rpc = Remotes(self._pick, self._call)
        """Calls to other servers: `await app.rpc.chat.chatRemote.add(session, ...)`."""

    # What an author says

    def configure(
        self, function: Configure, *, environments: Sequence[str] = (), types: Sequence[str] = ()
    ) -> None:
        """Run `function` with the application at the start of servers.

        Args:
            environments: only in these; in all when empty.
            types: only for servers of these types; for all when empty.
        """
        self._configures.append((frozenset(environments), frozenset(types), function))

    def route(self, server_type: str, router: Router) -> None:
        """Choose the server for requests and calls to a type; see `zchat.framework.router`."""
        self._routes[server_type] = router

    def watch(self, watcher: str, watched: str) -> None:
        """Servers of type `watcher` keep links to those of `watched`, to know which are alive."""
        self._watched.setdefault(watcher, []).append(watched)

    def own_channels(self, *types: str) -> None:
        """Only servers of these types own channels; without it every backend does."""
        self.channel_types = frozenset(types)

    def presence(
        self,
        *,
        joined: str = "",
        left: str = "",
        body: Callable[[str, str], dict[str, Any]] | None = None,
    ) -> None:
        """Tell members who comes and goes.

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

    @property
    def _at_work(self) -> Work:
        if self._work is None:
            raise RuntimeError("this application is not at work on a server: use self.app")
        return self._work

    def _pick(self, server_type: str, session: Routable, route: str) -> str:
        return self.routers.pick(server_type, session, route, b"")

    async def _call(
        self, server: str, method: str, args: Sequence[Any], timeout: float | None
    ) -> Any:
        return await self._at_work.node.call(server, method, args, timeout)

    # What a server at work needs

    def at(self, work: Work) -> Application:
        """This application at work on one server: a copy, configured for it."""
        app = copy.copy(self)
        app._work = work
        app._instances = {}
        app._routes = dict(self._routes)
        app._watched = {watcher: list(types) for watcher, types in self._watched.items()}
        app.routers = Routers(app, app._routes)
        app.rpc = Remotes(app._pick, app._call)
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
            if getattr(getattr(entry.cls, entry.method), "zchat_retry", False)
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
