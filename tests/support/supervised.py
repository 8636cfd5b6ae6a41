"""A project folder whose servers run under a supervisord of its own: what an operator has."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.person import Person
from tests.support.ports import free_ports
from tests.support.sources import ROOT
from tests.support.timing import MS, eventually
from zchat.config import settings
from zchat.config.servers import load
from zchat.ops.status import ask

BIN = Path(sys.executable).parent
START = 20_000 * MS
"""How long a process may take to be up; six start at once on two cores."""

SERVERS: Mapping[str, int] = {"gate": 1, "connector": 2, "chat": 2, "web": 1}

SETTINGS = """
[client]
listen = "127.0.0.1"
[rooms]
grace = 0.5
[cluster]
drain = 1
"""


class Supervised:
    """A cluster under supervisord, with copies of this project's configuration and free ports.

    Args:
        folder: where it is made; its path must be short enough for a Unix socket.
        servers: how many of each type.
        settings_toml: the text of settings.toml.
    """

    def __init__(
        self, folder: Path, servers: Mapping[str, int] = SERVERS, settings_toml: str = SETTINGS
    ) -> None:
        self.folder = folder
        self.lines: dict[str, list[dict[str, Any]]] = {}
        (folder / "config").mkdir(parents=True)
        (folder / "config" / "settings.toml").write_text(settings_toml)
        shutil.copy(ROOT / "supervisord.conf", folder)
        shutil.copytree(ROOT / "webroot", folder / "webroot")
        for server_type, count in servers.items():
            for _ in range(count):
                self.add(server_type)
        self.write()

    # servers.json

    def add(self, server_type: str) -> str:
        """Add a line, not yet written; returns the server's id."""
        lines = self.lines.setdefault(server_type, [])
        router, client, pub = free_ports(3)
        server_id = f"{server_type}-server-{len(lines) + 1}"
        line = {"id": server_id, "host": "127.0.0.1", "port": router, "pubPort": pub}
        lines.append(line if server_type == "chat" else {**line, "clientPort": client})
        return server_id

    def remove(self, server_id: str) -> None:
        """Take a line out; not yet written."""
        for server_type, lines in self.lines.items():
            self.lines[server_type] = [line for line in lines if line["id"] != server_id]

    def write(self, text: str | None = None) -> None:
        """Write servers.json: its lines, or any text."""
        path = self.folder / "config" / "servers.json"
        path.write_text(text or json.dumps({"development": self.lines}, indent=1))

    def port(self, server_type: str, index: int = 0) -> int:
        """The port for clients of a server."""
        port: int = self.lines[server_type][index]["clientPort"]
        return port

    # supervisord

    async def command(self, *words: str) -> str:
        """What a command says that is run in the folder."""
        environ = {key: value for key, value in os.environ.items() if key != "ZCHAT_ENV"}
        process = await asyncio.create_subprocess_exec(
            BIN / words[0],
            *words[1:],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return said.decode()

    async def ctl(self, *words: str) -> str:
        """What supervisorctl says."""
        return await self.command("supervisorctl", *words)

    async def start(self) -> None:
        """Start supervisord and wait until every server answers."""
        await self.command("supervisord")
        await self.up()

    async def up(self) -> None:
        """Wait until every listed server is well, and supervisord says that it runs."""
        deadline = asyncio.get_running_loop().time() + START
        while not await self._is_up():
            assert asyncio.get_running_loop().time() < deadline, self.logs()

    async def _is_up(self) -> bool:
        well = all(answer.get("health") == "ok" for answer in await self.status())
        return well and len(await self.pids()) == sum(map(len, self.lines.values()))

    async def status(self) -> list[dict[str, Any]]:
        """What `zchat status --json` says."""
        said = await self.command("zchat", "status", "--json")
        answers: list[dict[str, Any]] = json.loads(said)
        return answers

    async def answers(self) -> list[dict[str, Any]]:
        """What the servers say of themselves, asked without a process for it."""
        path = self.folder / "config"
        topology = load(path / "servers.json", "development")
        return await ask(topology, settings.load(path / "settings.toml"), self.folder)

    async def pids(self) -> dict[str, int]:
        """Server id to process id, of those that supervisord says are running."""
        running = re.findall(r"^(\S+) +RUNNING +pid (\d+),", await self.ctl("status"), re.M)
        return {server_id: int(pid) for server_id, pid in running}

    async def kill(self, server_id: str) -> None:
        """kill -9; supervisord starts it again."""
        os.kill((await self.pids())[server_id], signal.SIGKILL)

    async def stop(self) -> None:
        """Shut supervisord down, when it runs, and wait until it has ended."""
        pid = (await self.ctl("pid")).strip()
        if pid.isdigit():
            await self.ctl("shutdown")
            await eventually(lambda: not Path(f"/proc/{pid}").exists(), START)

    def logs(self) -> str:
        """All that the servers have written."""
        return "\n".join(path.read_text() for path in sorted((self.folder / "logs").glob("*.log")))

    # People

    async def connect(self, name: str, **options: Any) -> Person:
        """Somebody who came through the gate, and is in no room."""
        person = Person(name, f"ws://127.0.0.1:{self.port('gate')}", name, **options)
        await person.start()
        return person
