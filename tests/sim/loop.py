"""An event loop with a virtual clock: real code runs in it, and nothing ever waits.

Callbacks that are ready run first in, first out; when there are none, the clock jumps to the next
timer. There are no sockets, threads or signals, so the same calls give the same run.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar, TypeVarTuple

from tests.sim.process import PROCESS

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START = 1_000_000.0
"""Where the clock begins, in seconds."""


class Scheduled(asyncio.TimerHandle):
    """A callback in the loop; a light one, for there are millions."""

    __slots__ = ()

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context,
    ) -> None:
        self._when = when
        self._callback: Callable[..., object] | None = callback
        self._args = args
        self._context = context

    def cancel(self) -> None:
        self._callback, self._args = None, ()

    def cancelled(self) -> bool:
        return self._callback is None

    def when(self) -> float:
        return self._when


class VirtualLoop(asyncio.BaseEventLoop):
    """See above.

    Args:
        failed: hears what asyncio says of exceptions that nobody took.
    """

    def __init__(self, failed: Callable[[dict[str, Any]], None]) -> None:
        self.now = START
        self.steps = 0
        """Callbacks run."""
        self.timers = 0
        """Timers that came due."""
        self._running = False
        self._failed = failed
        self._callbacks: deque[Scheduled] = deque()
        self._timers: list[tuple[float, int, Scheduled]] = []
        self._count = 0

    # What asyncio asks of a loop

    def time(self) -> float:
        return self.now

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        if context is None:  # an empty one is false
            context = contextvars.copy_context()
        handle = Scheduled(self.now, callback, args, context)
        self._callbacks.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        if context is None:
            context = contextvars.copy_context()
        handle = Scheduled(when, callback, args, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self, name=str(name), context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._failed(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return not self._running

    # Running it

    def run(self, done: Callable[[], bool]) -> None:
        """Run until `done`, which is asked before each timer, or until nothing is left to run."""
        events._set_running_loop(self)
        self._running = True
        try:
            self._run_ready()
            while self._timers and not done():
                when, _, handle = heapq.heappop(self._timers)
                if handle._callback is None:
                    continue
                self.now = max(self.now, when)
                self.timers += 1
                self._callbacks.append(handle)
                self._run_ready()
        finally:
            self._running = False
            events._set_running_loop(None)

    def resume(self, parked: list[asyncio.Handle]) -> None:
        """Let go on what waited while its process was stopped."""
        self._callbacks.extend(handle for handle in parked if isinstance(handle, Scheduled))
        parked.clear()

    def _run_ready(self) -> None:
        ready = self._callbacks
        while ready:
            handle = ready.popleft()
            callback, args = handle._callback, handle._args
            if callback is None:
                continue
            process = handle._context.get(PROCESS)
            if process is not None:
                if process.dead:
                    process.remains.append(handle)
                    continue
                if process.paused:
                    process.parked.append(handle)
                    continue
            self.steps += 1
            try:
                handle._context.run(callback, *args)
            except Exception as error:
                self._failed({"message": f"in {callback!r}", "exception": error})
