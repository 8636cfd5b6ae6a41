"""What a test left behind: file descriptors (sockets, pipes, epolls, files), threads, tasks."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
from pathlib import Path

from tests.support.timing import MS, eventually

DESCRIPTORS = Path("/proc/self/fd")
"""Linux shows a process its own descriptors here; elsewhere nothing is checked."""

SETTLE = 2000 * MS
"""What closes in the background has this long: ZeroMQ closes sockets in a thread of its own."""


def open_files() -> dict[int, str]:
    """Every open descriptor with what it stands for, such as `socket:[4711]`."""
    files = {}
    for entry in DESCRIPTORS.iterdir() if DESCRIPTORS.is_dir() else ():
        try:
            files[int(entry.name)] = os.readlink(entry)
        except FileNotFoundError:
            continue  # the descriptor that listed this folder is closed by now
    return files


def leaked_files(before: dict[int, str]) -> list[str]:
    """Descriptions of the descriptors that are open now and were not in `before`."""
    deadline = time.monotonic() + SETTLE
    while leaked := dict(open_files().items() - before.items()):
        if time.monotonic() > deadline:
            break
        # An object nobody closed is found by its ResourceWarning, which is an error in tests;
        # here it only must not be held against a test that did close everything else.
        gc.collect()
        time.sleep(5 * MS)
    return [f"fd {number}: {_describe(number, target)}" for number, target in leaked.items()]


def leaked_threads(before: set[threading.Thread]) -> list[str]:
    """Descriptions of the threads that run now and did not run in `before`.

    Those of a loop's executor are as old as the loop, which may be that of a whole module.
    """
    deadline = time.monotonic() + SETTLE
    begun = set(threading.enumerate()) - before
    leaked = [thread for thread in begun if not thread.name.startswith("asyncio_")]
    for thread in leaked:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [repr(thread) for thread in leaked if thread.is_alive()]


async def leaked_tasks() -> list[str]:
    """Descriptions of the tasks that still run; they get a moment to end when cancelled."""
    own = asyncio.current_task()

    def left() -> set[asyncio.Task[object]]:
        return {task for task in asyncio.all_tasks() if task is not own}

    try:
        await eventually(lambda: not left(), SETTLE)
    except AssertionError:
        return [repr(task) for task in left()]
    return []


def _describe(number: int, target: str) -> str:
    if not target.startswith("socket:"):
        return target
    try:
        with socket.socket(fileno=os.dup(number)) as copy:
            return f"{target} {copy.family.name} bound to {copy.getsockname()!r}"
    except OSError as error:
        return f"{target} ({error})"
