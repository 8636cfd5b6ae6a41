"""The virtual loop: real asyncio code runs in it in no time, and always in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.sim.loop import START, VirtualLoop
from tests.sim.process import Process


def run(work: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> tuple[VirtualLoop, list[Any]]:
    """Run a coroutine to its end; returns the loop and what failed in it."""
    failed: list[Any] = []
    loop = VirtualLoop(failed.append)
    tasks = []

    def start() -> None:
        tasks.append(loop.create_task(work(loop)))

    loop.call_soon(start)
    loop.run(lambda: False)
    assert tasks[0].done()
    tasks[0].result()
    return loop, failed


def test_time_jumps_to_the_next_timer() -> None:
    async def work(loop: VirtualLoop) -> None:
        await asyncio.sleep(3600)
        await asyncio.sleep(0.5)

    loop, failed = run(work)
    assert loop.now == START + 3600.5
    assert failed == []


def test_time_limits_locks_and_gathering_work() -> None:
    seen: list[str] = []

    async def work(loop: VirtualLoop) -> None:
        lock = asyncio.Lock()

        async def hold(name: str, seconds: float) -> None:
            async with lock:
                await asyncio.sleep(seconds)
                seen.append(name)

        await asyncio.gather(hold("a", 2), hold("b", 1))
        try:
            async with asyncio.timeout(1):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("timeout")

    loop, _ = run(work)
    assert seen == ["a", "b", "timeout"]
    assert loop.now == START + 4


def test_what_is_due_at_once_runs_in_the_order_in_which_it_was_asked_for() -> None:
    loop = VirtualLoop(lambda context: None)
    seen: list[int] = []
    for number in (1, 2, 3):
        loop.call_at(START + 1, seen.append, number)
    loop.call_later(0.5, seen.append, 0)
    cancelled = loop.call_later(0.7, seen.append, 9)
    cancelled.cancel()
    loop.run(lambda: False)
    assert seen == [0, 1, 2, 3]


def test_a_callback_that_fails_is_told_and_the_rest_goes_on() -> None:
    failed: list[dict[str, Any]] = []
    loop = VirtualLoop(failed.append)
    seen: list[str] = []
    loop.call_soon(lambda: 1 // 0)
    loop.call_soon(seen.append, "later")
    loop.run(lambda: False)
    assert seen == ["later"]
    assert isinstance(failed[0]["exception"], ZeroDivisionError)


def steps(seen: list[float], loop: VirtualLoop) -> Coroutine[Any, Any, None]:
    async def work() -> None:
        try:
            for _ in range(10):
                await asyncio.sleep(1)
                seen.append(loop.now - START)
        finally:
            seen.append(-1)

    return work()


def test_a_killed_process_stops_where_it_waits() -> None:
    loop, seen = VirtualLoop(lambda context: None), list[float]()
    process = Process("chat-1", 1)

    def kill() -> None:
        process.dead = True

    process.context.run(loop.create_task, steps(seen, loop))
    loop.call_later(3.5, kill)
    loop.run(lambda: False)
    assert seen == [1, 2, 3]  # and no `finally` ran
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        task.get_coro().close()


def test_a_process_that_stands_still_goes_on_where_it_was() -> None:
    loop, seen = VirtualLoop(lambda context: None), list[float]()
    process = Process("chat-1", 1)

    def stop() -> None:
        process.paused = True

    def go_on() -> None:
        process.paused = False
        loop.resume(process.parked)

    process.context.run(loop.create_task, steps(seen, loop))
    loop.call_later(2.5, stop)
    loop.call_later(5.25, go_on)
    loop.run(lambda: False)
    assert seen == [1, 2, 5.25, 6.25, 7.25, 8.25, 9.25, 10.25, 11.25, 12.25, -1]
