"""What a server does regularly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """They run until they are cancelled, all at once."""

    def __init__(self) -> None:
        self._handles: list[asyncio.TimerHandle] = []

    def every(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` so many seconds from now, and each time that they have passed again."""
        loop = asyncio.get_running_loop()
        index = len(self._handles)

        def run() -> None:
            self._handles[index] = loop.call_later(seconds, run)
            function()

        self._handles.append(loop.call_later(seconds, run))

    def cancel(self) -> None:
        """No more of any. Idempotent."""
        for handle in self._handles:
            handle.cancel()
