"""Waiting in tests: for something, and never longer than it takes.

No test sleeps in the hope that something has happened by then. Say what has to become true:

    await eventually(lambda: server.connections == 1)
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SCALE = float(os.environ.get("ZCHAT_TEST_SCALE", "1"))
"""How many times slower than a usual machine this one is; set it in the environment."""

MS = 0.001 * SCALE
"""A millisecond of a test's time, in seconds. Every time limit in a test is a multiple of it."""

PATIENCE = 5000 * MS
"""How long to wait for what takes no time on a machine that has nothing else to do."""


async def eventually(predicate: Callable[[], T], timeout: float = PATIENCE) -> T:
    """Poll until `predicate` is true, and return what it returned.

    Args:
        predicate: cheap and without side effects; an exception in it is not caught.
        timeout: seconds until the test fails, a multiple of `MS`.

    Raises:
        AssertionError: it did not become true in time; the text has its last value.
    """
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        assert time.monotonic() < deadline, f"still {value!r} after {timeout:.2f} s"
        await asyncio.sleep(1 * MS)
    return value
