"""How much slower this machine is when it has just woken up: python -m bench.cold

Two things, each done again and again after a pause, while nothing else is to do: the codecs that a
message passes on its way from a client to a worker and back, in Python, and one `send` and `recv`
over a pair of sockets. Whoever comes back from a pause finds the caches and the branch predictors
full of others' things, most of all where other virtual machines use the same cores. This tells what
of the cost at low load is the machine's.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from zchat.cluster import envelope
from zchat.protocol import message
from zchat.protocol.dictionary import EMPTY

PAUSES = (0.0, 0.0001, 0.001, 0.01, 0.1)
"""Seconds."""

_TIMES = 100
_WARM = 2_000
"""Times until the interpreter has made what it makes of code that runs often."""

_REQUEST = message.encode_request(1, "chat.chatHandler.send", b'{"content":"hello"}', EMPTY)


def main() -> None:
    """Measure and print the table."""
    pair = socket.socketpair()
    works = {"codecs": _codecs, "send and recv": partial(_exchange, *pair)}
    warm: dict[str, float] = {}
    print(f"{'pause':>8}" + "".join(f"{name:>22}" for name in works))
    for pause in PAUSES:
        print(f"{1000 * pause:>5g} ms", end="")
        for name, work in works.items():
            spent = _microseconds(work, pause)
            ratio = spent / warm.setdefault(name, spent)
            print(f"{spent:>10.1f} us = {ratio:>4.1f} x", end="")
        print(flush=True)
    for end in pair:
        end.close()


def _codecs() -> None:
    """Read a client's request, forward it to a worker, and answer it."""
    asked = message.decode(_REQUEST, EMPTY)
    request = envelope.Request(1, asked.route, b"session", asked.body, 5_000, 0, asked.id)
    envelope.decode(envelope.encode([request]))
    envelope.decode(envelope.encode([envelope.Reply(request.id, request.body)]))
    message.data_response(request.message_id, request.body)


def _exchange(ours: socket.socket, theirs: socket.socket) -> None:
    ours.send(b"x" * 64)
    theirs.recv(4096)


def _microseconds(work: Callable[[], None], pause: float) -> float:
    """The median of what the work takes, so long after the last time."""
    for _ in range(_WARM):
        work()
    took = []
    for _ in range(_TIMES):
        if pause:
            time.sleep(pause)
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return 1e6 * median(took)


if __name__ == "__main__":
    main()
