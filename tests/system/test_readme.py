"""What the README tells people to write works as it stands there."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.sources import ROOT
from tests.support.timing import MS, eventually

_NAMED = re.compile(r"^```(?:python|toml)\n# ([\w/.]+)[^\n]*\n(.*?)^```$", re.M | re.S)
_SERVERS = re.compile(r"^```json\n(\{.*?)^```$", re.M | re.S)


def port_with(derived: int) -> int:
    """A free port, from which zchat makes another one by adding; free and below the kernel's own.

    The kernel gives ports from 32768 on to outgoing connections, and may give away any of them.
    """
    return next(
        port
        for port in (1_024 + found % 8_000 for found in free_ports(50))
        if is_free(port) and is_free(port + derived)
    )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of "Build on it", with ports that are free here."""
    readme = (ROOT / "README.md").read_text()
    build = readme[readme.index("## Build on it") : readme.index("## Look at it")]
    files = dict(_NAMED.findall(build))
    (files["config/servers.json"],) = _SERVERS.findall(build)
    connector, area = port_with(derived=20_000), port_with(derived=10_000)
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("3050", str(connector)).replace("6050", str(area)))
    return tmp_path


def python(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if name != "ZCHAT_ENV"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.fixture
def servers(project: Path) -> Iterator[list[subprocess.Popen[str]]]:
    ids = ("area-server-1", "connector-server-1")
    running = [python(project, "-m", "zchat.ops.cli", "run", server_id) for server_id in ids]
    yield running
    for process in running:
        process.terminate()
        process.communicate(timeout=15_000 * MS)


@pytest.mark.timeout(120)
async def test_build_on_it(project: Path, servers: list[subprocess.Popen[str]]) -> None:
    def walk() -> list[str]:
        """What it prints, once the servers are ready."""
        for process in servers:
            assert process.poll() is None, process.communicate()
        said, _ = python(project, "walk.py").communicate(timeout=15_000 * MS)
        return [] if "Traceback" in said else said.splitlines()

    here, step = await eventually(walk, 40_000 * MS)
    assert here.startswith("{'here': ['alice']")
    assert "'who': 'alice', 'x': 1.0, 'y': 2.0" in step
