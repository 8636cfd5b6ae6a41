"""Thousands of calls that nobody would make: whatever comes, the cluster answers and is well.

make test ARGS=tests/hammer      some seconds
make soak ARGS=tests/hammer      ten minutes
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hammer.calls import NAMES, ROOMS, Route, Visit, numbers, since, texts, values, visits
from tests.hammer.visitors import visit
from tests.hammer.workshop import Tools, ToolsRemote
from tests.support.application import application
from tests.support.cluster import UNLIMITED, Cluster
from tests.support.logs import ExpectedLogs
from tests.support.soak import rounds
from tests.support.timing import MS, eventually

SECONDS = rounds(5, soak=200)
"""How long each test hammers."""

pytestmark = pytest.mark.timeout(SECONDS + 120)

PATIENT = replace(UNLIMITED, cluster=replace(UNLIMITED.cluster, liveness_interval=10_000 * MS))
"""While hypothesis thinks the loop stands still: no server may take the others for dead."""

names, rooms = st.sampled_from(NAMES), st.sampled_from(ROOMS)

arguments = st.lists(values, max_size=5) | st.tuples(
    texts, st.integers(), st.dictionaries(texts, st.floats()), values
).map(list)

CHAT = (
    Route("gate.gateHandler.queryEntry", {"uid": names | texts}, {"more": values}),
    Route(
        "connector.entryHandler.enter",
        {"username": names, "rid": rooms},
        {"since": since, "resume": texts},
    ),
    Route("connector.entryHandler.switchRoom", {"rid": rooms | texts}, {"since": since}),
    Route(
        "chat.chatHandler.send", {"content": texts, "target": names | st.just("*")}, {"cid": texts}
    ),
    Route("chat.chatHandler.history", {}, {"before": numbers, "after": numbers, "limit": numbers}),
)
"""Of the chat that comes with zchat."""

SCHEMAS: dict[str, Any] = {
    "dictionary": ["onChat"],
    "serverProtos": {
        "onChat": {
            "required string msg": 1,
            "required string from": 2,
            "optional uInt32 offset": 3,
        },
        "chat.chatHandler.send": {"optional uInt32 code": 1, "optional uInt32 offset": 2},
    },
    "clientProtos": {
        "chat.chatHandler.send": {"required string content": 1, "required string target": 2},
    },
}
"""Files of config/: with them most of what callers send does not fit."""

note: dict[str, Any] = {"route": texts, "body": st.dictionaries(texts, values, max_size=4)}
more: dict[str, Any] = {"channel": rooms, "uids": st.lists(names, max_size=3)}
WORKSHOP = tuple(
    Route(f"{kind}.tools.{method}", needed, optional)
    for kind in ("connector", "area")
    for method, needed, optional in (
        ("set", {"key": texts, "value": values}, {}),
        ("bind", {"uid": names}, {}),
        ("unbind", {"uid": names}, {}),
        ("ask", {"method": st.sampled_from(["take", "give"]), "args": arguments}, {}),
        ("askAll", {"method": st.just("take"), "args": arguments}, {}),
        ("tell", note, more),
        ("join", note, more),
        ("post", note, more),
    )
)
"""Of `workshop`."""


ENDING = frozenset(("session.kick", "session.kick_uid", "session.drop"))
"""Methods that would end what callers do."""


class Anvil:
    """A cluster that is hammered at, on an event loop of its own: hypothesis is not asynchronous.

    Args:
        runner: that loop.
        cluster: the cluster.
        logs: what is logged.
    """

    def __init__(self, runner: asyncio.Runner, cluster: Cluster, logs: ExpectedLogs) -> None:
        self.run = runner.run
        self._cluster = cluster
        self._logs = logs
        lines = [line for lines in cluster._lines.values() for line in lines]
        self._ports = [line["clientPort"] for line in lines if "clientPort" in line]
        offered = {
            name for running in cluster.running.values() for name in running.methods._methods
        }
        self.methods = sorted(offered - ENDING)
        self.doors = len(self._ports)

    def hit(self, made: list[Visit]) -> None:
        """Make these visits; nothing of them may be left, and nobody may complain."""
        self.run(self._hit(made))
        problems = self._logs.problems()
        self._logs.records.clear()  # or hypothesis would find that anything fails from now on
        assert problems == []

    async def _hit(self, made: list[Visit]) -> None:
        await visit(made, self._cluster, self._ports)
        await eventually(self._is_empty)

    def _is_empty(self) -> bool:
        fronts = [r.frontend for r in self._cluster.running.values() if r.frontend is not None]
        return all(not front.connections.sockets and not len(front.sessions) for front in fronts)


def hammer(anvil: Anvil, routes: tuple[Route, ...]) -> None:
    """Hit in short rounds until the time is up: hypothesis itself knows no time."""
    until = time.monotonic() + SECONDS
    hit = settings(
        max_examples=10,
        deadline=None,
        database=None,  # what broke a cluster of the past says little of this one
        suppress_health_check=list(HealthCheck),
    )(given(visits(anvil.doors, routes, anvil.methods))(anvil.hit))
    while time.monotonic() < until:
        hit()


async def people_talk(cluster: Cluster) -> None:
    """It is well: people come to each connector, hear each other in order, and read it again."""
    people = [await cluster.enter(f"p{number}", "pier", number % 2) for number in range(4)]
    said = [f"{person.name}: {number}" for number in range(3) for person in people]
    for number in range(3):
        for person in people:
            assert "offset" in await person.say(f"{person.name}: {number}")
    for person in people:
        assert await person.heard(len(said)) == said
    page = await people[0].request("chat.chatHandler.history", {"limit": len(said)})
    assert [entry["msg"] for entry in page["publications"]] == said


async def people_work(cluster: Cluster) -> None:
    """It is well: what one posts reaches the members at both connectors, in order."""
    people = [await cluster.connect(f"w{number}", number % 2) for number in range(4)]
    for person in people:
        person.listen("onWork")
        assert await person.request("area.tools.bind", {"uid": person.name}) == {"uid": person.name}
        await person.request("area.tools.join", {"route": "-", "body": {}, "channel": "well"})
    for number in range(3):
        body = {"route": "onWork", "body": {"n": number}, "channel": "well"}
        assert "offset" in await people[number].request("area.tools.post", body)
    for person in people:
        assert [(await person.expect("onWork"))["n"] for _ in range(3)] == [0, 1, 2]


@contextmanager
def anvil_of(cluster: Cluster, logs: ExpectedLogs) -> Iterator[Anvil]:
    """The cluster, started; it is stopped in the end."""
    with asyncio.Runner() as runner:
        try:
            runner.run(cluster.__aenter__())
            yield Anvil(runner, cluster, logs)
        finally:
            runner.run(cluster.stop_all())


@pytest.mark.parametrize("files", [{}, SCHEMAS], ids=["json", "schemas"])
def test_the_chat(files: dict[str, Any], tmp_path: Path, expected_logs: ExpectedLogs) -> None:
    (tmp_path / "config").mkdir()
    for name, content in files.items():
        (tmp_path / "config" / f"{name}.json").write_text(json.dumps(content))
    cluster = Cluster(tmp_path, settings=PATIENT)
    with anvil_of(cluster, expected_logs) as anvil:
        hammer(anvil, CHAT)
        anvil.run(people_talk(cluster))


def test_sessions_calls_pushes_and_channels(tmp_path: Path, expected_logs: ExpectedLogs) -> None:
    kinds: dict[str, type] = {f"{kind}/handler/tools": Tools for kind in ("connector", "area")}
    app = application(tmp_path, kinds | {"area/remote/tools_remote": ToolsRemote})
    cluster = Cluster(tmp_path, {"connector": 2, "area": 2}, app=app, settings=PATIENT)
    with anvil_of(cluster, expected_logs) as anvil:
        hammer(anvil, WORKSHOP)
        anvil.run(people_work(cluster))
