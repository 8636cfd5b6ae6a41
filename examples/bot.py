"""A bot in a room of the chat: it greets who comes, and answers who speaks to it.

    python examples/bot.py ws://127.0.0.1:3014 pier --memory bot.json

Servers may end and start again under it: the client comes back, and the room with it. With a memory
the bot itself may too: it begins where it was, answers what it missed, and what it answered before
is known by its id and not said twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from zchat import RequestError
from zchat.client import Room, State, StateChange, StreamPosition, connect

MAX_TODO = 1000
"""What waits to be said. When full, what comes is not answered."""


class Line(NamedTuple):
    """Something that the bot will say."""

    content: str
    target: str
    cid: str = ""
    place: StreamPosition | None = None
    """Of what it answers."""


class Bot:
    """One bot in one room.

    Args:
        url: of the chat's gate.
        rid: the room.
        name: the bot's in the chat.
        memory: file that keeps where it was; None: it begins anew each time.
    """

    def __init__(
        self, url: str, rid: str, *, name: str = "bot", memory: Path | None = None
    ) -> None:
        self.name = name
        self._memory = memory
        self._people: set[str] = set()
        self._todo: asyncio.Queue[Line | None] = asyncio.Queue(MAX_TODO)
        self._client = connect(url, uid=name)
        self._client.on_state(self._changed)
        self._room = Room(
            self._client,
            enter="connector.entryHandler.enter",
            body={"username": name, "rid": rid},
            history="chat.chatHandler.history",
            since=self._remembered(),
        )
        self._room.on_entered(self._entered)
        self._room.on_presence(self._changed_people)
        self._room.on("onChat", self._heard)

    async def run(self) -> None:
        """Talk until cancelled, or until the client is told to stay away."""
        async with self._client:
            while (line := await self._todo.get()) is not None:
                await self._say(line)

    def _changed(self, change: StateChange) -> None:
        if change.state is State.OFFLINE:
            self._plan(None)

    def _entered(self, answer: dict[str, Any]) -> None:
        self._people = set(answer["users"])

    def _changed_people(self, joined: list[str], left: list[str]) -> None:
        for uid in set(joined) - self._people:  # some may be told twice while we come back
            self._plan(Line(f"Welcome, {uid}! Say my name, and I answer.", uid))
        self._people = (self._people | set(joined)) - set(left)

    def _heard(self, body: dict[str, Any]) -> None:
        if body["from"] == self.name or self.name not in body["msg"]:
            return
        place = StreamPosition(body["epoch"], body["offset"])
        # The same question has the same answer's id, whoever of our lives gives it.
        cid = f"{self.name}-{place.epoch}-{place.offset}"
        self._plan(Line(f"{body['from']}, you said: {body['msg']}", "*", cid, place))

    def _plan(self, line: Line | None) -> None:
        if not self._todo.full():
            self._todo.put_nowait(line)

    async def _say(self, line: Line) -> None:
        body = {"content": line.content, "target": line.target}
        try:
            await self._room.send("chat.chatHandler.send", body, cid=line.cid)
        except RequestError as error:  # who was greeted may have gone
            print(f"not said: {error}")
        if line.place is not None:
            self._remember(line.place)

    def _remembered(self) -> StreamPosition | None:
        if self._memory is None or not self._memory.exists():
            return None
        return StreamPosition(**json.loads(self._memory.read_text()))

    def _remember(self, place: StreamPosition) -> None:
        if self._memory is not None:
            new = self._memory.with_suffix(".new")
            new.write_text(json.dumps(place._asdict()))
            os.replace(new, self._memory)  # all of it or nothing, whenever we end


def main() -> None:
    """Run a bot; supervisord, or a loop in a shell, starts it again when it ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of the gate, such as ws://127.0.0.1:3014")
    parser.add_argument("room")
    parser.add_argument("--name", default="bot")
    parser.add_argument("--memory", type=Path, help="file that keeps where it was")
    arguments = parser.parse_args()
    bot = Bot(arguments.url, arguments.room, name=arguments.name, memory=arguments.memory)
    asyncio.run(bot.run())


if __name__ == "__main__":
    main()
