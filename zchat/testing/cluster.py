"""A cluster of an author's application, and the clients of it: what the fixture `cluster` gives.

ann = await cluster.connect("ann")
await cluster.kill("chat-server-1")
await cluster.start("chat-server-1")
await cluster.add("chat")
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from zchat.client import Client
from zchat.config import servers, settings
from zchat.config.settings import Settings
from zchat.framework.app.application import Application
from zchat.framework.app.project import application
from zchat.testing.recording_client import RecordingClient
from zchat.testing.servers import HOST, Line, Servers, lines_like, quick

GATE = "gate"
"""The server type that clients ask for a connector, where there is one."""


class Cluster(Servers):
    """Servers in this process, and clients that connect to them over WebSocket.

    Clients are closed before the servers stop. The arguments are those of `Servers`; most tests
    use the fixture, or `of_project`.
    """

    def __init__(
        self,
        app: Application,
        lines: Mapping[str, Sequence[Line]],
        folder: Path,
        settings: Settings,
        environment: str = "development",
    ) -> None:
        super().__init__(app, lines, folder, settings, environment)
        self._clients: list[RecordingClient] = []

    @classmethod
    def of_project(cls, project: Path, folder: Path) -> Self:
        """The servers of a project folder, for the environment of ZCHAT_ENV.

        Its servers.json says which servers, its settings.toml by which figures (see `quick`; TLS
        is off), and the other files of config/ what they say.
        Ports and journal are the test's own: nothing in the project folder is written, and a
        cluster that runs there is not disturbed.

        Args:
            project: has config/servers.json and config/settings.toml.
            folder: empty, for what the servers write.

        Raises:
            ConfigError: something in the project is wrong.
        """
        figures = settings.load(project / "config" / "settings.toml")
        environment = servers.environment_name()
        topology = servers.load(project / "config" / "servers.json", environment)
        app = application(project, figures.application.module)
        _copy_config(project, folder)
        return cls(app, lines_like(topology), folder, _for_tests(figures), environment)

    async def connect(
        self, name: str = "", frontend: str | None = None, **options: Any
    ) -> RecordingClient:
        """A client that is connected; it does not come back by itself when it is cut off.

        Args:
            name: who it is: the gate chooses the connector by it. The application learns it by
                what the client then says.
            frontend: the id of the server to connect to. When None, it is the one that the gate
                names or, in a cluster without gates, the first frontend.
            options: further ones of `zchat.client.Client`, such as `user` or `reconnect=True`.

        Raises:
            Disconnected: refused.
            RequestError: the gate refuses.
            LookupError: no such frontend, or none at all.
        """
        url, uid = self._entry(name) if frontend is None else (self.url(frontend), None)
        client = RecordingClient(name, Client(url, **{"uid": uid, "reconnect": False, **options}))
        self._clients.append(client)
        await client.start()
        return client

    async def add(self, server_type: str) -> str:
        """One more server of a type: listed, started and linked; returns its id."""
        server_id = self.list_server(server_type)
        await self.start(server_id)
        await self.settled()
        return server_id

    def url(self, server_id: str) -> str:
        """Where clients reach a frontend.

        Raises:
            LookupError: no frontend has this id.
        """
        for line in self._frontends():
            if line["id"] == server_id:
                return f"ws://{HOST}:{line['clientPort']}"
        known = ", ".join(line["id"] for line in self._frontends()) or "none"
        raise LookupError(f"no frontend {server_id!r}; there are: {known}")

    async def stop_all(self) -> None:
        """Close the clients, then stop the servers. Idempotent."""
        for client in self._clients:
            await client.close()
        await super().stop_all()

    def _entry(self, name: str) -> tuple[str, str | None]:
        """Where a client begins, and whom it says it is there."""
        for line in self._lines.get(GATE, ()):
            return self.url(line["id"]), name
        for line in self._frontends():
            return self.url(line["id"]), None
        raise LookupError("servers.json lists no server that takes clients")

    def _frontends(self) -> list[dict[str, Any]]:
        return [line for lines in self._lines.values() for line in lines if line.get("frontend")]


def _for_tests(figures: Settings) -> Settings:
    """No TLS, whose names would not be those of this machine, and a journal in the test's folder.

    The journal stays in memory where it is; no test needs it to survive a loss of power.
    """
    figures = replace(figures, client=replace(figures.client, certificate="", key=""))
    if figures.journal.path:
        journal = replace(figures.journal, path="journal.sqlite", sync="off")
        figures = replace(figures, journal=journal)
    return quick(figures)


def _copy_config(project: Path, folder: Path) -> None:
    """What servers read in config/ beside servers.json and settings: what routes look like."""
    (folder / "config").mkdir(parents=True, exist_ok=True)
    for path in (project / "config").glob("*.json"):
        if path.name != "servers.json":
            shutil.copy(path, folder / "config")
