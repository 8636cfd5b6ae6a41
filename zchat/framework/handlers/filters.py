"""Filters: what stands around handlers, the first added the outermost.

    @Filter
    async def staff_only(call: Call, msg: Any, session: BackendSession) -> Any:
        if not session.get("staff"):
            raise RequestError("staff only", code=403)
        return await call(msg, session)

    app.filter(staff_only)                    # around every handler
    app.filter(timeout(2), types="area")      # around those of a server type
    class RoomHandler(Handler):
        @staff_only                           # around this one
        async def close(self, msg, session): ...

A filter goes on with `call`, changes what goes in or comes out, or refuses by raising. They are
built into the table of routes at start. A body that is no message of the handler's is refused
before any filter runs.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from zchat.errors import RequestError, TimedOut, Unavailable
from zchat.framework.handlers.buckets import Buckets
from zchat.framework.peers.deadline import in_time
from zchat.framework.sessions.backend_session import BackendSession
from zchat.frontend.sockets.rate import Rate

logger = logging.getLogger("zchat.access")
app_logger = logging.getLogger("zchat.app")

H = TypeVar("H", bound=Callable[..., Any])

TOO_MANY_REQUESTS = 429


class Call:
    """What a filter goes on with: the handler, with the filters that stand closer to it.

    Args:
        route: the handler's.
        app: the application at work.
        run: what is called.
    """

    __slots__ = ("_run", "app", "route")

    def __init__(
        self, route: str, app: Any, run: Callable[[Any, BackendSession], Awaitable[Any]]
    ) -> None:
        self.route = route
        self.app = app
        self._run = run

    def __call__(self, msg: Any, session: BackendSession) -> Awaitable[Any]:
        """Go on; the result is what the handler returns."""
        return self._run(msg, session)


Run = Callable[[Call, Any, BackendSession], Awaitable[Any]]


class Filter:
    """One filter; above a handler it is a decorator.

    Args:
        run: `async def run(call, msg, session)`, which returns the answer.
        name: what `zchat routes` shows; the function's own by default.

    Raises:
        TypeError: `run` is no such function.
    """

    def __init__(self, run: Run, name: str = "") -> None:
        function: Any = run
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        if not inspect.iscoroutinefunction(run):
            raise TypeError(f"filter {self.name} must be `async def`, with (call, msg, session)")
        inspect.signature(run).bind("call", "msg", "session")
        self._run = run

    def __call__(self, handler: H) -> H:
        """Stand around this handler."""
        marked: Any = handler
        marked.zchat_filters = (self, *filters_of(handler))
        return handler

    def wrap(self, call: Call) -> Call:
        """This filter around `call`; made once per route, at start."""
        return Call(call.route, call.app, partial(self._run, call))


def filters_of(handler: object) -> tuple[Filter, ...]:
    """The filters that stand above a handler as decorators, from top to bottom."""
    return getattr(handler, "zchat_filters", ())


def compose(filters: Iterable[Filter], call: Call) -> Call:
    """`call` inside of the filters, of which the first is the outermost."""
    for each in reversed(list(filters)):
        call = each.wrap(call)
    return call


class _Serial(Filter):
    """The dispatcher waits for the turn before it makes the session's copy; see `serial`."""

    def __init__(self) -> None:
        self.name = "serial"

    def wrap(self, call: Call) -> Call:
        return call


serial = _Serial()
"""One at a time: the requests of a session that it stands around run in the order they came.

It is the outermost wherever it was added. Each request finds what the one before it has pushed; a
backend has to ask the frontend for that, which costs a call per request. The time limit counts the
waiting.
"""


def timeout(seconds: float) -> Filter:
    """Answer 504 when the handler takes longer; it is cancelled then.

    Args:
        seconds: less than `cluster.request_deadline` of settings.toml, which holds anyway.
    """

    return _Timeout(seconds)


class _Timeout(Filter):
    """Says at start where it cannot do anything."""

    def __init__(self, seconds: float) -> None:
        self.name = f"timeout({seconds:g})"
        self._seconds = seconds

    def wrap(self, call: Call) -> Call:
        deadline: float = call.app.settings.cluster.request_deadline
        if self._seconds >= deadline:
            app_logger.warning(
                "%s of %s does nothing: cluster.request_deadline is %g s",
                self.name,
                call.route,
                deadline,
            )
        return Call(call.route, call.app, partial(self._limit, call))

    async def _limit(self, call: Call, msg: Any, session: BackendSession) -> Any:
        return await in_time(call(msg, session), self._seconds)


def toobusy(lag: float = 0.07) -> Filter:
    """Refuse with 503 while this server's event loop is late.

    Args:
        lag: seconds; see `Application.lag`.
    """

    async def run(call: Call, msg: Any, session: BackendSession) -> Any:
        if call.app.lag > lag:
            raise Unavailable(f"{call.app.server.id} is too busy")
        return await call(msg, session)

    return Filter(run, f"toobusy({lag:g})")


def access_log(slower_than: float = 0.0) -> Filter:
    """A line for each request on the logger `zchat.access`: route, session, code, time, uid.

    Args:
        slower_than: seconds; those that took less are left out.
    """

    async def run(call: Call, msg: Any, session: BackendSession) -> Any:
        began = time.perf_counter()
        code: object = RequestError.code
        try:
            answer = await call(msg, session)
            code = _code_of(answer)
            return answer
        except RequestError as error:
            code = error.code
            raise
        except asyncio.CancelledError:
            code = TimedOut.code
            raise
        finally:
            seconds = time.perf_counter() - began
            if seconds >= slower_than:
                _log(call.route, session, code, seconds)

    return Filter(run, f"access_log({slower_than:g})" if slower_than else "access_log")


def _code_of(answer: object) -> object:
    if isinstance(answer, dict):
        return answer.get("code", 200)
    return getattr(answer, "code", 200)


def _log(route: str, session: BackendSession, code: object, seconds: float) -> None:
    uid, milliseconds = session.uid or "-", 1000 * seconds
    frontend, number = session.frontend, session.id
    logger.info("%s %s/%d %s %.1f ms %s", route, frontend, number, code, milliseconds, uid)


class _RateLimit(Filter):
    """Has a table of buckets for each route of each server."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float]) -> None:
        self.name = f"rate_limit({per_second:g}, {burst:g})"
        self._rate = Rate(per_second, burst)
        self._clock = clock

    def wrap(self, call: Call) -> Call:
        return Call(call.route, call.app, partial(self._take, Buckets(self._rate), call))

    async def _take(self, buckets: Buckets, call: Call, msg: Any, session: BackendSession) -> Any:
        wait = buckets.take(session.ref, self._clock())
        if wait:
            retry_after = math.ceil(1000 * wait) / 1000
            raise RequestError("too many requests", code=TOO_MANY_REQUESTS, retry_after=retry_after)
        return await call(msg, session)


def rate_limit(
    per_second: float, burst: float | None = None, *, clock: Callable[[], float] = time.monotonic
) -> Filter:
    """So many requests of one session to one route; others get 429 with `retry_after`, in seconds.

    What is refused costs nothing: after `retry_after` there is one again.

    Args:
        per_second: in the long run.
        burst: at once; as many as per second, but at least one, when None.
        clock: seconds.

    Raises:
        ValueError: a figure is not positive, or `burst` is below 1, so that nothing ever passed.
    """
    at_once = max(per_second, 1.0) if burst is None else burst
    if at_once < 1:
        raise ValueError(f"a burst of {at_once!r} lets nothing pass")
    return _RateLimit(per_second, at_once, clock)
