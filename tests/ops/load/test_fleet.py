"""The processes of a generator: real ones, against a cluster of this process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from zchat.errors import ConfigError
from zchat.ops.load import fleet as module
from zchat.ops.load.crowd import Progress
from zchat.ops.load.fleet import Fleet, is_settled, together
from zchat.ops.load.judge import judge
from zchat.ops.load.plan import Plan

PLAN = Plan("b", people=6, rooms=2, rate=5.0, seconds=1.0, warmup=0.2, processes=2)


async def test_two_processes_play_one_load(tmp_path: Path) -> None:
    seen: list[Progress] = []
    async with Cluster(tmp_path) as cluster, Fleet(cluster.url(), PLAN, seen.append) as fleet:
        await fleet.enter()
        begin = fleet.start()
        await fleet.talk(begin + PLAN.warmup + PLAN.seconds)
        await fleet.settle()
        accounts = await fleet.stop()
    assert judge(PLAN, accounts).ok
    assert len(accounts) == 2
    assert sum(account.received for account in accounts) == 3 * PLAN.messages
    assert max(progress.sent for progress in seen) > 0


async def test_nobody_there() -> None:
    async with Fleet("ws://127.0.0.1:1", PLAN, lambda progress: None) as fleet:
        with pytest.raises(ConfigError, match="is the cluster running"):
            await fleet.enter()


async def test_a_process_that_dies(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster, Fleet(cluster.url(), PLAN, print) as fleet:
        await fleet.enter()
        process = fleet._ships[0]._process
        assert process is not None
        process.kill()
        with pytest.raises(ConfigError, match="has died"):
            await fleet.stop()


async def test_a_process_that_says_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async def babble(reader: asyncio.StreamReader) -> bytes:
        return b"Traceback"

    monkeypatch.setattr(module, "receive", babble)
    async with Fleet("ws://127.0.0.1:1", PLAN, print) as fleet:
        with pytest.raises(ConfigError, match="cannot be understood"):
            await fleet.enter()


async def test_what_never_comes_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.1)
    async with Cluster(tmp_path) as cluster, Fleet(cluster.url(), PLAN, print) as fleet:
        monkeypatch.setattr(Fleet, "progress", Progress(sent=2, answered=1))
        await fleet.settle()


def test_progress_of_all_together() -> None:
    assert together([Progress(1, 2, 3, 4, 5, 6, 1), Progress(1, 1, 1, 1, 1, 1, 1)]) == Progress(
        2, 3, 4, 5, 6, 7, 2
    )
    assert together([]) == Progress()


@pytest.mark.parametrize(
    ("progress", "settled"),
    [
        (Progress(sent=2, answered=2, received=4, owed=4), True),
        (Progress(sent=2, answered=1, received=4, owed=4), False),
        (Progress(sent=2, answered=2, received=3, owed=4), False),
    ],
)
def test_settled(progress: Progress, settled: bool) -> None:
    assert is_settled(progress) is settled
