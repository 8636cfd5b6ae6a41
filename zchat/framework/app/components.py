"""An application's own long-lived parts: a pool of database connections, a game's clock.

    class Leaderboard(Component):
        async def start(self) -> None: ...
        async def stop(self) -> None: ...

    app.add(Leaderboard, types="area")
    app.component(Leaderboard)              # in handlers: self.app.component(Leaderboard)

Anything will do that has some of `start`, `after_start` and `stop`, async or plain.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

from zchat.framework.app.lifecycle import Step, name_of, run

C = TypeVar("C")

Factory = Callable[[Any], object]
"""(application at work) -> component; most often its class."""


@runtime_checkable
class Start(Protocol):
    """Has something to do before clients are let in."""

    def start(self) -> Awaitable[object] | None: ...


@runtime_checkable
class AfterStart(Protocol):
    """Has something to do when the whole server runs."""

    def after_start(self) -> Awaitable[object] | None: ...


@runtime_checkable
class Stop(Protocol):
    """Has something to let go, when no request runs any more."""

    def stop(self) -> Awaitable[object] | None: ...


class OuterPart(Protocol):
    """A part of a server beside zchat's own and the application's."""

    async def start(self) -> None:
        """Begin to work; called when the server's own parts have started."""

    async def stop(self) -> None:
        """Let go. Called before those parts stop; once, if it was started."""

    def status(self) -> dict[str, Any]:
        """What `zchat status` shows of it."""


class Components:
    """Those of one server, in the order in which they were added."""

    def __init__(self) -> None:
        self._made: list[object] = []
        self._started: list[object] = []

    def __iter__(self) -> Iterator[object]:
        return iter(self._made)

    def add(self, component: object) -> None:
        """One more; before the start."""
        self._made.append(component)

    def find(self, kind: type[C]) -> C:
        """The first one of a class or its subclasses.

        Raises:
            LookupError: there is none.
        """
        for component in self._made:
            if isinstance(component, kind):
                return component
        known = ", ".join(type(component).__name__ for component in self._made) or "none"
        raise LookupError(f"no component {kind.__name__} on this server; there are: {known}")

    def start_steps(self) -> list[Step]:
        """Start each of them."""
        return [
            Step(f"component {name_of(component)}", partial(self._start, component))
            for component in self._made
        ]

    def after_start_steps(self) -> list[Step]:
        """What they do when the whole server runs."""
        return [
            Step(f"after_start of {name_of(component)}", component.after_start)
            for component in self._made
            if isinstance(component, AfterStart)
        ]

    def stop_steps(self) -> list[Step]:
        """Stop those that were started, the last one first."""
        return [
            Step(f"component {name_of(component)}", partial(self._stop, component))
            for component in reversed(self._started)
        ]

    async def _start(self, component: object) -> None:
        if isinstance(component, Start):
            await run(component.start)
        self._started.append(component)

    async def _stop(self, component: object) -> None:
        self._started.remove(component)
        if isinstance(component, Stop):
            await run(component.stop)
