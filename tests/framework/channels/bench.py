"""`Channels` of one server, with an owner here and one elsewhere that answer as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from zchat.framework.channels.channels import Channels
from zchat.framework.channels.joins import Joined
from zchat.rooms.presence import SessionRef
from zchat.rooms.ring import Ring
from zchat.rooms.stream import Draft, StreamPosition

REF = SessionRef("c1", "life", 7)


RESULTS: dict[str, Any] = {
    "join": Joined(StreamPosition("e", 3), ["alice"]),
    "leave": None,
    "members": ["alice", "bob"],
    "publish": StreamPosition("e", 4),
    "count": 2,
    "sessions": [REF],
    "push": ["carol"],
    "destroy": None,
}


def fields(draft: Draft) -> tuple[Any, ...]:
    """As they travel to an owner elsewhere."""
    return msgspec.structs.astuple(draft)


Answer = Callable[[str, tuple[Any, ...]], Any]


class Host:
    """The owner here."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.answer: Answer = lambda method, args: RESULTS[method]

    def __getattr__(self, method: str) -> Any:
        async def call(*args: Any) -> Any:
            self.calls.append((method, args))
            result = self.answer(method, args)
            return await result if asyncio.isfuture(result) else result

        return call

    async def offer(self, name: str, draft: Draft, members_only: bool) -> Any:
        return await self.publish(name, *fields(draft), members_only)


class Remote:
    """The owner on another server: what it answers has travelled as msgpack."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, tuple[Any, ...]]] = []
        self.timeouts: list[float] = []
        self.answer: Answer = lambda method, args: RESULTS[method]

    async def call(self, server: str, method: str, args: Sequence[Any], timeout: float) -> Any:
        self.calls.append((server, method, tuple(args)))
        self.timeouts.append(timeout)
        result = self.answer(method.removeprefix("channel."), tuple(args))
        return msgspec.msgpack.decode(msgspec.msgpack.encode(result))


class Bench:
    def __init__(self, owner: str | None, timeout: float = 5.0) -> None:
        self.owner = owner
        self.host, self.remote = Host(), Remote()
        self.channels = Channels(
            "chat-1",
            self.host,  # type: ignore[arg-type]
            lambda: Ring(1, [self.owner] if self.owner else []),
            self.remote.call,
            timeout,
        )
        self.room = self.channels.get("room")

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        return [*self.host.calls, *self.remote.calls]

    def answer(self, answer: Answer) -> None:
        self.host.answer = self.remote.answer = answer
