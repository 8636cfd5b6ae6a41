"""What an application does when a session is bound or closes.

Each hook runs once per event and server. It may be a coroutine function; what it raises is logged
and concerns nobody else.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from zchat.config.topology import Server
from zchat.framework.sessions.backend_session import BackendSession, Call
from zchat.frontend.session import Snapshot

logger = logging.getLogger("zchat.app")

OnBound = Callable[[BackendSession], Awaitable[None] | None]
OnClosed = Callable[[BackendSession, str], Awaitable[None] | None]
"""(session, reason): the reason is a name of the table in `zchat.frontend.sockets.disconnect`."""


@dataclass(slots=True)
class SessionHooks:
    """Hooks with the types of the servers that they run on; none: on each frontend."""

    bound: list[tuple[frozenset[str], OnBound]] = field(default_factory=list)
    closed: list[tuple[frozenset[str], OnClosed]] = field(default_factory=list)

    def copy(self) -> SessionHooks:
        """The same hooks; more may be added to each."""
        return SessionHooks(list(self.bound), list(self.closed))

    @property
    def types(self) -> frozenset[str]:
        """The types that are named."""
        return frozenset(name for types, _ in (*self.bound, *self.closed) for name in types)


class SessionEvents:
    """Runs the hooks of one server.

    Args:
        hooks: of the application.
        server: this server.
        call: reaches frontends.
        spawn: runs work that nobody waits for: (work, its name).
    """

    def __init__(
        self,
        hooks: SessionHooks,
        server: Server,
        call: Call,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        self._call = call
        self._spawn = spawn
        frontend = server.takes_clients

        def here(types: frozenset[str]) -> bool:
            return server.type in types if types else frontend

        self._bound: Sequence[OnBound] = [hook for types, hook in hooks.bound if here(types)]
        self._closed: Sequence[OnClosed] = [hook for types, hook in hooks.closed if here(types)]

    @property
    def wanted(self) -> bool:
        """Whether there is any hook here."""
        return bool(self._bound or self._closed)

    def bound(self, snapshot: Snapshot) -> None:
        """A session was bound."""
        for hook in self._bound:
            self._spawn(_run(hook, BackendSession(snapshot, self._call)), "session bound")

    def closed(self, snapshot: Snapshot, reason: str) -> None:
        """A session has closed."""
        for hook in self._closed:
            session = BackendSession(snapshot, self._call)
            self._spawn(_run(hook, session, reason), "session closed")


async def _run(hook: Callable[..., Awaitable[None] | None], *args: Any) -> None:
    try:
        result = hook(*args)
        if inspect.isawaitable(result):
            await result
    except Exception:
        session: BackendSession = args[0]
        name = getattr(hook, "__qualname__", hook)
        logger.exception("%s failed: session %s/%d", name, session.frontend, session.id)
