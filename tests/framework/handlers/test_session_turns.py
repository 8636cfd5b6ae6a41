"""One at a time, in the order they came."""

from __future__ import annotations

import asyncio

import pytest

from zchat.framework.handlers.session_turns import SessionTurns
from zchat.rooms.presence import SessionRef

ALICE, BOB = SessionRef("connector-1", "life", 1), SessionRef("connector-1", "life", 2)


class Runs:
    """Requests that run until they are told to end."""

    def __init__(self) -> None:
        self.turns = SessionTurns()
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def add(self, session: SessionRef, name: str) -> asyncio.Task[None]:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.ensure_future(self._run(session, name))
        await self.settle()
        return self._tasks[name]

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await self.settle()

    async def settle(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def _run(self, session: SessionRef, name: str) -> None:
        async with self.turns.turn(session):
            self.begun.append(name)
            await self._ends[name].wait()


async def test_the_next_begins_when_the_one_before_has_ended() -> None:
    runs = Runs()
    for name in ("a", "b", "c"):
        await runs.add(ALICE, name)
    await runs.add(BOB, "bob's")
    assert runs.begun == ["a", "bob's"]
    await runs.end("a")
    assert runs.begun == ["a", "bob's", "b"]
    await runs.end("b")
    await runs.end("c")
    await runs.end("bob's")
    assert runs.begun == ["a", "bob's", "b", "c"]
    assert len(runs.turns) == 0


async def test_who_is_cancelled_while_it_waits_is_left_out() -> None:
    runs = Runs()
    await runs.add(ALICE, "a")
    waiting = await runs.add(ALICE, "b")
    await runs.add(ALICE, "c")
    waiting.cancel()
    await runs.settle()
    await runs.end("a")
    assert runs.begun == ["a", "c"]
    await runs.end("c")
    assert len(runs.turns) == 0


async def test_an_error_ends_the_turn() -> None:
    turns = SessionTurns()
    for _ in range(2):
        with pytest.raises(KeyError):
            async with turns.turn(ALICE):
                raise KeyError
    assert len(turns) == 0
