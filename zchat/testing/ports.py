"""Free ports for clusters whose servers must know each other's addresses beforehand."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now, each different.

    They are below the range from which the kernel takes ports for outgoing connections, so none
    of those can take one before its server does.
    """
    with ExitStack() as held:
        ports = []
        for port in _candidates():
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    raise OSError(f"no {count} free ports")


_steps = itertools.count()
_FIRST, _COUNT = 10_000, 20_000


def _candidates() -> Iterator[int]:
    """Each process walks its own way through 10000-29999, so that tests rarely meet.

    The workers of one pytest-xdist run share nothing: a port whose server was killed is free for a
    moment, and must be there when the server starts again.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = _COUNT // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    for _ in range(count):
        yield _FIRST + worker * count + (os.getpid() * 131 + next(_steps)) % count
