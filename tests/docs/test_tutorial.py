"""docs/tutorial.md, followed word for word: every file written, every command typed.

Only the ports are others, so that a cluster that runs on this machine is not disturbed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.support.browser import FLAGS, executable
from tests.support.ports import free_ports
from tests.support.sources import ROOT
from tests.support.timing import MS, eventually
from tests.support.visitor import Visitor
from zchat.config.servers import load

pytestmark = pytest.mark.timeout(240)

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
BIN = Path(sys.executable).parent
SERVERS = Path("config", "servers.json")

START = 30_000 * MS
"""How long a newcomer waits for a command, or for servers to be up; eight start at once."""

NOT_TYPED = {
    "python3 -m venv venv": "zchat is installed here already; tests/system/test_init.py does that",
    ". venv/bin/activate": "its commands are on the path",
    'pip install "/path/to/zchat[testing]"': "the same, from a wheel",
}
"""Commands that this test does not type, and why."""

_BLOCK = re.compile(r"^(?:\*\*`([^`]+)`\*\*\n\n)?```(\w*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of code: a file to write, commands to type, or what they print."""

    kind: str
    file: str
    text: str


def sections() -> dict[str, list[Block]]:
    """The blocks below each heading."""
    parts = re.split(r"^#+ (.+)\n", PAGE, flags=re.M)[1:]
    return {
        heading: [Block(kind, file, text) for file, kind, text in _BLOCK.findall(body)]
        for heading, body in zip(parts[::2], parts[1::2], strict=True)
    }


SECTIONS = sections()


class Newcomer:
    """Somebody who does what the page says.

    Args:
        folder: where they begin; its path must be short enough for a Unix socket.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._followed: set[str] = set()
        self._ports: dict[str, list[int]] = {}
        self._said = ""

    async def follow(self, *headings: str) -> None:
        """Do all that these sections say, from top to bottom."""
        for heading in headings:
            self._followed.add(heading)
            for block in SECTIONS[heading]:
                await asyncio.to_thread(self._do, block)

    @property
    def has_done_all(self) -> bool:
        """Whether no section with code was left out."""
        return self._followed >= {heading for heading, blocks in SECTIONS.items() if blocks}

    @property
    def url(self) -> str:
        """Where the page says 127.0.0.1:3001."""
        return f"http://127.0.0.1:{self._ports['web-server-1'][2]}/"

    def _do(self, block: Block) -> None:
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            if Path(block.file) == SERVERS:
                self._use_free_ports()
        elif block.kind == "sh":
            self._said = "".join(map(self._type, block.text.splitlines()))
        elif block.kind == "text":
            assert all(line in self._said for line in block.text.splitlines()), self._said

    def _type(self, line: str) -> str:
        if line in NOT_TYPED:
            return ""
        if line.startswith("cd "):
            self.folder /= line.removeprefix("cd ")
            self._use_free_ports()
            return ""
        if line == "zchat status":
            self._wait_until_up()
        ended = self._run(line)
        assert ended.returncode == 0, f"{line}: {ended.stdout}"
        return ended.stdout

    def _run(self, line: str) -> subprocess.CompletedProcess[str]:
        environ = {key: value for key, value in os.environ.items() if "ZCHAT" not in key}
        environ["PATH"] = f"{BIN}:{environ['PATH']}"
        return subprocess.run(
            shlex.split(line),
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * START,
        )

    def _wait_until_up(self) -> None:
        """A person looks again when it says that somebody does not answer yet."""
        asyncio.run(eventually(lambda: self._run("zchat status").returncode == 0, START))

    def _use_free_ports(self) -> None:
        """Each server keeps those that it had."""
        path = self.folder / SERVERS
        lines = json.loads(path.read_text())["development"]
        for line in chain.from_iterable(lines.values()):
            ports = self._ports.setdefault(line["id"], free_ports(3))
            line["port"], line["pubPort"] = ports[:2]
            if not line["id"].startswith("chat"):
                line["clientPort"] = ports[2]
        path.write_text(json.dumps({"development": lines}))

    async def stop(self) -> None:
        """End what they started and have not stopped."""
        if (self.folder / "run" / "supervisor.sock").exists():
            await asyncio.to_thread(self._run, "supervisorctl shutdown")

    async def gone(self) -> None:
        """Wait until supervisord has ended."""
        await eventually(lambda: not (self.folder / "run" / "supervisord.pid").exists(), START)


@pytest.fixture
async def newcomer() -> AsyncIterator[Newcomer]:
    # Not pytest's own folder: its path may be too long for a socket.
    with tempfile.TemporaryDirectory(prefix="zchat docs ", dir="/tmp") as folder:
        newcomer = Newcomer(Path(folder))
        yield newcomer
        await newcomer.stop()
        await newcomer.gone()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        yield browser
        await browser.close()


async def enter(visitor: Visitor, name: str, room: str) -> None:
    """Fill in what the tutorial's page asks for."""
    await visitor.page.get_by_label("Name").fill(name)
    await visitor.page.get_by_label("Room").fill(room)
    await visitor.page.get_by_role("button", name="Enter").click()
    await expect(visitor.page.locator("#users")).to_contain_text(name)


async def say(visitor: Visitor, text: str, to: str = "*") -> None:
    """Write, and press the button."""
    field = visitor.page.get_by_label("Message")
    await visitor.page.get_by_label("To").select_option(to)
    await field.fill(text)
    await visitor.page.get_by_role("button", name="Send").click()
    await expect(field).to_have_value("")


async def see(visitors: list[Visitor], *texts: str) -> None:
    """Everybody has these lines and no others."""
    for visitor in visitors:
        await expect(visitor.page.locator("#history li")).to_have_text(list(texts))


async def test_a_newcomer_gets_there(newcomer: Newcomer, browser: Browser) -> None:
    await newcomer.follow("A project")
    ann, bo = [await Visitor.come(browser, newcomer.url) for _ in range(2)]
    await ann.page.get_by_role("button", name="Test server").click()
    await expect(ann.page.locator("#answer")).to_have_text("game server is ok.")

    await newcomer.follow("One process, and where it ends", "Entering", "Talking", "Leaving")
    await newcomer.follow("The page", "Start")
    await meet(newcomer, ann, bo)
    await say(ann, "hello")
    await say(bo, "psst", to="ann")
    await see([ann, bo], "ann says to all: hello", "bo says to ann: psst")
    await bo.page.get_by_role("button", name="Leave").click()
    await expect(ann.page.locator("#users")).to_have_text("ann")

    await newcomer.follow("Scale up", "The gate", "The router", "Run it")
    await meet(newcomer, ann, bo)
    await newcomer.follow("From outside", "Kill it")
    await say(bo, "still here")
    await see([ann, bo], "harbour says to all: The ship is in.", "bo says to all: still here")
    await newcomer.follow("What this chat does not do yet")
    await newcomer.gone()
    assert newcomer.has_done_all


@pytest.mark.parametrize("heading", ["Start", "Scale up"])
def test_ports_as_they_are_written_do_not_clash(heading: str, tmp_path: Path) -> None:
    (block,) = (block for block in SECTIONS[heading] if Path(block.file) == SERVERS)
    path = tmp_path / "servers.json"
    path.write_text(block.text)
    topology = load(path, "development")
    assert topology.warnings == ()
    assert topology.of_type("web")[0].client_port == 3001


async def meet(newcomer: Newcomer, *visitors: Visitor) -> None:
    """Load the page anew, and enter one room."""
    for visitor, name in zip(visitors, ("ann", "bo"), strict=True):
        await visitor.page.goto(newcomer.url)
        await enter(visitor, name, "pier")
    for visitor in visitors:
        await expect(visitor.page.locator("#users")).to_have_text("ann, bo")
