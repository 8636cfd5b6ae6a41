"""Servers of one application, all in this process, on real TCP ports of 127.0.0.1.

    async with Servers(app, lines_of({"connector": 1, "chat": 2}), tmp_path) as servers:
        await servers.kill("chat-server-1")

They share this process's memory and nothing else of zchat's: requests, publications and clients
go through the sockets that separate processes would have. Module globals of the application are
shared as well, which is not so in production. Web servers are left out: they run no handlers.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from zchat.config.servers import FRONTEND_TYPES, ServersFile
from zchat.config.settings import Settings
from zchat.config.topology import Topology
from zchat.framework.app.application import Application
from zchat.framework.server.running import Running
from zchat.testing.ports import free_ports
from zchat.testing.timing import MS, PATIENCE, eventually

HOST = "127.0.0.1"

Line = dict[str, Any]
"""A server as servers.json writes it."""


def quick(settings: Settings) -> Settings:
    """The same settings, but no test has to wait for them: no drain, and a grace of 0.1 s.

    Clients are accepted on 127.0.0.1 only.
    """
    return replace(
        settings,
        client=replace(settings.client, listen=HOST),
        rooms=replace(settings.rooms, grace=100 * MS),
        cluster=replace(settings.cluster, drain=0),
    )


def lines_of(counts: Mapping[str, int]) -> dict[str, list[Line]]:
    """So many servers of each type, on free ports; gates and connectors are frontends."""
    return {
        server_type: [
            _line(f"{server_type}-server-{number}", frontend=server_type in FRONTEND_TYPES)
            for number in range(1, count + 1)
        ]
        for server_type, count in counts.items()
    }


def lines_like(topology: Topology) -> dict[str, list[Line]]:
    """The servers of a project's servers.json, on free ports of this machine."""
    lines: dict[str, list[Line]] = {}
    for server in topology.servers:
        if server.takes_clients or not server.frontend:
            line = {**server.extra, **_line(server.id, frontend=server.frontend)}
            if server.max_connections is not None:
                line["max-connections"] = server.max_connections
            lines.setdefault(server.type, []).append(line)
    return lines


def _line(server_id: str, *, frontend: bool) -> Line:
    router, client, pub = free_ports(3)
    line: Line = {"id": server_id, "host": HOST, "port": router, "pubPort": pub}
    return {**line, "frontend": True, "clientPort": client} if frontend else line


class Servers:
    """What servers.json lists, started in this process; each may be killed and brought back.

    As a context manager it starts all of them, waits until they have found each other, and stops
    those that run at the end.

    Args:
        app: what they run.
        lines: servers.json, of one environment.
        folder: where servers.json is written and the journal is kept.
        settings: the figures they run by.
        environment: its name.
    """

    def __init__(
        self,
        app: Application,
        lines: Mapping[str, Sequence[Line]],
        folder: Path,
        settings: Settings,
        environment: str = "development",
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.environment = environment
        self.running: dict[str, Running] = {}
        """Those that run now, by id."""
        self._app = app
        self._file = folder / "config" / "servers.json"
        self._lines = {server_type: list(of_type) for server_type, of_type in lines.items()}
        self._write()

    async def __aenter__(self) -> Self:
        try:
            for server_id in reversed(self.listed):  # who is connected to comes before who connects
                await self.start(server_id)
            await self.settled()
        except BaseException:
            await self.stop_all()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop_all()

    # servers.json

    @property
    def listed(self) -> list[str]:
        """The ids in servers.json."""
        return [line["id"] for lines in self._lines.values() for line in lines]

    def list_server(self, server_type: str) -> str:
        """Add a line to servers.json, like the first of its type; returns the new server's id."""
        lines = self._lines.setdefault(server_type, [])
        ids = (f"{server_type}-server-{number}" for number in itertools.count(1))
        server_id = next(name for name in ids if name not in self.listed)
        first = lines[0] if lines else {"frontend": server_type in FRONTEND_TYPES}
        frontend = first.get("frontend", False)
        lines.append({**first, **_line(server_id, frontend=frontend)})
        self._write()
        return server_id

    def unlist(self, server_id: str) -> None:
        """Take a line out of servers.json."""
        for server_type, lines in self._lines.items():
            self._lines[server_type] = [line for line in lines if line["id"] != server_id]
        self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # An empty list of web servers: without one there is a page at 3001.
        self._file.write_text(json.dumps({self.environment: {"web": [], **self._lines}}))

    # Servers

    async def start(self, server_id: str) -> Running:
        """Start a listed server.

        Raises:
            ConfigError: it is not listed, or the application is wrong.
            StartError: a part of it cannot start.
        """
        servers = ServersFile(self._file, self.environment)
        running = Running(self._app, servers, server_id, self.settings, self.folder)
        await running.start()
        self.running[server_id] = running
        return running

    async def stop(self, server_id: str) -> None:
        """Stop a server as SIGTERM would."""
        await self.running.pop(server_id).stop()

    async def stop_all(self) -> None:
        """Stop those that run, the last one first. Idempotent."""
        for server_id in reversed(list(self.running)):
            await self.stop(server_id)

    async def kill(self, server_id: str) -> None:
        """End a server as kill -9 would: its sockets are gone before it can say anything."""
        running = self.running.pop(server_id)
        running.node.client.close()
        running.node.rpc_server.close()
        if running.frontend is not None:
            for connection in list(running.frontend.connections.sockets):
                connection.drop()
        await running.stop(0)

    async def settled(self, timeout: float = PATIENCE) -> None:
        """Wait until all links are up and every owner speaks for its channels.

        Raises:
            AssertionError: not within `timeout` seconds.
        """
        await eventually(lambda: all(self._is_settled(r) for r in self.running.values()), timeout)

    def _is_settled(self, running: Running) -> bool:
        owners = {name for name, other in self.running.items() if other.owner is not None}
        if not running.ring().workers >= owners:
            return False
        if running.owner is not None and not running.owner.host.settled:
            return False
        if running.frontend is None:
            return True
        watched = running.app.watched(running.server.type)
        return all(
            running.node.is_up(name)
            for name, other in self.running.items()
            if not other.server.frontend or other.server.type in watched
        )

    def owner_of(self, channel: str) -> str:
        """The id of the server that owns a channel.

        Raises:
            LookupError: no running server knows of an owner.
        """
        for running in self.running.values():
            owner = running.ring().owner(channel)
            if owner is not None:
                return owner
        raise LookupError(f"nobody owns {channel!r}")
