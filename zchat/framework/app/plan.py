"""What an author says of the servers of an application, beside where its requests go.

Each word can be said for all servers or, with `types`, for those of some types: a list of them, or
as Pomelo wrote it, "gate|connector". What takes a function can stand above it as a decorator.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar, get_args

from zchat.config.topology import Server
from zchat.framework.app.components import Factory
from zchat.framework.app.lifecycle import Work, name_of
from zchat.framework.handlers.dispatcher import ErrorHandler
from zchat.framework.handlers.filters import Filter, Run, filters_of
from zchat.framework.handlers.loader import Found

Names = str | Sequence[str]
"""Server types or environments: "gate|connector" or ["gate", "connector"]; all when empty."""

Moment = Literal[
    "before_start",
    "after_start",
    "after_all_started",
    "before_stop",
    "on_server_added",
    "on_server_removed",
]

MOMENTS: tuple[Moment, ...] = get_args(Moment)

F = TypeVar("F", bound=Callable[..., Any])
Hook = TypeVar("Hook", bound=Callable[[Any], Awaitable[object] | None])
ServerHook = TypeVar("ServerHook", bound=Callable[[Any, Server], Awaitable[object] | None])
AnyFilter = TypeVar("AnyFilter", bound=Filter | Run)
OnError = TypeVar("OnError", bound=ErrorHandler)
Made = TypeVar("Made", bound=Factory)


class Said:
    """Things said for some server types or all, in the order they were said."""

    def __init__(self, said: Sequence[tuple[frozenset[str], Any]] = ()) -> None:
        self._said = list(said)

    def add(self, thing: Any, types: Names) -> None:
        """One more."""
        self._said.append((names(types), thing))

    def of(self, server_type: str) -> list[Any]:
        """Those that hold for a type."""
        return [thing for types, thing in self._said if not types or server_type in types]

    def copy(self) -> Said:
        """The same, to be added to separately."""
        return Said(self._said)


def names(given: Names) -> frozenset[str]:
    """The single names."""
    parts = given.split("|") if isinstance(given, str) else given
    return frozenset(part.strip() for part in parts if part.strip())


class Plan:
    """Settings by name, filters, error handlers, hooks and components."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._filters = Said()
        self._error_handlers = Said()
        self._factories = Said()
        self._hooks: defaultdict[str, Said] = defaultdict(Said)

    # Settings

    def set(self, name: str, value: Any) -> None:
        """Give a setting of the application a value; said in `configure`, on that server only."""
        self._values[name] = value

    def get(self, name: str, default: Any = None) -> Any:
        """A setting's value, `default` when it has none."""
        return self._values.get(name, default)

    def enable(self, name: str) -> None:
        """Set it to True."""
        self.set(name, True)

    def disable(self, name: str) -> None:
        """Set it to False."""
        self.set(name, False)

    def enabled(self, name: str) -> bool:
        """Whether it has a value that is true."""
        return bool(self.get(name))

    # Requests

    def filter(self, run: AnyFilter, *, types: Names = ()) -> AnyFilter:
        """Stand around handlers; see `zchat.framework.handlers.filters`. The first is outermost."""
        self._filters.add(run if isinstance(run, Filter) else Filter(run), types)
        return run

    def on_error(self, handler: OnError, *, types: Names = ()) -> OnError:
        """Choose what failed requests are answered with.

        Args:
            handler: `def handler(error, msg, session)`, a plain function; it returns the answer, or
                None to leave it to the next one and at last to zchat: the code and fields of a
                RequestError, 500 for anything else. `msg` is None if the body was none of the
                handler's. What it answers is not logged.

        Raises:
            TypeError: it is async: the time for the request may be over.
        """
        if inspect.iscoroutinefunction(handler):
            raise TypeError(f"error handler {name_of(handler)} must be a plain function")
        self._error_handlers.add(handler, types)
        return handler

    # Start and stop

    def before_start(self, hook: Hook, *, types: Names = ()) -> Hook:
        """Call `hook(app)` before a server listens anywhere; if it fails the server ends."""
        return self._hook("before_start", hook, types)

    def after_start(self, hook: Hook, *, types: Names = ()) -> Hook:
        """Call `hook(app)` when all parts of a server run; if it fails the server ends."""
        return self._hook("after_start", hook, types)

    def after_all_started(self, hook: Hook, *, types: Names = ()) -> Hook:
        """Call `hook(app)` once every server in servers.json has said that it has started.

        Web servers are not asked. What it raises is logged.
        """
        return self._hook("after_all_started", hook, types)

    def before_stop(self, hook: Hook, *, types: Names = ()) -> Hook:
        """Call `hook(app)` when a server is told to stop, while it still works.

        It has the time of `cluster.drain` in settings.toml. What it raises is logged.
        """
        return self._hook("before_stop", hook, types)

    def on_server_added(self, hook: ServerHook, *, types: Names = ()) -> ServerHook:
        """Call `hook(app, server)` for each server that is added to servers.json later.

        Args:
            types: of the servers that call it, not of those that are added.
        """
        return self._hook("on_server_added", hook, types)

    def on_server_removed(self, hook: ServerHook, *, types: Names = ()) -> ServerHook:
        """Call `hook(app, server)` for each server that is taken out, likewise."""
        return self._hook("on_server_removed", hook, types)

    def add(self, factory: Made, *, types: Names = ()) -> Made:
        """Give servers a part of the application's own; see `zchat.framework.app.components`.

        Args:
            factory: called with the application at work, once per server; most often a class.
        """
        self._factories.add(factory, types)
        return factory

    def _hook(self, moment: Moment, hook: F, types: Names) -> F:
        self._hooks[moment].add(hook, types)
        return hook

    # What a server asks

    def filters_of(self, found: Found) -> list[Filter]:
        """All that stand around a handler, the outermost first."""
        own = filters_of(getattr(found.cls, found.method))
        return [*self._filters.of(found.route.server_type), *own]

    def error_handlers(self, server_type: str) -> list[ErrorHandler]:
        """Those of a server type."""
        return self._error_handlers.of(server_type)

    def hooks(self, moment: Moment, server_type: str) -> list[Work]:
        """Those of a server type."""
        return self._hooks[moment].of(server_type)

    def factories(self, server_type: str) -> list[Factory]:
        """Those of a server type."""
        return self._factories.of(server_type)

    def _own_plan(self) -> None:
        """Let go of what is shared with the application that this one is a copy of."""
        self._values = dict(self._values)
        self._filters = self._filters.copy()
        self._error_handlers = self._error_handlers.copy()
        self._factories = self._factories.copy()
        hooks = {moment: said.copy() for moment, said in self._hooks.items()}
        self._hooks = defaultdict(Said, hooks)
