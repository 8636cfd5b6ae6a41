"""What servers use, as they say themselves."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from zchat.ops.check import Project
from zchat.ops.load.cost import Cost, Reading, Used, costs, per_delivery, read, read_at

EMPTY = Reading(0.0, {"a": Used("chat", 1, 5.0, 100), "b": Used("gate", 2, 1.0, 0)})
BEGIN = Reading(10.0, {"a": Used("chat", 1, 6.0, 150), "b": Used("gate", 2, 1.0, 0)})
END = Reading(20.0, {"a": Used("chat", 1, 11.0, 180), "b": Used("gate", 2, 1.5, 0)})


def test_what_is_used_between_two_readings() -> None:
    assert costs(EMPTY, BEGIN, END) == [
        Cost("a", "chat", cores=0.5, memory=180, grown=80),
        Cost("b", "gate", cores=0.05, memory=0, grown=0),
    ]


def test_who_started_again_or_came_later_is_left_out() -> None:
    again = Reading(20.0, {"a": Used("chat", 9, 1.0, 1), "c": Used("chat", 3, 1.0, 1)})
    assert costs(EMPTY, BEGIN, again) == []


def test_per_delivery() -> None:
    found = costs(EMPTY, BEGIN, END)
    assert per_delivery(found, 55_000) == pytest.approx(10.0)
    assert per_delivery([], 55_000) is None
    assert per_delivery(found, 0) is None


async def test_real_servers_say_what_they_use(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        chat = cluster.running["chat-server-1"]
        project = Project(chat.servers.topology, chat.settings, tmp_path)
        first = await read(project)
        later = await read_at(project, time.monotonic() + 0.05)
        await cluster.stop("chat-server-2")
        last = await read(project)
    ids = {f"{name}-server-{n}" for name, n in [("gate", 1), ("connector", 1), ("connector", 2)]}
    assert ids <= first.servers.keys() == later.servers.keys()
    assert later.at >= first.at + 0.05
    assert later.servers["chat-server-1"].cpu >= first.servers["chat-server-1"].cpu > 0
    assert later.servers["chat-server-1"].memory > 1_000_000
    assert "chat-server-2" not in last.servers
