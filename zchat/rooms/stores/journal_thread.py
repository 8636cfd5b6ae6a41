"""A thread for calls that block, and for disks that hang."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from zchat.errors import ZchatError

P = ParamSpec("P")
R = TypeVar("R")


class JournalStalled(ZchatError):
    """A call takes too long. It may still be carried out, now or when the disk comes back."""


class JournalThread:
    """Does one thing after the other in a thread of its own.

    Its queue is bounded by its callers: a broker has one append under way. The thread does not keep
    the process from ending, as an executor's would.

    Args:
        name: of the thread.
        patience: seconds that a call may take, waiting included.
    """

    def __init__(self, name: str, patience: float) -> None:
        self._patience = patience
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # Those that wait, oldest first, with the times until which they do. One timer looks after
        # all of them: one for each call would cost as much as handing it over.
        self._open: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._overdue = 0
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> bool:
        """Whether there are calls that have not begun."""
        return not self._calls.empty()

    @property
    def stalled(self) -> bool:
        """Whether a call was given up that has not ended: nobody knows what it has done so far."""
        return self._overdue > 0

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it there. Once it has begun, it is carried out whether or not anybody waits for it.

        Raises:
            JournalStalled: it takes too long, or another call does so.
        """
        if self.stalled:
            raise JournalStalled("the journal hangs")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        call = partial(function, *args, **kwargs)
        until = loop.time() + self._patience
        self._open.append((until, future))
        if self._timer is None:
            self._timer = loop.call_at(until, self._look, loop)
        self._calls.put(partial(self._make, call, future, loop))
        return await future

    async def close(self, last: Callable[[], None]) -> None:
        """Finish what is under way, call `last`, and end the thread; whatever `last` raises comes.

        When the thread hangs, or nobody waits for it any more, this is left to it.
        """
        hangs = False
        try:
            await self.run(last)
        except JournalStalled:
            hangs = True
            self._calls.put(last)
        except asyncio.CancelledError:
            self._calls.put(last)
            raise
        finally:
            self._calls.put(None)
            if self._timer is not None and not self._open:
                self._timer.cancel()
        if not hangs:
            self._thread.join()

    # In the loop's thread

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up what has waited for too long."""
        self._timer = None
        now = loop.time()
        while self._open and (self._open[0][0] <= now or self._open[0][1].done()):
            self._give_up(self._open.popleft()[1])
        if self._open:
            self._timer = loop.call_at(self._open[0][0], self._look, loop)

    def _give_up(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            self._overdue += 1
            error = JournalStalled(f"the journal hangs: no answer in {self._patience:g} seconds")
            future.set_exception(error)

    def _ended(self, future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        if self._open and self._open[0][1] is future:  # unless it was given up
            self._open.popleft()
        if not future.done():
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        elif not future.cancelled():  # it was given up
            self._overdue -= 1

    # In its own thread

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def _make(
        self,
        call: Callable[[], Any],
        future: asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        result, failed = None, None
        try:
            if not future.done():  # somebody still waits for it
                result = call()
        except Exception as error:
            failed = error
        with suppress(RuntimeError):  # the loop has ended, it did not wait for a thread that hung
            loop.call_soon_threadsafe(self._ended, future, result, failed)
