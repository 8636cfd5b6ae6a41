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


def _candidates() -> Iterator[int]:
    """Each process walks its own way through 10000-29999, so that tests rarely meet."""
    for _ in range(20_000):
        yield 10_000 + (os.getpid() * 131 + next(_steps)) % 20_000
