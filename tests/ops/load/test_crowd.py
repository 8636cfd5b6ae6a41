"""The people of one process, in a cluster of this process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.cluster import Cluster
from tests.support.timing import eventually
from zchat.client import Disconnected
from zchat.errors import RequestError
from zchat.ops.check import TALK
from zchat.ops.load.crowd import Crowd
from zchat.ops.load.histogram import Histogram
from zchat.ops.load.judge import judge
from zchat.ops.load.plan import Plan

PLAN = Plan("b", people=8, rooms=2, rate=5.0, seconds=1.0, warmup=0.2)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path) as cluster:
        yield cluster


async def test_all_that_is_due_is_said_and_shown(cluster: Cluster) -> None:
    crowd = Crowd(cluster.url(), PLAN, 0, TALK)
    try:
        await crowd.enter()
        assert crowd.progress().entered == 8
        start = time.monotonic()
        await crowd.talk(start)
        assert time.monotonic() >= start + 1.2
        await eventually(lambda: crowd.progress().received == 4 * PLAN.messages)
        await eventually(lambda: crowd.progress().answered == PLAN.messages)
        account = crowd.account()
    finally:
        crowd.leave()
    progress = crowd.progress()
    assert (progress.sent, progress.owed, progress.gone) == (PLAN.messages, progress.received, 0)
    verdict = judge(PLAN, [account])
    assert verdict.ok, str(verdict)
    measured = PLAN.messages - PLAN.unmeasured
    assert len(Histogram(account.late)) == len(Histogram(account.acknowledged)) == measured
    assert sum(len(Histogram(counts)) for counts in account.delivered) == 4 * measured
    assert 0 < sum(account.arrived) <= account.received
    assert 0 < account.cpu < 1
    assert (account.failed, account.unanswered, account.unsent) == (0, 0, 0)


async def test_late_messages_are_sent_at_once_and_count_as_late(cluster: Cluster) -> None:
    crowd = Crowd(cluster.url(), PLAN, 0, TALK)
    try:
        await crowd.enter()
        await crowd.talk(time.monotonic() - 10)
        await eventually(lambda: crowd.progress().received == 4 * PLAN.messages)
        account = crowd.account()
    finally:
        crowd.leave()
    assert Histogram(account.late).percentile(1) > 8000
    assert Histogram(account.delivered[0]).percentile(1) > 8000


async def test_two_crowds_share_the_rooms(cluster: Cluster) -> None:
    plan = replace(PLAN, processes=2, rooms=1)
    crowds = [Crowd(cluster.url(), plan, process, TALK) for process in range(2)]
    try:
        for crowd in crowds:
            await crowd.enter()
        start = time.monotonic()
        for crowd in crowds:
            await crowd.talk(start)
        total = 8 * plan.messages
        await eventually(lambda: sum(crowd.progress().received for crowd in crowds) == total)
        await eventually(lambda: sum(crowd.progress().owed for crowd in crowds) == total)
        verdict = judge(plan, [crowd.account() for crowd in crowds])
    finally:
        for crowd in crowds:
            crowd.leave()
    assert verdict.ok, str(verdict)


async def test_nobody_at_the_gate(cluster: Cluster) -> None:
    await cluster.stop("gate-server-1")
    with pytest.raises(Disconnected):
        await Crowd(cluster.url(), PLAN, 0, TALK).enter()


async def test_no_connector(cluster: Cluster) -> None:
    for number in (1, 2):
        await cluster.stop(f"connector-server-{number}")

    async def refused() -> bool:
        try:
            await Crowd(cluster.url(), PLAN, 0, TALK).enter()
        except RequestError as error:
            return "no connector is running" in str(error)
        except Disconnected:  # the gate has not noticed yet
            return False
        raise AssertionError("somebody came in")

    while not await refused():
        pass
