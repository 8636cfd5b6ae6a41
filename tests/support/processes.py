"""The real process set of a project folder, without supervisord: started, killed and ended by pid.

async with Processes(tmp_path, {"gate": 1, "connector": 2, "chat": 2}) as processes:
    url = processes.url("gate")
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_ports
from tests.support.timing import MS
from zchat.config import settings
from zchat.config.servers import load
from zchat.ops.status import ask

PROJECT = Path(__file__).parents[2]
START = 20_000 * MS
"""How long all servers together may take to start."""

UNLIMITED = """
[limits]
messages_per_second = 1000000
messages_burst = 1000000
bytes_per_second = 1000000000
bytes_burst = 1000000000
"""
"""settings.toml for tests that send more than a person would."""

LOCAL = """
[client]
listen = "127.0.0.1"
"""
"""What every test's settings.toml begins with."""


class Processes:
    """One process per server of servers.json.

    Args:
        folder: becomes the project folder; what a server writes is in `logs/ID.log`.
        servers: how many of each type.
        settings_toml: further text for settings.toml.
    """

    def __init__(self, folder: Path, servers: Mapping[str, int], settings_toml: str = "") -> None:
        self.folder = folder
        (folder / "config").mkdir()
        (folder / "logs").mkdir()
        (folder / "config" / "settings.toml").write_text(LOCAL + settings_toml)
        (folder / "webroot").symlink_to(PROJECT / "webroot")
        self._lines: dict[str, list[dict[str, Any]]] = {"web": []}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for server_type, count in servers.items():
            self._lines[server_type] = [
                _line(server_type, number) for number in range(1, count + 1)
            ]
        text = json.dumps({"development": self._lines})
        (folder / "config" / "servers.json").write_text(text)

    async def __aenter__(self) -> Self:
        try:
            for server_id in self.listed:
                self.start(server_id)
            await self.ready()
        except BaseException:
            await self.end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.end()

    @property
    def listed(self) -> list[str]:
        """The ids in servers.json."""
        return [line["id"] for lines in self._lines.values() for line in lines]

    def line(self, server_id: str) -> dict[str, Any]:
        """What servers.json says of a server."""
        lines = (line for lines in self._lines.values() for line in lines)
        return next(line for line in lines if line["id"] == server_id)

    def url(self, server_id: str) -> str:
        """Where clients reach a frontend."""
        return f"ws://127.0.0.1:{self.line(server_id)['clientPort']}"

    def log(self, server_id: str) -> str:
        """All that a server has written."""
        return (self.folder / "logs" / f"{server_id}.log").read_text()

    def pid(self, server_id: str) -> int:
        """The process of a server that was started."""
        return self._running[server_id].pid

    def start(self, server_id: str) -> None:
        """Start a listed server; it is not awaited."""
        environment = {key: value for key, value in os.environ.items() if key != "ZCHAT_ENV"}
        environment["PYTHONPATH"] = str(PROJECT)
        with (self.folder / "logs" / f"{server_id}.log").open("ab") as log:
            self._running[server_id] = subprocess.Popen(
                [sys.executable, "-m", "zchat.ops.cli", "run", server_id],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> None:
        """Wait until all started servers answer: to us, and frontends at their doors.

        Raises:
            AssertionError: one ended, or they take too long; the text has their logs.
        """
        deadline = asyncio.get_running_loop().time() + START
        while not await self._is_ready():
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            assert not ended, "\n".join(map(self.log, ended))
            late = asyncio.get_running_loop().time() > deadline
            assert not late, "\n".join(map(self.log, self._running))

    async def _is_ready(self) -> bool:
        topology = load(self.folder / "config" / "servers.json", "development")
        figures = settings.load(self.folder / "config" / "settings.toml")
        answers = await ask(topology, figures, self.folder)
        up = {answer["id"] for answer in answers if answer["reachable"]}
        doors = [name for name in self._running if "clientPort" in self.line(name)]
        return up >= self._running.keys() and all([await self._is_healthy(name) for name in doors])

    async def _is_healthy(self, server_id: str) -> bool:
        try:
            port = self.line(server_id)["clientPort"]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return False
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.startswith(b"HTTP/1.1 200 ")

    async def kill(self, server_id: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to a server and wait for its end; returns its exit code."""
        process = self._running.pop(server_id)
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, START)

    async def end(self) -> None:
        """End all of them as supervisord would; who does not end is killed. Idempotent."""
        running, self._running = list(self._running.values()), {}
        for process in running:
            process.terminate()
        for process in running:
            try:
                await asyncio.to_thread(process.wait, 5000 * MS)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)


def _line(server_type: str, number: int) -> dict[str, Any]:
    router, client, pub = free_ports(3)
    line = {"id": f"{server_type}-server-{number}", "host": "127.0.0.1"}
    ports = {"port": router, "pubPort": pub}
    if server_type in ("gate", "connector", "web"):
        ports["clientPort"] = client
    return {**line, **ports}
