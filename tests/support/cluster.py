"""The chat as a cluster in one process, on real TCP ports; servers can be killed and brought back.

async with Cluster(tmp_path) as cluster:
    alice = await cluster.enter("alice", "lobby")
    bob = await cluster.enter("bob", "lobby")
    await alice.say("hello")
    assert (await bob.expect("onChat"))["msg"] == "hello"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.person import Person
from zchat import Application
from zchat.chat.app import app as chat
from zchat.config.settings import Limits, Settings
from zchat.testing.servers import Servers, lines_of, quick

SMALL: Mapping[str, int] = {"gate": 1, "connector": 2, "chat": 2}

FAST = quick(Settings())
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


class Cluster(Servers):
    """Servers of the chat, or of an application like it, and people in it.

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
        super().__init__(app, lines_of(servers), folder, settings)
        self._people: list[Person] = []

    async def stop_all(self) -> None:
        """See the people off, then stop the servers."""
        for person in self._people:
            await person.close()
        await super().stop_all()

    def rooms_of(self, server_id: str, count: int) -> list[str]:
        """Names of rooms that this server owns."""
        names = (f"room{number}" for number in range(10_000))
        owned = (name for name in names if self.owner_of(name) == server_id)
        return [next(owned) for _ in range(count)]

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
