"""Somebody in the chat, who keeps all that is pushed to them."""

from __future__ import annotations

from typing import Any

from tests.support.timing import MS, eventually
from zchat.client import Client, Ending, StateChange

PUSHES = ("onChat", "onAdd", "onLeave")


class Person:
    """A client of the chat.

    Args:
        name: the user name.
        url: of a gate when `uid` is given, else of a connector.
        uid: whom the gate chooses a connector for.
        options: of the Client.
    """

    def __init__(self, name: str, url: str, uid: str | None, **options: Any) -> None:
        self.name = name
        self.client = Client(url, uid=uid, **options)
        self.pushes: dict[str, list[dict[str, Any]]] = {}
        """Everything that was pushed, by route."""
        self.ending: Ending | None = None
        """Why its connection ended last."""
        self._taken: dict[str, int] = {}
        for route in PUSHES:
            self.listen(route)
        self.client.on_state(self._note)

    def listen(self, route: str) -> None:
        """Keep pushes of another route too."""
        self.pushes[route] = []
        self._taken[route] = 0
        self.client.on(route, self.pushes[route].append)

    def _note(self, change: StateChange) -> None:
        self.ending = change.ending or self.ending

    async def start(self) -> None:
        """Connect."""
        await self.client.start()

    async def close(self) -> None:
        """Leave without a word. Idempotent."""
        await self.client.close()

    async def enter(self, room: str) -> list[str]:
        """Enter a room; returns who is there."""
        answer = await self.request(
            "connector.entryHandler.enter", {"username": self.name, "rid": room}
        )
        users: list[str] = answer["users"]
        return users

    async def request(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask; returns the answer whatever its code."""
        answer: dict[str, Any] = await self.client.request(route, body)
        return answer

    async def say(self, text: str, target: str = "*") -> dict[str, Any]:
        """Send a message."""
        return await self.request("chat.chatHandler.send", {"content": text, "target": target})

    async def expect(self, route: str, timeout: float = 2000 * MS) -> dict[str, Any]:
        """The next push of a route that was not expected before."""
        index = self._taken[route]
        await eventually(lambda: len(self.pushes[route]) > index, timeout)
        self._taken[route] += 1
        return self.pushes[route][index]

    async def heard(self, count: int, timeout: float = 5000 * MS) -> list[str]:
        """The texts of all messages so far, once there are `count`."""
        await eventually(lambda: len(self.pushes["onChat"]) >= count, timeout)
        return self.texts

    @property
    def texts(self) -> list[str]:
        """The texts of all messages so far."""
        return [push["msg"] for push in self.pushes["onChat"]]
