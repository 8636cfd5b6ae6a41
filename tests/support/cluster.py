"""A whole cluster in one process, on real TCP ports; servers can be killed and brought back.

async with Cluster(tmp_path) as cluster:
    alice = await cluster.enter("alice", "lobby")
    bob = await cluster.enter("bob", "lobby")
    await alice.say("hello")
    assert (await bob.expect("onChat"))["msg"] == "hello"
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.person import Person
from tests.support.ports import free_ports
from tests.support.timing import MS, eventually
from zchat import Application
from zchat.chat.app import app as chat
from zchat.config.servers import ServersFile
from zchat.config.settings import Limits, Settings
from zchat.framework.running import Running

SMALL: Mapping[str, int] = {"gate": 1, "connector": 2, "chat": 2}

DEFAULTS = Settings()
FAST = replace(
    DEFAULTS,
    client=replace(DEFAULTS.client, listen="127.0.0.1"),
    rooms=replace(DEFAULTS.rooms, grace=100 * MS),
    cluster=replace(DEFAULTS.cluster, drain=0),
)
"""The defaults, but a short grace and no drain, so that tests need not wait."""

UNLIMITED = replace(
    FAST,
    limits=Limits(
        messages_per_second=1_000_000,
        messages_burst=1_000_000,
        bytes_per_second=1_000_000_000,
        bytes_burst=1_000_000_000,
    ),
)
"""For tests that send more than a person would."""


class Cluster:
    """Servers of one application, all in this process.

    Args:
        folder: for servers.json.
        servers: how many of each type.
        app: what they run.
        settings: by which figures.
    """

    def __init__(
        self,
        folder: Path,
        servers: Mapping[str, int] = SMALL,
        *,
        app: Application = chat,
        settings: Settings = FAST,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self._app = app
        self._file = folder / "config" / "servers.json"
        self._lines: dict[str, list[dict[str, Any]]] = {"web": []}
        self.running: dict[str, Running] = {}
        self._people: list[Person] = []
        for server_type, count in servers.items():
            for _ in range(count):
                self.list_server(server_type)

    async def __aenter__(self) -> Self:
        for server_id in reversed(self.listed):  # who is connected to comes before who connects
            await self.start(server_id)
        await self.settled()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for person in self._people:
            await person.close()
        for server_id in reversed(list(self.running)):
            await self.stop(server_id)

    # servers.json

    @property
    def listed(self) -> list[str]:
        """The ids in servers.json."""
        return [line["id"] for lines in self._lines.values() for line in lines]

    def list_server(self, server_type: str) -> str:
        """Add a line to servers.json; returns the new server's id."""
        lines = self._lines.setdefault(server_type, [])
        router, client, pub = free_ports(3)
        line = {"id": f"{server_type}-server-{len(lines) + 1}", "host": "127.0.0.1"}
        ports = {"port": router, "pubPort": pub}
        if server_type in ("gate", "connector"):
            ports["clientPort"] = client
        lines.append({**line, **ports})
        self._write()
        return str(line["id"])

    def unlist(self, server_id: str) -> None:
        """Take a line out of servers.json."""
        for server_type, lines in self._lines.items():
            self._lines[server_type] = [line for line in lines if line["id"] != server_id]
        self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(exist_ok=True)
        self._file.write_text(json.dumps({"development": self._lines}))

    # Servers

    async def start(self, server_id: str) -> Running:
        """Start a listed server."""
        servers = ServersFile(self._file, "development")
        running = Running(self._app, servers, server_id, self.settings, self.folder)
        await running.start()
        self.running[server_id] = running
        return running

    async def stop(self, server_id: str) -> None:
        """Stop a server as SIGTERM would."""
        await self.running.pop(server_id).stop()

    async def kill(self, server_id: str) -> None:
        """End a server as kill -9 would: its sockets are gone before it can say anything."""
        running = self.running.pop(server_id)
        running.node.client.close()
        running.node.rpc_server.close()
        if running.frontend is not None:
            for connection in list(running.frontend.connections.sockets):
                connection.drop()
        await running.stop(0)

    async def settled(self) -> None:
        """Wait until all links are up and every owner speaks for its channels."""
        await eventually(lambda: all(self._is_settled(r) for r in self.running.values()), 5000 * MS)

    def _is_settled(self, running: Running) -> bool:
        chats = {name for name in self.running if name.startswith("chat")}
        if not running.ring().workers >= chats:
            return False
        if running.owner is not None and not running.owner.host.settled:
            return False
        if running.frontend is None:
            return True
        connectors = {name for name in self.running if name.startswith("connector")}
        wanted = chats | (connectors if running.server.type == "gate" else set())
        return all(running.node.is_up(name) for name in wanted)

    def owner_of(self, room: str) -> str:
        """The id of the server that owns a room."""
        owner = next(iter(self.running.values())).ring().owner(room)
        assert owner is not None
        return owner

    def rooms_of(self, server_id: str, count: int) -> list[str]:
        """Names of rooms that this server owns."""
        names = (f"room{number}" for number in range(10_000))
        owned = (name for name in names if self.owner_of(name) == server_id)
        return [next(owned) for _ in range(count)]

    # People

    def url(self, server_type: str = "gate", index: int = 0) -> str:
        """Where clients reach a server."""
        return f"ws://127.0.0.1:{self._lines[server_type][index]['clientPort']}"

    async def connect(self, name: str, connector: int | None = None, **options: Any) -> Person:
        """Somebody who is connected, through the gate or to one connector, and in no room."""
        url, uid = (self.url(), name) if connector is None else (self._connector(connector), None)
        person = Person(name, url, uid, **options)
        self._people.append(person)
        await person.start()
        return person

    async def enter(self, name: str, room: str, connector: int | None = None) -> Person:
        """Somebody who is in a room."""
        person = await self.connect(name, connector)
        await person.enter(room)
        return person

    async def enter_all(self, names: Sequence[str], room: str) -> list[Person]:
        """Several people in one room, one after the other."""
        return [await self.enter(name, room) for name in names]

    def _connector(self, index: int) -> str:
        return self.url("connector", index)
