"""`zchat bench`: a short one, on real processes; and what can be wrong with it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ops.project import Project as Folder
from tests.support.cluster import Cluster
from tests.support.processes import Processes
from zchat.config.settings import Settings
from zchat.errors import ConfigError
from zchat.ops import bench
from zchat.ops.cli import main
from zchat.ops.load.crowd import Progress
from zchat.ops.load.plan import Plan

PLAN = Plan("zb", people=6, rooms=2, rate=5.0, seconds=1.0, warmup=0.5)
SMALL = ["--people", "6", "--rooms", "2", "--rate", "5", "--seconds", "1", "--warmup", "0.5"]


async def test_the_chat_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Processes(tmp_path, {"gate": 1, "connector": 2, "chat": 2}) as processes:
        folder = ["--folder", str(processes.folder)]
        files = ["--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html")]
        assert await asyncio.to_thread(main, [*folder, "bench", *SMALL, *files]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("all is well\n")
    assert err == ""
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["ok"]
    assert found["journal"]
    assert found["counts"]["acks"] == found["counts"]["sent"] == 45
    assert found["counts"]["received"] == 3 * 45
    assert {server["id"] for server in found["servers"]} >= {"connector-server-2", "chat-server-1"}
    assert found["cpu"] > 0
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


async def test_a_gate_elsewhere_is_not_asked_for_more(tmp_path: Path) -> None:
    seen: list[Progress] = []
    async with Cluster(tmp_path) as cluster:
        found = await bench.run(cluster.url(), PLAN, None, seen.append)
    assert found.ok
    assert (found.journal, found.servers, found.cpu) == (False, [], None)
    assert found.counts["received"] == 3 * PLAN.messages
    assert max(progress.sent for progress in seen) > 0


def test_json_goes_to_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def load() -> int:
        async with Cluster(tmp_path) as cluster:
            words = ["bench", *SMALL, "--gate", cluster.url(), "--json", "-"]
            return await asyncio.to_thread(main, words)

    assert asyncio.run(load()) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["people"] == 6


async def test_somebody_thrown_out_is_a_failure(tmp_path: Path) -> None:
    kills: list[asyncio.Task[None]] = []
    async with Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 1}) as cluster:

        def kill(progress: Progress) -> None:
            if progress.sent and not kills:
                kills.append(asyncio.create_task(cluster.kill("connector-server-1")))

        found = await bench.run(cluster.url(), PLAN, None, kill)
        await kills[0]
    assert not found.ok
    assert found.gone == 6
    assert found.unsent > 0
    assert "thrown out" in found.problems[0]


def test_it_says_so_when_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Folder(tmp_path, "gate", "connector", "chat")
    assert main(["--folder", str(tmp_path), "bench", *SMALL]) == 2
    assert "is the cluster running?" in capsys.readouterr().err


async def test_there_has_to_be_a_websocket() -> None:
    with pytest.raises(ConfigError, match="expected ws://"):
        await bench.run("tcp://127.0.0.1:1", PLAN, None, print)


def test_what_the_limits_forbid() -> None:
    limits = replace(Settings().limits, messages_per_second=4)
    with pytest.raises(ConfigError, match="messages_per_second is 4"):
        bench.look_at(PLAN, replace(Settings(), limits=limits))
    bench.look_at(PLAN, Settings())


@pytest.mark.parametrize(
    ("offered", "cores", "processes"),
    [(100, 2, 1), (200_000, 2, 1), (200_000, 8, 4), (50_000, 8, 2), (100, 1, 1)],
)
def test_so_many_processes_generate(offered: float, cores: int, processes: int) -> None:
    assert bench.processes_for(offered, cores) == processes


@pytest.mark.parametrize(
    "arguments",
    [["--people", "0"], ["--talkers", "0"], ["--rate", "0"], ["--seconds", "nan"]],
)
def test_what_makes_no_sense(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2


def test_no_two_loads_meet() -> None:
    assert len({bench.new_prefix() for _ in range(100)}) == 100
