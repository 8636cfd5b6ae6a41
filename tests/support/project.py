"""A project folder of its own, whose servers run as processes: the chat as an operator runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_ports
from tests.support.sources import ROOT
from tests.support.timing import MS

SMALL: Mapping[str, int] = {"gate": 1, "connector": 2, "chat": 2, "web": 1}

UP_WITHIN = 30_000 * MS
"""Seconds in which all servers must answer; Python alone takes one to start on a busy machine."""

DOWN_WITHIN = 20_000 * MS
"""Seconds that the servers have to end after SIGTERM."""


class Project:
    """The processes that `config/servers.json` of a folder lists, on free ports of 127.0.0.1.

        with Project(tmp_path) as project:
            browser.open(project.url)
            project.kill("connector-server-1")
            project.start("connector-server-1")

    Args:
        folder: empty; gets config/ and webroot/, and a log for each server in logs/.
        servers: how many of each type.
        settings: what settings.toml says.
    """

    def __init__(
        self, folder: Path, servers: Mapping[str, int] = SMALL, *, settings: str = ""
    ) -> None:
        self.folder = folder
        self.servers = {
            server_type: [_line(server_type, number + 1) for number in range(count)]
            for server_type, count in servers.items()
        }
        """The environment's part of servers.json."""
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("config", "logs"):
            (folder / name).mkdir()
        (folder / "config" / "servers.json").write_text(json.dumps({"development": self.servers}))
        (folder / "config" / "settings.toml").write_text(settings)
        shutil.copytree(ROOT / "webroot", folder / "webroot")

    def __enter__(self) -> Self:
        try:
            for server_id in self.listed:
                self.start(server_id)
            for server_id in self.listed:
                self.wait_until_up(server_id)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def listed(self) -> list[str]:
        """The ids in servers.json."""
        return [line["id"] for lines in self.servers.values() for line in lines]

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.servers['web'][0]['clientPort']}/"

    def client_port(self, server_id: str) -> int | None:
        """Where clients reach a server; None for a worker."""
        lines = (line for lines in self.servers.values() for line in lines)
        port: int | None = next(line for line in lines if line["id"] == server_id).get("clientPort")
        return port

    def start(self, server_id: str) -> None:
        """Start a server, or start it again; it is not waited for."""
        command = [sys.executable, "-m", "zchat.ops.cli", "run", server_id]
        with (self.folder / "logs" / f"{server_id}.log").open("ab") as log:
            self._processes[server_id] = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_until_up(self, server_id: str) -> None:
        """Wait until a frontend answers its clients; a worker is up when its rooms answer."""
        port = self.client_port(server_id)
        deadline = time.monotonic() + UP_WITHIN
        while port is not None and not _healthy(port):
            ended = self._processes[server_id].poll()
            assert ended is None, f"{server_id} ended with {ended}: {self.log(server_id)}"
            assert time.monotonic() < deadline, f"{server_id} is not up: {self.log(server_id)}"
            time.sleep(20 * MS)

    def kill(self, server_id: str) -> None:
        """End a server with SIGKILL."""
        process = self._processes.pop(server_id)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End all servers with SIGTERM. Idempotent."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + DOWN_WITHIN
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def log(self, server_id: str) -> str:
        """What a server logged."""
        return (self.folder / "logs" / f"{server_id}.log").read_text()


def _line(server_type: str, number: int) -> dict[str, Any]:
    router, pub, client = free_ports(3)
    line: dict[str, Any] = {"id": f"{server_type}-server-{number}", "host": "127.0.0.1"}
    line |= {"port": router, "pubPort": pub}
    return line if server_type == "chat" else line | {"clientPort": client}


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return bool(json.load(answer)["status"] == "ok")
    except OSError:
        return False
