"""Publishing into rooms from code that is not asyncio: Django, Flask, a script.

publisher = SyncPublisher("/srv/chat")

def order_view(request):
    publisher.publish("kitchen", "onOrder", {"table": 7}, cid=f"order-{order.id}")
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from zchat.client.publisher import TIMEOUT, Publisher
from zchat.rooms.stream import StreamPosition


class SyncPublisher:
    """A `Publisher` in a thread of its own; any number of threads may use it at the same time.

    One for the whole process is enough, at module level if you like: its thread begins with the
    first publication, and a process that is forked afterwards gets its own. It closes by itself
    when the process ends. Code that runs in an event loop takes `Publisher`: here it would hold up
    the loop.

    Args:
        project, timeout, max_waiting, environment: see `Publisher`.

    Raises:
        ConfigError: a file is missing or wrong.
    """

    def __init__(
        self,
        project: str | Path,
        *,
        timeout: float = TIMEOUT,
        max_waiting: int = 10_000,
        environment: str | None = None,
    ) -> None:
        self._make = partial(
            Publisher,
            Path(project).absolute(),
            timeout=timeout,
            max_waiting=max_waiting,
            environment=environment,
        )
        self._make()  # what is wrong is said now
        self._lock = threading.Lock()
        self._threads: list[_Thread] = []  # the last one is ours, those before it our parents'
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def publish(
        self,
        room: str,
        route: str,
        body: Mapping[str, Any],
        *,
        uid: str = "",
        cid: str = "",
        to: Iterable[str] | None = None,
        members_only: bool = False,
        timeout: float | None = None,
    ) -> StreamPosition:
        """Send to the members of a room; returns when it is journalled. See `Publisher.publish`.

        What one thread publishes into a room stands there in its order.
        """
        thread = self._thread()
        work = thread.publisher.publish(
            room,
            route,
            body,
            uid=uid,
            cid=cid,
            to=to,
            members_only=members_only,
            timeout=timeout,
        )
        future = asyncio.run_coroutine_threadsafe(work, thread.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # of use when it was not the publication that failed but Ctrl-C
            raise

    def close(self) -> None:
        """Let go of the servers; what is under way fails. Idempotent."""
        with self._lock:
            closed, self._closed = self._closed, True
        if not closed and self._threads and self._threads[-1].pid == os.getpid():
            atexit.unregister(self.close)
            self._threads[-1].stop()

    def _thread(self) -> _Thread:
        with self._lock:
            if self._closed:
                raise RuntimeError("the publisher is closed")
            if not self._threads or self._threads[-1].pid != os.getpid():
                # A parent's is kept: what it holds is not ours to close.
                self._threads.append(_Thread(self._make()))
                atexit.register(self.close)
            return self._threads[-1]


class _Thread:
    """An event loop in a thread of this process, and the publisher that lives there."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        # A daemon: it must not keep a program from its end that does not close us.
        self._thread = threading.Thread(target=self.loop.run_forever, name="zchat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._finish(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _finish(self) -> None:
        await self.publisher.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
