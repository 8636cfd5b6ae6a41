"""People in a cluster who write down what they do and are shown, without any recovery of theirs.

What a client's own recovery would mend, a repeat for one, they see as it comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from tests.support.cluster import Cluster
from tests.support.timing import MS
from zchat.client import Client, raise_for_code
from zchat.testing.events import Acked, Entered, Event, PeopleSeen, Received, Sent

QUIET = 300 * MS
"""Seconds without an event after which nothing more is under way."""


class Notes:
    """What all of them wrote down, in one order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @property
    def at(self) -> float:
        """Now."""
        return time.monotonic()

    async def quiet(self, limit: float = 20_000 * MS) -> None:
        """Wait until nothing has been written for a while."""
        async with asyncio.timeout(limit):
            count = -1
            while count != len(self.events):
                count = len(self.events)
                await asyncio.sleep(QUIET)


class Witness:
    """Somebody in a room.

    Args:
        notes: where everything is written.
        name: the uid.
        url: of a connector.
    """

    def __init__(self, notes: Notes, name: str, url: str) -> None:
        self.notes = notes
        self.name = name
        self.room = ""
        self._client = Client(url)
        self._users: list[str] = []
        self._count = 0
        for route, callback in (
            ("onChat", self._shown),
            ("onAdd", lambda body: self._users.append(body["user"])),
            ("onLeave", lambda body: self._users.remove(body["user"])),
        ):
            self._client.on(route, callback)

    async def enter(self, room: str) -> None:
        """Connect and come in."""
        self.room = room
        await self._client.start()
        body = {"username": self.name, "rid": room}
        answer = raise_for_code(await self._client.request("connector.entryHandler.enter", body))
        self._users = list(answer["users"])
        place, users = answer["position"], tuple(answer["users"])
        self._note(Entered, place["epoch"], place["offset"], None, users)

    async def send(self, to: str = "") -> None:
        """Say something and wait for the acknowledgement."""
        id_ = self.next_id(to)
        body = {"content": id_, "target": to or "*", "cid": id_}
        answer = raise_for_code(await self._client.request("chat.chatHandler.send", body))
        self.acknowledged(id_, answer["epoch"], answer["offset"])

    def next_id(self, to: str = "") -> str:
        """Something is about to be sent."""
        self._count += 1
        id_ = f"{self.name}-{self._count}"
        self._note(Sent, id_, (to,) if to else None)
        return id_

    def acknowledged(self, id_: str, epoch: str, offset: int) -> None:
        """What was sent has its place."""
        self._note(Acked, id_, epoch, offset)

    def look(self) -> None:
        """Write down who is here."""
        self._note(PeopleSeen, tuple(self._users))

    async def close(self) -> None:
        """Go."""
        await self._client.close()

    def _shown(self, body: dict[str, Any]) -> None:
        self._note(Received, body["epoch"], body["offset"], body["id"], body["from"])

    def _note(self, kind: type, *fields: Any) -> None:
        self.notes.events.append(kind(self.notes.at, self.name, self.room, *fields))


async def enter_all(
    cluster: Cluster, notes: Notes, names: Sequence[str], room: str
) -> list[Witness]:
    """People in one room, over all connectors."""
    witnesses = []
    for index, name in enumerate(names):
        witness = Witness(notes, name, cluster.url("connector", index % 2))
        await witness.enter(room)
        witnesses.append(witness)
    return witnesses
