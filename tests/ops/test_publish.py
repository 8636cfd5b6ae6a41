"""`zchat publish`."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from zchat.errors import ConfigError
from zchat.ops.cli import main
from zchat.ops.publish import Post, body_of, publish

NEWS = '{"msg": "The ship is in.", "from": "harbour", "target": "*"}'


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.delenv("ZCHAT_ENV", raising=False)
    async with Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 1}) as cluster:
        yield cluster


async def zchat(folder: Path, *arguments: str) -> int:
    """In a thread: the command has an event loop of its own."""
    return await asyncio.to_thread(main, ["--folder", str(folder), "publish", *arguments])


async def test_it_prints_the_place(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await cluster.enter("ann", "pier")
    assert await zchat(cluster.folder, "pier", NEWS, "--uid", "cron", "--cid", "noon") == 0
    pushed = await ann.expect("onChat")
    place = json.loads(capsys.readouterr().out)
    assert place == {"epoch": pushed["epoch"], "offset": 1}
    assert (pushed["msg"], pushed["id"]) == ("The ship is in.", "noon")
    monkeypatch.setattr("sys.stdin", io.StringIO(NEWS))
    assert await zchat(cluster.folder, "pier", "-", "--uid", "cron", "--cid", "noon") == 0
    assert json.loads(capsys.readouterr().out) == place


async def test_it_may_name_the_route_and_the_people(cluster: Cluster) -> None:
    ann, bob = await cluster.enter_all(["ann", "bob"], "pier")
    for person in (ann, bob):
        person.listen("onNews")
    arguments = ["pier", '{"text": "psst"}', "--route", "onNews", "--to", "ann"]
    assert await zchat(cluster.folder, *arguments) == 0
    assert await zchat(cluster.folder, "pier", NEWS) == 0
    assert (await ann.expect("onNews"))["text"] == "psst"
    assert (await bob.expect("onChat"))["offset"] == 2
    assert bob.pushes["onNews"] == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pier", "{"], "expected a JSON object"),
        (["pier", "[1]"], "expected a JSON object, found [1]"),
        (["", NEWS], "channel name"),
        (["pier", '{"offset": 1}'], "zchat itself adds ['offset']"),
    ],
)
async def test_what_makes_no_sense_exits_2(
    tmp_path: Path, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Cluster(tmp_path, {"chat": 1}).folder
    assert await zchat(folder, *arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"zchat: {expected}")


async def test_what_was_not_published_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Cluster(tmp_path, {"chat": 1}).folder
    assert await zchat(folder, "pier", NEWS, "--timeout", "0.05") == 1
    assert capsys.readouterr().err.startswith("zchat: pier: not published: ")


async def test_an_application_without_a_route_needs_one_told(tmp_path: Path) -> None:
    folder = Cluster(tmp_path, {"chat": 1}).folder
    (folder / "quiet_app.py").write_text(
        "from zchat import Application\napp = Application(__file__)\n"
    )
    (folder / "config" / "settings.toml").write_text('[application]\nmodule = "quiet_app"\n')
    with pytest.raises(ConfigError, match="expected --route"):
        await publish(folder, Post("pier", {}), 1.0)


def test_a_body_is_an_object() -> None:
    assert body_of('{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError, match="expected a JSON object"):
        body_of("[" * 100_000)
