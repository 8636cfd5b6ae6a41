"""Requests that come from frontends, and those of their own: each has one answer."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.application import application
from tests.support.cluster import FAST, Cluster
from tests.support.logs import ExpectedLogs
from tests.support.timing import MS, eventually
from zchat import BackendSession, Handler, serial

ROUTES = ("connector.oddHandler", "chat.oddHandler")
DEADLINE = 800 * MS


class OddHandler(Handler):
    """Handlers that do what they should not, and some that do what they should."""

    running: ClassVar[list[int]] = []
    order: ClassVar[list[int]] = []
    released: ClassVar[bool] = False

    @serial
    async def slow(self, msg: dict[str, Any], session: BackendSession) -> dict[str, Any]:
        """Runs alone, and finds what the one before it has set."""
        number = msg["n"]
        self.running.append(number)
        alone = len(self.running) == 1
        await asyncio.sleep(0.005 * MS)
        before = session.get("last")
        session.set("last", number)
        await session.push("last")
        self.order.append(number)
        self.running.remove(number)
        return {"n": number, "alone": alone, "before": before}

    async def stubborn(self, msg: dict[str, Any], session: BackendSession) -> dict[str, Any]:
        """Does not let itself be ended."""
        while not self.released:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(10 * MS)
        return {"late": True}

    async def exits(self, msg: dict[str, Any], session: BackendSession) -> dict[str, Any]:
        sys.exit(3)

    async def interrupts(self, msg: dict[str, Any], session: BackendSession) -> dict[str, Any]:
        raise KeyboardInterrupt

    async def cancels(self, msg: dict[str, Any], session: BackendSession) -> dict[str, Any]:
        raise asyncio.CancelledError

    async def unsendable(self, msg: dict[str, Any], session: BackendSession) -> Any:
        return {"it": object()}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    OddHandler.running.clear()
    OddHandler.order.clear()
    OddHandler.released = False
    places = ("connector/handler/odd_handler", "chat/handler/odd_handler")
    app = application(tmp_path, dict.fromkeys(places, OddHandler))
    settings = replace(FAST, cluster=replace(FAST.cluster, request_deadline=DEADLINE))
    async with Cluster(
        tmp_path, {"connector": 1, "chat": 1}, app=app, settings=settings
    ) as cluster:
        yield cluster


@pytest.mark.parametrize("handler", ROUTES)
async def test_serial_handlers_run_one_at_a_time_in_order(cluster: Cluster, handler: str) -> None:
    alice = await cluster.connect("alice", connector=0)
    asked = [alice.request(f"{handler}.slow", {"n": number}) for number in range(5)]
    answers = await asyncio.gather(*asked)
    assert OddHandler.order == [0, 1, 2, 3, 4]
    assert [answer.get("alone", answer) for answer in answers] == [True] * 5
    assert [answer["before"] for answer in answers] == [None, 0, 1, 2, 3]


@pytest.mark.parametrize("handler", ROUTES)
@pytest.mark.parametrize("method", ["exits", "interrupts", "cancels", "unsendable"])
async def test_whatever_a_handler_does_it_has_one_answer(
    cluster: Cluster, handler: str, method: str, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.app", f"{handler}.{method} failed")
    alice = await cluster.connect("alice", connector=0)
    answer = await alice.request(f"{handler}.{method}", {})
    assert answer == {"code": 500, "error": "internal error"}
    for running in cluster.running.values():
        assert running.health()["status"] == "ok"


@pytest.mark.parametrize("handler", ROUTES)
async def test_who_does_not_end_in_time_is_not_waited_for(cluster: Cluster, handler: str) -> None:
    alice = await cluster.connect("alice", connector=0)
    try:
        answer = await alice.request(f"{handler}.stubborn", {})
    finally:
        OddHandler.released = True
    assert answer["code"] == 504
    connector = cluster.running["connector-server-1"].frontend
    assert connector is not None
    session = next(iter(connector.sessions))
    await eventually(lambda: session.requests == 0)


async def test_a_server_that_stops_begins_no_request(cluster: Cluster) -> None:
    alice = await cluster.connect("alice", connector=0)
    cluster.running["chat-server-1"].requests.stop()
    answer = await alice.request("chat.oddHandler.slow", {"n": 1})
    assert (answer["code"], answer["error"]) == (503, "chat-server-1 is stopping")
