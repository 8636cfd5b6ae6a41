"""One process of the generator, started by `fleet.py`: it is told what to do on its stdin."""

from __future__ import annotations

import asyncio
import gc
import select
import selectors
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO

from zchat.errors import ZchatError
from zchat.frontend.sockets.descriptors import raise_limit
from zchat.ops.check import TALK
from zchat.ops.load.crowd import Crowd
from zchat.ops.load.wire import Failed, Order, Ready, Start, Up, pack, read_down, receive

REPORT = 0.25
"""Seconds between two reports of progress."""


class FineSelector(selectors.EpollSelector):
    """Waits as long as it is told. epoll itself waits whole milliseconds, rounded up, and each
    message would be sent so much too late."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events; `timeout` is in seconds."""
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


async def work(orders: asyncio.StreamReader, say: Callable[[Up], None]) -> None:
    """Do as it is told, until the end of `orders`.

    Args:
        orders: see `wire.py`.
        say: tells of it.
    """
    order = read_down(await receive(orders))
    assert isinstance(order, Order)
    crowd = Crowd(order.url, order.plan, order.process, TALK)
    tasks = {asyncio.create_task(_report(crowd, say))}
    try:
        await crowd.enter()
        gc.collect()
        gc.freeze()  # thousands of people need not be looked at again and again
        say(Ready())
        told = read_down(await receive(orders))
        if isinstance(told, Start):
            talking = asyncio.create_task(crowd.talk(told.at))
            tasks.add(talking)
            await receive(orders)  # Stop
            await talking
        say(crowd.account())
    except (ZchatError, OSError) as error:
        say(Failed(str(error)))
    except asyncio.IncompleteReadError:
        pass  # who started this process is gone, or needs no account
    finally:
        for task in tasks:
            task.cancel()
        crowd.leave()
        await asyncio.wait(tasks)


async def _report(crowd: Crowd, say: Callable[[Up], None]) -> None:
    while True:
        await asyncio.sleep(REPORT)
        say(crowd.progress())


async def _main(out: BinaryIO) -> None:
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)

    def say(said: Up) -> None:
        out.write(pack(said))
        out.flush()

    await work(orders, say)


def main() -> None:
    """Run one process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it, by closing its stdin
    raise_limit()  # each of the people is a socket
    loops = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(FineSelector()))
    with loops as runner:
        runner.run(_main(sys.stdout.buffer))


if __name__ == "__main__":
    main()
