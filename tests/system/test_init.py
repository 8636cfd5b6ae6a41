"""`zchat init`, from a wheel in a fresh virtual environment to a button in a browser.

Nothing is fetched: what zchat needs besides itself is that of the environment of these tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.metadata import distribution
from itertools import chain
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.support.browser import FLAGS, executable
from tests.support.ports import free_ports
from tests.support.sources import ROOT
from tests.support.timing import MS, eventually
from tests.support.visitor import Visitor

pytestmark = pytest.mark.timeout(120)

SOURCES = ("zchat", "config", "webroot", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
COMMANDS = ("supervisor", "pytest")
"""The distributions whose commands an author types, besides zchat's own."""

START = 20_000 * MS


class Environment:
    """A virtual environment with zchat installed from a wheel, not from this folder."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "venv" / "bin"
        self._python = str(self.bin / "python")
        wheel = _wheel(folder)
        _run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
        pip = (sys.executable, "-m", "pip", "--python", self._python, "install")
        _run(*pip, "--no-index", "--no-deps", "--disable-pip-version-check", str(wheel))
        self._share_dependencies(folder / "venv")
        for name in COMMANDS:
            self._add_commands(name)

    def _share_dependencies(self, venv: Path) -> None:
        """Those of this environment, except its zchat: .pth files of such a folder do not count."""
        (site,) = venv.glob("lib/python3*/site-packages")
        ours = (path for path in sys.path if path.endswith("site-packages"))
        (site / "dependencies.pth").write_text("\n".join(ours) + "\n")

    def _add_commands(self, name: str) -> None:
        for entry in distribution(name).entry_points.select(group="console_scripts"):
            script = self.bin / entry.name
            load = f"from {entry.module} import {entry.attr} as main"
            script.write_text(f"#!{self._python}\nimport sys\n{load}\nsys.exit(main())\n")
            script.chmod(0o755)

    def run(self, folder: Path, *words: str) -> str:
        """What a command says that an author types; it must end well."""
        environ = {key: value for key, value in os.environ.items() if "ZCHAT" not in key}
        environ.pop("PYTHONPATH", None)
        environ["PATH"] = f"{self.bin}:{environ['PATH']}"
        return _run(*words, cwd=folder, env=environ)


def _wheel(folder: Path) -> Path:
    """Built from a copy: setuptools leaves a folder `build` behind."""
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "keys")
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    build = (sys.executable, "-m", "pip", "wheel", "--no-index", "--no-build-isolation")
    _run(*build, "--no-deps", "--disable-pip-version-check", "-w", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _run(*words: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    ended = subprocess.run(
        words,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, f"{words}: {ended.stdout}"
    return ended.stdout


class Project:
    """A new project on ports that are free here, and its supervisord."""

    def __init__(self, environment: Environment, folder: Path, *options: str) -> None:
        self.environment = environment
        self.folder = folder / "demo"
        self.said = environment.run(folder, "zchat", "init", *options, "demo")
        path = self.folder / "config" / "servers.json"
        lines = json.loads(path.read_text())["development"]
        for line in chain.from_iterable(lines.values()):
            line["port"], line["pubPort"], client = free_ports(3)
            if not line["id"].startswith("chat"):
                line["clientPort"] = client
        self.page = f"http://127.0.0.1:{lines['web'][0]['clientPort']}/"
        path.write_text(json.dumps({"development": lines}))

    def run(self, *words: str) -> str:
        return self.environment.run(self.folder, *words)

    def is_up(self) -> bool:
        try:
            self.run("zchat", "status")
        except AssertionError:
            return False
        return True

    async def start(self) -> None:
        self.run("supervisord")
        await eventually(self.is_up, START)

    async def stop(self) -> None:
        pid = Path("/proc", self.run("supervisorctl", "pid").strip())
        self.run("supervisorctl", "shutdown")
        await eventually(lambda: not pid.exists(), START)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture
async def project(
    environment: Environment, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Project]:
    """Made, tested and started as its README says."""
    project = Project(environment, tmp_path, *getattr(request, "param", ()))
    assert " passed" in project.run("pytest")
    await project.start()
    yield project
    await project.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        yield browser
        await browser.close()


async def test_the_button_shows_what_the_server_says(project: Project, browser: Browser) -> None:
    assert "cd demo && supervisord" in project.said
    visitor = await Visitor.come(browser, project.page)
    answer = visitor.page.locator("#answer")
    await expect(answer).to_be_empty()
    await visitor.page.get_by_role("button", name="Test server").click()
    await expect(answer).to_have_text("game server is ok.")
    assert visitor.problems == []

    await asyncio.to_thread(project.run, "supervisorctl", "stop", "connector-server-1")
    await visitor.page.get_by_role("button", name="Test server").click()
    await expect(answer).to_contain_text("no answer: ")


@pytest.mark.parametrize("project", [("--chat",)], indirect=True)
async def test_people_talk_in_a_chat_of_ones_own(project: Project, browser: Browser) -> None:
    assert "zchat/ops" not in project.run("zchat", "routes")
    ann, bo = [await Visitor.come(browser, project.page) for _ in range(2)]
    await ann.enter("Ann", "pier")
    await bo.enter("Bo", "pier")
    await ann.say("hello")
    for visitor in (ann, bo):
        await visitor.sees("hello")
        assert visitor.problems == []
