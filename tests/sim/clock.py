"""Virtual time for a whole interpreter.

zchat takes its clocks as arguments, whose defaults are bound when a module is loaded. So `install`
comes before the first import of zchat, in a process that does nothing but simulate.
"""

from __future__ import annotations

import random
from unittest import mock

from tests.sim.loop import START, VirtualLoop

_EPOCH = 1_700_000_000.0
"""What the calendar says when a run begins, in seconds since 1970."""


class World:
    """Whose time it is."""

    loop: VirtualLoop | None = None
    random = random.Random(0)


def install() -> None:
    """Replace the clocks, and what else is another in each interpreter."""
    for name, stand_in in (
        ("time.monotonic", _monotonic),
        ("time.time", _time),
        ("time.time_ns", lambda: int(_time() * 1e9)),
        ("secrets.token_hex", _token_hex),
        ("os.getpid", lambda: 1),  # it stands in the logs
    ):
        mock.patch(name, stand_in).start()


def begin(loop: VirtualLoop, source: random.Random) -> None:
    """From now on it is this loop's time."""
    World.loop = loop
    World.random = source


def _monotonic() -> float:
    return START if World.loop is None else World.loop.now


def _time() -> float:
    return _monotonic() - START + _EPOCH


def _token_hex(nbytes: int = 32) -> str:
    return World.random.randbytes(nbytes).hex()
