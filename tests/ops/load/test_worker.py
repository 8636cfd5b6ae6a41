"""One process of the generator: what it does as it is told; its waiting."""

from __future__ import annotations

import asyncio
import gc
import os
import selectors
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.timing import eventually
from zchat.ops.load import worker
from zchat.ops.load.crowd import Account, Progress
from zchat.ops.load.plan import Plan
from zchat.ops.load.wire import Failed, Order, Ready, Start, Stop, Up, pack
from zchat.ops.load.worker import FineSelector, work

PLAN = Plan("b", people=4, rooms=1, rate=5.0, seconds=0.5, warmup=0.1)


class Told:
    """A process that is played here, and what it said."""

    def __init__(self, url: str) -> None:
        self.said: list[Up] = []
        self.orders = asyncio.StreamReader()
        self.orders.feed_data(pack(Order(url, PLAN, 0)))
        self.task = asyncio.create_task(work(self.orders, self.said.append))

    def has_said(self, kind: type) -> bool:
        return any(isinstance(said, kind) for said in self.said)


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    async with Cluster(tmp_path) as cluster:
        yield Told(cluster.url())
    gc.unfreeze()


async def test_a_load_from_the_order_to_the_account(told: Told) -> None:
    await eventually(lambda: told.has_said(Ready))
    told.orders.feed_data(pack(Start(time.monotonic())))
    await eventually(lambda: Progress(4, 0, 12, 12, 48, 48, 1) in told.said)
    told.orders.feed_data(pack(Stop()))
    await told.task
    account = told.said[-1]
    assert isinstance(account, Account)
    assert (account.received, len(account.acks)) == (48, 12)


async def test_who_is_told_nothing_more_ends(told: Told) -> None:
    await eventually(lambda: told.has_said(Ready))
    told.orders.feed_data(pack(Start(time.monotonic())))
    told.orders.feed_eof()
    await told.task
    assert not told.has_said(Account)


async def test_who_cannot_come_in_says_why() -> None:
    told = Told("ws://127.0.0.1:1")
    await told.task
    assert isinstance(told.said[-1], Failed)
    assert "ws://127.0.0.1:1" in told.said[-1].why


def test_it_waits_less_than_a_millisecond() -> None:
    selector = FineSelector()
    try:
        took = []
        for _ in range(20):
            before = time.monotonic()
            assert selector.select(0.0002) == []
            took.append(time.monotonic() - before)
        assert min(took) < 0.001
        assert min(took) >= 0.0002
    finally:
        selector.close()


def test_it_wakes_for_what_comes() -> None:
    selector = FineSelector()
    reading, writing = os.pipe()
    try:
        selector.register(reading, selectors.EVENT_READ)
        os.write(writing, b"x")
        for timeout in (None, 0, 10):
            ((key, events),) = selector.select(timeout)
            assert (key.fd, events) == (reading, selectors.EVENT_READ)
    finally:
        selector.close()
        os.close(reading)
        os.close(writing)


def test_reports_come_often_enough_for_a_bar() -> None:
    assert worker.REPORT <= 0.5
