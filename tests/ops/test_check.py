"""`zchat check`: a short one, on real processes, that passes; and what can be wrong with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ops.project import Project as Folder
from tests.support.processes import Processes
from zchat.chat.app import app as chat
from zchat.config.servers import load
from zchat.config.settings import Settings
from zchat.errors import ConfigError
from zchat.ops import check
from zchat.ops.cli import main
from zchat.testing.swarm import Plan
from zchat.testing.verdict import Kind, Problem, Verdict

PLAN = Plan(7, people=6, rooms=2, rate=5, cuts=1, prefix="zc")


async def test_the_chat_passes(tmp_path: Path) -> None:
    grace = "[rooms]\ngrace = 0.5\n"
    async with Processes(tmp_path, {"gate": 1, "connector": 2, "chat": 2}, grace) as processes:
        topology = load(processes.folder / "config" / "servers.json", "development")
        figures = Settings()
        figures = replace(figures, rooms=replace(figures.rooms, grace=0.5))
        project = check.Project(topology, figures, processes.folder)
        verdict, compared = await check.run(project, PLAN, 2)
    assert verdict.ok, str(verdict)
    assert compared
    assert verdict.counts["acks"] > 20
    assert verdict.counts["unacked_journalled"] == 0


def test_it_says_so_when_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Folder(tmp_path, "gate", "connector", "chat")
    assert main(["--folder", str(tmp_path), "check", "--people", "1", "--rooms", "1"]) == 2
    assert "is the cluster running?" in capsys.readouterr().err


def test_there_has_to_be_a_gate(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "connector", "chat")
    topology = load(folder.servers_json, "development")
    with pytest.raises(ConfigError, match="lists no gate"):
        _ = check.Project(topology, Settings(), tmp_path).gate


@pytest.mark.parametrize(
    "arguments",
    [["--people", "0"], ["--rooms", "x"], ["--seed", "x"], ["--rate", "0"], ["--seconds", "nan"]],
)
def test_what_makes_no_sense(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["check", *arguments])
    assert caught.value.code == 2


def test_it_knows_the_chats_routes() -> None:
    routes = {str(found.route) for found in chat.handlers()}
    assert {check.TALK.enter, check.TALK.send, check.TALK.history} <= routes


def test_no_two_checks_meet() -> None:
    assert len({check.new_prefix() for _ in range(100)}) == 100


def test_the_verdict_for_people_and_for_programs() -> None:
    problem = Problem(Kind.TWICE, "r bob is shown e:1", timeline=("   1.000  r  bob leaves",))
    verdict = Verdict([problem], {"acks": 3, "problems": 1})
    lines = check.table(verdict, PLAN, compared=True).splitlines()
    assert lines[0] == "received twice: r bob is shown e:1"
    assert lines[-2:] == ["journal: compared; seed: 7", "NOT WELL"]
    assert json.loads(json.dumps(check.as_json(verdict, PLAN, compared=False))) == {
        "ok": False,
        "journal": False,
        "seed": 7,
        "counts": {"acks": 3, "problems": 1},
        "problems": [
            {
                "kind": "received twice",
                "text": "r bob is shown e:1",
                "timeline": ["1.000  r  bob leaves"],
            }
        ],
    }
    assert check.table(Verdict([], {}), PLAN, compared=False).endswith("all is well")
