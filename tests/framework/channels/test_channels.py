"""Rooms from an author's side, wherever their owner is by then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.framework.channels.bench import Bench, Remote
from tests.support.timing import MS
from zchat.errors import TimedOut, Unavailable
from zchat.framework.channels.channels import Channels
from zchat.framework.channels.owned_channels import Moved
from zchat.protocol.schema import compile_routes, parse
from zchat.rooms.ring import Ring
from zchat.rooms.stream import Draft, StreamPosition


async def test_a_channel_that_moves_is_followed() -> None:
    bench = Bench("chat-2")

    def moved(method: str, args: Any) -> Any:
        bench.owner = "chat-1"
        raise Moved("elsewhere", owner="chat-1")

    bench.remote.answer = moved
    assert await bench.room.members() == ["alice", "bob"]
    assert (len(bench.remote.calls), len(bench.host.calls)) == (1, 1)


class Moving:
    """A room that moves from here to chat-2, which learns of it later; the journal is theirs."""

    def __init__(self) -> None:
        self.ring = Ring(1, ["chat-1"])
        self.journal: list[int] = []
        self.journal_answers = asyncio.Event()
        self.journal_answers.set()
        self.aware = False
        self.channels = Channels("chat-1", self, lambda: self.ring, self.remote, 5)  # type: ignore[arg-type]

    async def offer(self, name: str, draft: Draft, members_only: bool) -> StreamPosition:
        """The owner here: it learns of its loss when the journal refuses its batch."""
        await self.journal_answers.wait()
        if self.ring.generation > 1:
            raise Moved("elsewhere", owner="chat-2")
        return self.write(draft.body)

    async def remote(self, server: str, method: str, args: Sequence[Any], left: float) -> Any:
        """The next owner: the first call makes it look at the ring."""
        await asyncio.sleep(0)
        if not self.aware:
            self.aware = True
            raise Moved("mine? elsewhere", owner="chat-1")
        return self.write(args[2])

    def write(self, body: bytes) -> StreamPosition:
        self.journal.append(msgspec.json.decode(body)["n"])
        return StreamPosition("e", len(self.journal))

    async def say(self, number: int) -> int:
        return (await self.channels.get("room").publish("onChat", {"n": number})).offset


async def test_publications_keep_their_order_over_a_move() -> None:
    room = Moving()
    said = []
    for number in range(1, 101):
        said.append(asyncio.ensure_future(room.say(number)))
        if number % 3 == 0:
            await asyncio.sleep(0)
        if number == 10:
            room.journal_answers.clear()
        if number == 20:
            room.ring = Ring(2, ["chat-2"])
        if number == 30:
            room.journal_answers.set()
    offsets = await asyncio.gather(*said)
    assert room.journal == list(range(1, 101))
    assert offsets == list(range(1, 101))
    assert room.channels._convoys == {}, "nothing stays of it"


async def test_publications_that_wait_too_long_for_their_turn_are_not_made() -> None:
    bench = Bench("chat-2", timeout=50 * MS)
    hangs: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def hang(*args: Any) -> None:
        bench.remote.calls.append(("chat-2", "", ()))
        await hangs

    bench.channels._remote = hang
    said = [asyncio.ensure_future(bench.room.publish("onChat", {})) for _ in range(3)]
    for late in said[1:]:
        with pytest.raises(Unavailable, match="on its way"):
            await late
    hangs.cancel()
    await asyncio.gather(*said, return_exceptions=True)
    assert len(bench.remote.calls) == 1
    assert bench.channels._convoys == {}


async def test_publications_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zchat.framework.channels.convoy.LIMIT", 2)
    room = Moving()
    room.ring = Ring(2, ["chat-2"])
    said = [asyncio.ensure_future(room.say(number)) for number in range(5)]
    results = await asyncio.gather(*said, return_exceptions=True)
    assert [type(result) for result in results] == [int, int, int, Unavailable, Unavailable]
    assert room.channels.refused == 2


@pytest.mark.parametrize("owner", ["chat-1", "chat-2"])
async def test_a_client_never_hears_of_moves(owner: str) -> None:
    bench = Bench(owner, timeout=120 * MS)

    def moved(method: str, args: Any) -> Any:
        raise Moved("elsewhere")

    bench.answer(moved)
    with pytest.raises(Unavailable, match="room is on its way") as error:
        await bench.room.members()
    assert error.value.body()["retry"] is True
    assert len([*bench.host.calls, *bench.remote.calls]) > 1


async def test_without_an_owner() -> None:
    with pytest.raises(Unavailable, match="no server owns channels now"):
        await Bench(None).room.members()


async def test_the_deadline_holds_at_the_owner_too() -> None:
    bench = Bench("chat-1", timeout=10 * MS)
    bench.answer(lambda method, args: asyncio.get_running_loop().create_future())
    with pytest.raises(TimedOut):
        await bench.room.members()


async def test_a_server_that_owns_nothing_asks_even_itself_by_the_node() -> None:
    remote = Remote()
    channels = Channels("gate-1", None, lambda: Ring(1, ["chat-2"]), remote.call, 5)
    assert await channels.get("room").members() == ["alice", "bob"]
    assert channels.owner("room") == "chat-2"


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b", "\ud800"])
def test_bad_names(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (half a pair has a text of Python's)
        Bench("chat-1").channels.get(name)


@pytest.mark.parametrize("name", ["x", "漢" * 200, "*", "a b\n"])
def test_good_names(name: str) -> None:
    assert Bench("chat-1").channels.get(name).name == name


async def test_bodies_must_fit_the_schema_of_their_route() -> None:
    remote, ring = Remote(), Ring(1, ["chat-2"])
    schemas = compile_routes(parse({"onChat": {"required string msg": 1}}).messages)
    channels = Channels("gate-1", None, lambda: ring, remote.call, 5, schemas)
    for wrong in ({}, {"msg": 5}):
        with pytest.raises(ValueError, match="a push on onChat: msg: "):
            await channels.get("room").publish("onChat", wrong)
    assert remote.calls == []
    channels.check("onChat", {"msg": "hi", "more": 1})
    channels.check("onNews", {"msg": 5})
