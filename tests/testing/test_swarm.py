"""A small swarm in a cluster of this process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.cluster import UNLIMITED, Cluster
from zchat.ops.check import TALK, read_journal
from zchat.testing.checker import check
from zchat.testing.events import Acked, Ended, Entered, Lost, PeopleSeen, Sent
from zchat.testing.swarm import Plan, Swarm
from zchat.testing.verdict import Minimums

GRACE = UNLIMITED.rooms.grace
PLAN = Plan(seed=5, people=12, rooms=3, rate=10, private=0.3, cuts=10, away=3 * GRACE, prefix="z")


ENOUGH = Minimums(acks=100, recoveries=5)


def enough(swarm: Swarm) -> bool:
    """Whether so much has happened that the run proves something."""
    acks = sum(isinstance(event, Acked) for event in swarm.events)
    returns = sum(isinstance(event, Entered) and bool(event.recovered) for event in swarm.events)
    return acks >= ENOUGH.acks and returns >= ENOUGH.recoveries


async def test_a_swarm_that_is_cut_off_again_and_again(tmp_path: Path) -> None:
    async with Cluster(tmp_path, settings=UNLIMITED) as cluster:
        swarm = Swarm(cluster.url(), TALK, PLAN)
        try:
            await swarm.enter()
            while not enough(swarm):
                await swarm.live(0.5)
            await swarm.settle(GRACE)
        finally:
            await swarm.leave()
        await swarm.come_again(2 * GRACE + 5)
        journal = await read_journal(cluster.settings, tmp_path, swarm.rooms)
    verdict = check(swarm.events, journal, minimums=ENOUGH, grace=GRACE)
    assert verdict.ok, str(verdict)
    assert verdict.counts.get("not_recovered", 0) == 0
    assert verdict.counts["returns_that_did_not_ask"] == 0
    assert any(isinstance(event, Lost) for event in swarm.events)
    assert any(isinstance(event, Sent) and event.to is not None for event in swarm.events)
    looks = [event.client for event in swarm.events if isinstance(event, PeopleSeen)]
    assert sorted(looks) == sorted(talker.name for talker in swarm.talkers)


async def test_a_name_that_is_not_free(tmp_path: Path) -> None:
    plan = Plan(seed=5, people=1, rooms=1, prefix="z")
    async with Cluster(tmp_path) as cluster:
        await cluster.enter("zp0", "zr0")
        swarm = Swarm(cluster.url(), TALK, plan)
        await swarm.come_again(0.2)
    [event] = swarm.events
    assert isinstance(event, Ended)
    assert event.why == "its name is not free again"


async def test_who_does_not_come_back_is_written_down(tmp_path: Path) -> None:
    plan = Plan(seed=5, people=2, rooms=1, prefix="z", away=0)
    async with Cluster(tmp_path) as cluster:
        swarm = Swarm(cluster.url(), TALK, plan)
        try:
            await swarm.enter()
            await swarm.talkers[0].client.close()
            await asyncio.sleep(0)
        finally:
            await swarm.leave()
    assert [event.client for event in swarm.events if isinstance(event, Ended)] == ["zp0"]
    assert not check(swarm.events).ok
