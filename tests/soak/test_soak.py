"""The whole promise on real processes: nothing is lost, doubled or reordered, whatever happens.

    make soak                                    5 minutes
    ZCHAT_SEED=7 make test ARGS=tests/soak       one minute, with this seed

The seed decides what is done and said; how processes and sockets take it is theirs. What failed is
left in a folder that the failure names.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from tests.conftest import PASSED
from tests.soak.faults import Faults
from tests.support.soak import rounds
from tests.support.supervised import Supervised
from zchat.config import settings
from zchat.ops.check import READING, TALK, read_journal
from zchat.testing.checker import GRACES, check
from zchat.testing.swarm import Plan, Swarm
from zchat.testing.tally import Tally
from zchat.testing.verdict import Minimums

SECONDS = rounds(60, soak=300)
TIMES = SECONDS // 60
SEED = int(os.environ.get("ZCHAT_SEED", secrets.randbits(32)))
GRACE = 3.0
MARGIN = 5.0
"""Seconds that two hundred names take to be tried."""

SERVERS = {"gate": 1, "connector": 2, "chat": 2, "web": 1}

SETTINGS = f"""
[application]
module = "lossy"
[client]
listen = "127.0.0.1"
[cluster]
drain = 1
[rooms]
grace = {GRACE}
history = 100000
"""

MINIMUMS = Minimums(
    acks=2500 * TIMES,
    recoveries=40 * TIMES,
    kills=3 * TIMES,
    repaired=20 * TIMES,
    refused_appends=1,
    owner_changes=2 * TIMES,
)

pytestmark = pytest.mark.timeout(SECONDS + 300)


@pytest.fixture
async def project(request: pytest.FixtureRequest) -> AsyncIterator[Supervised]:
    # Not pytest's own folder: its path may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="zchat soak ", dir="/tmp"))
    shutil.copy(Path(__file__).with_name("lossy.py"), folder)
    project = Supervised(folder, SERVERS, SETTINGS)
    try:
        await project.start()
        yield project
    finally:
        await project.stop()
    if request.node.stash.get(PASSED, False):
        shutil.rmtree(folder)


async def test_nothing_is_lost_doubled_or_reordered(project: Supervised) -> None:
    print(f"ZCHAT_SEED={SEED}")
    swarm = Swarm(f"ws://127.0.0.1:{project.port('gate')}", TALK, Plan(SEED, cuts=2.0, prefix="s"))
    faults = Faults(project, Random(SEED), swarm.events, swarm.clock)
    try:
        await swarm.enter()
        async with counting(project, swarm):
            await live(swarm, faults)
        await swarm.settle(GRACE)
    finally:
        await swarm.leave()
    await swarm.come_again(GRACES * GRACE + MARGIN)
    figures = settings.load(project.folder / "config" / "settings.toml")
    journal = await read_journal(figures, project.folder, swarm.rooms)
    assert journal
    verdict = check(swarm.events, journal, minimums=MINIMUMS, grace=GRACE)
    print(verdict)
    print(f"all of it: {project.folder}; again: ZCHAT_SEED={SEED}")
    assert verdict.ok
    assert verdict.counts.get("not_recovered", 0) == 0
    assert verdict.counts["returns_that_did_not_ask"] == 0
    assert verdict.counts.get("holes_told", 0) == 0
    assert re.findall(r"^Traceback.*", project.logs(), re.M) == []


async def live(swarm: Swarm, faults: Faults) -> None:
    """People talk while everything breaks; in the end it is whole again."""
    async with asyncio.TaskGroup() as group:
        group.create_task(swarm.live(SECONDS))
        group.create_task(faults.go_on(swarm.clock() + SECONDS))
    await faults.mend()


@asynccontextmanager
async def counting(project: Supervised, swarm: Swarm) -> AsyncIterator[None]:
    """Write down what the servers count."""
    tally = Tally()

    async def read() -> None:
        swarm.events += tally.take(swarm.clock(), await project.answers())

    async def read_on() -> None:
        while True:
            await asyncio.sleep(READING)
            await read()

    await read()
    reading = asyncio.create_task(read_on())
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.wait({reading})
    await read()
