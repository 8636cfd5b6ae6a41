"""One server's calls of others' remotes, and the filters round them.

A filter wraps calls, the first one added outermost:

    async def timed(call: Proceed, invocation: Invocation) -> Any:
        start = time.monotonic()
        try:
            return await call(invocation)
        finally:
            logger.debug("%s took %.3f s", invocation.route, time.monotonic() - start)

Calls of one server by another begin there in the order in which they were made here; a filter that
waits before it calls gives that up for the calls that it wraps.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from zchat.framework.peers.context import caller
from zchat.framework.peers.methods import encode

PREFIX = "remote."
"""Remotes stand in the table of methods under this prefix and their route."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a remote's method."""

    route: str
    """`chat.chatRemote.add`"""

    args: tuple[Any, ...]
    """All but the first one of the call, which says where."""

    caller: str
    """The id of the server that calls."""

    server: str
    """The id of the server that is called."""

    timeout: float | None = None
    """Seconds that it may take; None: the settings' request deadline. Where it runs always None."""

    retry: bool = False
    """Whether it is sent again when the server dies under it. Where it runs always False."""


Proceed = Callable[[Invocation], Awaitable[Any]]
"""The rest of the way; it may be called with another invocation, several times, or not at all."""

RpcFilter = Callable[[Proceed, Invocation], Awaitable[Any]]
"""Wraps calls: returns the result, its own or that of `call`, or raises."""


def wrapped(filters: Sequence[RpcFilter], innermost: Proceed) -> Proceed:
    """`innermost` with these filters round it, the first one outermost."""
    for rpc_filter in reversed(filters):
        innermost = functools.partial(rpc_filter, innermost)
    return innermost


def incoming(
    filters: Sequence[RpcFilter], route: str, server: str, method: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    """A remote's method with filters round it; `method` itself when there are none.

    Args:
        route: the method's.
        server: the id of the server that it runs on.
    """
    if not filters:
        return method

    async def run(invocation: Invocation) -> Any:
        return await method(*invocation.args)

    call = wrapped(filters, run)

    async def invoke(*args: Any) -> Any:
        return await call(Invocation(route, args, caller.get(), server))

    return invoke


class Send(Protocol):
    """Calls a method of a server; see `Node.call`."""

    def __call__(
        self,
        server_id: str,
        method: str,
        args: Sequence[Any],
        timeout: float | None,
        /,
        *,
        idempotent: bool,
        patient: bool,
    ) -> Awaitable[Any]: ...


class Calls:
    """The calls that one server makes.

    Args:
        send: reaches other servers.
        server: this server's id, asked when a call is made.
        filters: round each call; complete before the first call.
    """

    def __init__(
        self, send: Send, server: Callable[[], str], filters: Sequence[RpcFilter] = ()
    ) -> None:
        self._send = send
        self._server = server
        self._filters = filters

    async def call(
        self,
        server: str,
        route: str,
        args: tuple[Any, ...],
        timeout: float | None = None,
        *,
        retry: bool = False,
    ) -> Any:
        """Call a remote's method.

        Args:
            timeout: seconds; the settings' request deadline when None.
            retry: send it again when the server dies under it; wait for one that is away. Only for
                what may be done twice.

        Raises:
            RequestError: what the method raised, as its own class, or `internal error`.
            Unavailable: the server is gone: it is not listed, or has had no link for a moment.
            TimedOut: no answer in time; it may have been done.
            TypeError: an argument cannot be packed; the text names it.
        """
        return await self._call(Invocation(route, args, self._server(), server, timeout, retry))

    @functools.cached_property
    def _call(self) -> Proceed:
        return wrapped(self._filters, self._invoke)

    async def _invoke(self, invocation: Invocation) -> Any:
        route, args, retry = invocation.route, invocation.args, invocation.retry
        call = self._send(
            invocation.server,
            PREFIX + route,
            args,
            invocation.timeout,
            idempotent=retry,
            patient=retry,
        )
        try:
            return await call
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise _unpackable(route, args, error) from None


def _unpackable(route: str, args: Sequence[Any], error: Exception) -> TypeError:
    """Which argument it is that cannot be packed."""
    for number, argument in enumerate(args, 1):
        try:
            encode(argument)
        except (TypeError, ValueError, OverflowError, RecursionError) as reason:
            return TypeError(f"{route}: argument {number} cannot be sent: {reason}")
    return TypeError(f"{route}: the arguments cannot be sent: {error}")
