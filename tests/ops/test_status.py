"""Asking servers how they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.timing import MS, eventually
from zchat.cluster.curve import create_keys
from zchat.cluster.identity import OPERATOR
from zchat.config.servers import load
from zchat.config.topology import Topology
from zchat.errors import ConfigError
from zchat.ops import status
from zchat.ops.cli import main


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 1}) as cluster:
        yield cluster


def topology(cluster: Cluster) -> Topology:
    return load(cluster.folder / "config" / "servers.json", "development")


async def test_every_server_answers(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby")
    await alice.say("hello")
    answers = await status.ask(topology(cluster), cluster.settings, cluster.folder)
    assert [answer["id"] for answer in answers] == [
        "gate-server-1",
        "connector-server-1",
        "chat-server-1",
    ]
    assert all(answer["reachable"] for answer in answers)
    gate, connector, chat = answers
    assert (connector["connections"], connector["sessions"], connector["channels"]) == (1, 1, 1)
    assert connector["counters"]["forwarded"] == 1
    assert (chat["published"], chat["channels"]) == (1, 1)
    assert gate["counters"]["client_closed"] == 1


async def test_many_ask_at_once_without_a_word_in_the_log(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "zchat.cluster")
    asked = [status.ask(topology(cluster), cluster.settings, cluster.folder) for _ in range(5)]
    for answers in await asyncio.gather(*asked):
        assert all(answer["reachable"] for answer in answers)
    servers = [running.node.rpc_server for running in cluster.running.values()]
    await eventually(lambda: not any("operator" in name for one in servers for name in one.peers))
    assert "operator" not in caplog.text


async def test_one_that_does_not_answer_is_shown(cluster: Cluster) -> None:
    await cluster.stop("chat-server-1")
    answers = await status.ask(topology(cluster), cluster.settings, cluster.folder, 500 * MS)
    assert [answer["reachable"] for answer in answers] == [True, True, False]
    assert answers[2]["error"]


def test_the_table_is_for_people() -> None:
    up = {"id": "a", "type": "chat", "reachable": True, "pid": 7, "uptime": 3725.5, "channels": 3}
    down = {"id": "bb", "type": "gate", "reachable": False, "error": "no answer"}
    assert status.table([{**up, "queues": {"x": 5, "y": 6}}, down]).splitlines() == [
        "id  type  pid  uptime   connections  channels  queued  state",
        "a   chat  7    1:02:05  -            3         11 B    up",
        "bb  gate  -    -        -            -         -       unreachable: no answer",
    ]


def test_a_page_that_nobody_listed_need_not_run() -> None:
    up = {"id": "a", "type": "chat", "reachable": True}
    down = {"id": "web-server-1", "type": "web", "reachable": False, "error": "no answer"}
    assert status.is_well([up, {**down, "implicit": True}])
    assert not status.is_well([up, down])
    shown = status.table([{**down, "implicit": True}])
    assert shown.endswith("not running, nor in servers.json")


async def test_a_page_that_nobody_listed_is_shown_as_such(cluster: Cluster) -> None:
    config = cluster.folder / "config" / "servers.json"
    types = json.loads(config.read_text())["development"]
    del types["web"]
    config.write_text(json.dumps({"development": types}))
    answers = await status.ask(topology(cluster), cluster.settings, cluster.folder, 500 * MS)
    assert [answer.get("implicit", False) for answer in answers] == [False, False, False, True]
    assert status.is_well(answers)


def test_a_table_of_nothing_has_its_head() -> None:
    assert status.table([]).split() == list(status.COLUMNS)


async def test_a_cluster_with_keys_talks_and_answers_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZCHAT_ENV", raising=False)
    keyed = Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 1})
    keys = tmp_path / "config" / "keys"
    assert main(["--folder", str(tmp_path), "keys"]) == 0
    async with keyed as cluster:
        alice, bob = await cluster.enter_all(["alice", "bob"], "lobby")
        assert "offset" in await alice.say("psst")
        assert await bob.heard(1) == ["psst"]
        answers = await status.ask(topology(cluster), cluster.settings, cluster.folder)
        assert all(answer["reachable"] for answer in answers)
    for path in keys.glob("operator.*"):
        path.unlink()
    with pytest.raises(ConfigError, match="others have keys: zchat keys operator"):
        await status.ask(topology(keyed), keyed.settings, tmp_path)


async def test_a_missing_key_is_an_error_that_leaves_nothing_open(tmp_path: Path) -> None:
    keyed = Cluster(tmp_path, {"chat": 2})
    keys = tmp_path / "config" / "keys"
    for name in ("chat-server-1", OPERATOR):
        create_keys(keys, name)
    with pytest.raises(ConfigError, match=r"chat-server-2\.key"):
        await status.ask(topology(keyed), keyed.settings, tmp_path)
