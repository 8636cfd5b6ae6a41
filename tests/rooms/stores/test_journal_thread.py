"""Calls that block, and ones that hang: who waits, who is told what, and what ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from tests.support.timing import MS, eventually
from zchat.rooms.stores.journal_thread import JournalStalled, JournalThread


class Disk:
    """Hangs until it is told to go on."""

    def __init__(self) -> None:
        self.goes = threading.Event()
        self.begun = threading.Event()
        self.done: list[str] = []

    def write(self, text: str) -> str:
        self.begun.set()
        assert self.goes.wait(10_000 * MS)
        self.done.append(text)
        return text


@pytest.fixture
async def thread() -> AsyncIterator[JournalThread]:
    thread = JournalThread("journal-test", 50 * MS)
    yield thread
    await thread.close(lambda: None)


@pytest.fixture
async def patient() -> AsyncIterator[JournalThread]:
    thread = JournalThread("journal-test", 10_000 * MS)
    yield thread
    await thread.close(lambda: None)


async def test_a_call_is_made_there(patient: JournalThread) -> None:
    assert await patient.run(lambda: threading.current_thread().name) == "journal-test"
    assert await patient.run(int, "ff", base=16) == 255


async def test_what_it_raises_is_raised(patient: JournalThread) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await patient.run(int, "x")
    assert await patient.run(int, "1") == 1


async def test_calls_are_made_in_order(patient: JournalThread) -> None:
    made: list[int] = []
    await asyncio.gather(*(patient.run(made.append, number) for number in range(100)))
    assert made == list(range(100))


async def test_it_says_whether_calls_wait(patient: JournalThread) -> None:
    disk = Disk()
    first = asyncio.create_task(patient.run(disk.write, "a"))
    await eventually(disk.begun.is_set)
    assert not patient.waiting
    second = asyncio.create_task(patient.run(disk.write, "b"))
    await eventually(lambda: patient.waiting)
    disk.goes.set()
    assert [await first, await second] == ["a", "b"]
    assert not patient.waiting


async def test_who_gave_up_before_it_began_takes_it_back(patient: JournalThread) -> None:
    disk = Disk()
    first, second = (asyncio.create_task(patient.run(disk.write, text)) for text in "ab")
    await eventually(disk.begun.is_set)
    for call in (first, second):
        call.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    disk.goes.set()
    assert await patient.run(disk.write, "c") == "c"
    assert disk.done == ["a", "c"], "what has begun is carried out"
    assert not patient.stalled


async def test_a_call_that_hangs_is_given_up(thread: JournalThread) -> None:
    """So are all others meanwhile, at once; when it ends all is well."""
    disk = Disk()
    loop = asyncio.get_running_loop()
    waiting = [asyncio.create_task(thread.run(disk.write, text)) for text in "ab"]
    for call in waiting:
        with pytest.raises(JournalStalled, match="no answer in"):
            await call
    assert thread.stalled
    begun = loop.time()
    with pytest.raises(JournalStalled, match="hangs"):
        await thread.run(disk.write, "c")
    assert loop.time() - begun < 40 * MS
    disk.goes.set()
    await eventually(lambda: not thread.stalled)
    assert disk.done == ["a"], "what had not begun was told to have failed, and is not made"
    assert await thread.run(disk.write, "d") == "d"


async def test_each_call_has_its_own_time(thread: JournalThread) -> None:
    """Whatever was called before it, and however that ended."""
    disk, loop = Disk(), asyncio.get_running_loop()
    assert await thread.run(int, "1") == 1
    await asyncio.sleep(30 * MS)
    begun = loop.time()
    with pytest.raises(JournalStalled):
        await thread.run(disk.write, "a")
    assert loop.time() - begun >= 50 * MS
    disk.goes.set()
    await eventually(lambda: not thread.stalled)


async def test_closing_ends_the_thread(patient: JournalThread) -> None:
    made: list[str] = []
    thread = JournalThread("journal-closing", 10_000 * MS)
    under_way = asyncio.create_task(thread.run(made.append, "call"))
    await asyncio.sleep(0)
    await thread.close(lambda: made.append("last"))
    await under_way
    assert made == ["call", "last"]
    assert "journal-closing" not in [t.name for t in threading.enumerate()]


async def test_closing_does_not_wait_for_a_thread_that_hangs() -> None:
    """When its disk comes back, the file is closed all the same."""
    thread, disk, closed = JournalThread("journal-hangs", 50 * MS), Disk(), threading.Event()
    call = asyncio.create_task(thread.run(disk.write, "a"))
    await eventually(disk.begun.is_set)
    async with asyncio.timeout(5000 * MS):
        await thread.close(closed.set)
    with pytest.raises(JournalStalled):
        await call
    assert not closed.is_set()
    disk.goes.set()
    await eventually(closed.is_set)
    await eventually(lambda: "journal-hangs" not in [t.name for t in threading.enumerate()])


_HANGS = """
import asyncio, time
from zchat.rooms.stores.journal_thread import JournalStalled, JournalThread

async def main():
    thread = JournalThread("journal-hangs", 0.05)
    try:
        await thread.run(time.sleep, 3600)
    except JournalStalled:
        await thread.close(lambda: None)
        print("closed")

asyncio.run(main())
"""


def test_a_process_ends_though_a_thread_hangs() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _HANGS], capture_output=True, text=True, timeout=20_000 * MS
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed\n", "")
