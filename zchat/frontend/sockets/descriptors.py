"""How many clients one process has file descriptors for."""

from __future__ import annotations

import resource
from typing import Final

_OTHERS: Final = 128  # listening and ZeroMQ sockets, logs, the event loop's own
_MOST: Final = 1 << 20  # where the hard limit is "none"


def raise_limit() -> int:
    """Raises this process's limit of open files as far as it may be raised.

    The server does this itself: a supervisor with a high limit closes as many descriptors one by
    one in each child it starts, and signals that arrive meanwhile are lost.

    Returns:
        the limit now in force.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    best = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < best:
        resource.setrlimit(resource.RLIMIT_NOFILE, (best, hard))
        return best
    return _MOST if soft == resource.RLIM_INFINITY else soft


def capacity(limit: int, wanted: int = 0) -> int:
    """The connections that fit.

    One descriptor in nine is kept for sockets that are accepted but not yet upgraded.

    Args:
        limit: descriptors of this process.
        wanted: connections asked for by configuration; 0: as many as fit.

    Returns:
        at least 1, and not more than wanted.
    """
    fitting = max(1, (limit - _OTHERS) * 8 // 9)
    return min(fitting, wanted) if wanted else fitting
