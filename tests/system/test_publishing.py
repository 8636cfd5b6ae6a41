"""What docs/topics/publishing.md tells people to write works as it stands there."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.sources import ROOT
from tests.support.timing import eventually

PAGE = (ROOT / "docs" / "topics" / "publishing.md").read_text()


async def run(folder: Path, *arguments: str) -> str:
    """What Python says with these arguments in the development environment."""
    env = {name: value for name, value in os.environ.items() if name != "ZCHAT_ENV"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=folder, env=env, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


@pytest.mark.timeout(120)
async def test_the_page(tmp_path: Path) -> None:
    threads, script = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    (command,) = re.findall(r"^```\nzchat (publish .*?)\n```$", PAGE, re.M)
    async with Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 1}) as cluster:
        ann = await cluster.enter("ann", "pier")
        assert '"offset": 1' in await run(tmp_path, "-m", "zchat.ops.cli", *shlex.split(command))
        project = str(cluster.folder)
        await run(tmp_path, "-c", threads.replace("/srv/chat", project) + "order_is_ready(7)\n" * 2)
        assert (await run(tmp_path, "-c", script.replace("/srv/chat", project))).endswith(" 3\n")
        await eventually(lambda: len(ann.pushes["onChat"]) == 3)
    said = [body["msg"] for body in ann.pushes["onChat"]]
    assert said == ["The ship is in.", "Order 7 is ready.", "Hello"]
