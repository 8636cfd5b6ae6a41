"""Publishing from threads."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest

from tests.support.cluster import UNLIMITED, Cluster
from tests.support.timing import MS, eventually
from zchat.client import SyncPublisher
from zchat.errors import ConfigError, Unavailable

NEWS = {"msg": "The ship is in.", "from": "harbour", "target": "*"}

FORKS = """
import json, os, sys
from zchat.client import SyncPublisher

publisher = SyncPublisher(sys.argv[1], timeout=20)
offsets = [publisher.publish("pier", "onChat", {"msg": "parent"}).offset]
read, write = os.pipe()
if os.fork() == 0:
    offset = publisher.publish("pier", "onChat", {"msg": "child"}).offset
    publisher.close()
    os.write(write, str(offset).encode())
    os._exit(0)
os.close(write)
offsets.append(int(os.read(read, 100)))
os.wait()
offsets.append(publisher.publish("pier", "onChat", {"msg": "parent"}).offset)
print(json.dumps(offsets))
"""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, {"gate": 1, "chat": 1}, settings=UNLIMITED) as cluster:
        yield cluster


async def test_threads_publish_each_in_its_order(cluster: Cluster) -> None:
    def publish(_: int) -> list[int]:
        return [publisher.publish("pier", "onChat", NEWS).offset for _ in range(10)]

    def publish_all() -> list[list[int]]:
        with ThreadPoolExecutor(5) as pool:
            return list(pool.map(publish, range(5)))

    with SyncPublisher(cluster.folder) as publisher:
        offsets = await asyncio.to_thread(publish_all)
        await asyncio.to_thread(publisher.close)
    assert all(of_thread == sorted(of_thread) for of_thread in offsets)
    assert sorted(chain(*offsets)) == list(range(1, 51))


async def test_a_process_that_was_forked_has_links_of_its_own(cluster: Cluster) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FORKS, str(cluster.folder)), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(out) == [1, 2, 3]


def test_errors_are_raised_where_it_was_called(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"servers\.json"):
        SyncPublisher(tmp_path)
    with SyncPublisher(Cluster(tmp_path, {"chat": 1}).folder, timeout=50 * MS) as publisher:
        with pytest.raises(Unavailable, match="pier: not published"):
            publisher.publish("pier", "onChat", NEWS)
        with pytest.raises(ValueError, match="channel name"):
            publisher.publish("", "onChat", NEWS)
    publisher.close()
    with pytest.raises(RuntimeError, match="closed"):
        publisher.publish("pier", "onChat", NEWS)


async def test_the_end_comes_to_threads_that_wait(tmp_path: Path) -> None:
    publisher = SyncPublisher(Cluster(tmp_path, {"chat": 1}).folder)
    begun = threading.Event()

    def publish() -> None:
        begun.set()
        publisher.publish("pier", "onChat", NEWS)

    waiting = asyncio.create_task(asyncio.to_thread(publish))
    await eventually(begun.is_set)
    await asyncio.to_thread(publisher.close)
    with pytest.raises((Unavailable, RuntimeError), match="closed"):
        await waiting
