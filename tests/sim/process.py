"""A simulated process: what runs under its name, and what becomes of that when it is killed.

All processes share one event loop. Each callback carries the context in which it was scheduled, and
the context says whose it is: so a killed process stops at whatever `await` it has reached, and a
stopped one is held up there.
"""

from __future__ import annotations

import contextvars
from asyncio import Handle


class Process:
    """One life of one server.

    Args:
        name: the server's id.
        life: counts its lives.
    """

    __slots__ = ("context", "dead", "life", "name", "parked", "paused", "remains")

    def __init__(self, name: str, life: int) -> None:
        self.name = name
        self.life = life
        self.dead = False
        """Killed: nothing of it runs any more."""
        self.paused = False
        """Stopped by SIGSTOP: what comes waits in `parked`."""
        self.parked: list[Handle] = []
        """Bounded by the length of the pause."""
        self.remains: list[object] = []
        """What would have run after the kill. It is kept, for a task that is freed runs its
        `finally` blocks, and a killed process does not."""
        self.context = contextvars.copy_context()
        """Whatever is scheduled in it is this process's."""
        self.context.run(PROCESS.set, self)

    def __str__(self) -> str:
        return self.name


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
"""Whose code runs; None for the world's own."""


def current_process() -> Process:
    """The process whose code calls this."""
    process = PROCESS.get()
    assert process is not None, "only a simulated server does this"
    return process
