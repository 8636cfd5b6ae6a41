"""Rooms from an author's side, wherever their owner is by then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from tests.support.timing import MS
from zchat.errors import RequestError, TimedOut, Unavailable
from zchat.framework.channels.channels import Channels
from zchat.framework.channels.joins import Joined
from zchat.framework.channels.owned_channels import Moved
from zchat.framework.peers.context import Origin, current
from zchat.protocol.schema import compile_routes, parse
from zchat.rooms.presence import AlreadyMember, SessionRef
from zchat.rooms.ring import Ring
from zchat.rooms.stream import MAX_BODY_BYTES, Draft, StreamPosition
from zchat.rooms.wish import Wish

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


@pytest.fixture(params=["chat-1", "chat-2"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """With the owner here, and elsewhere."""
    return Bench(request.param)


async def test_the_verbs(bench: Bench) -> None:
    joined = await bench.room.add("alice", REF, exclusive=True, resume="mine")
    assert joined.members == ["alice"]
    await bench.room.leave("alice", REF)
    assert await bench.room.members() == ["alice", "bob"]
    position = await bench.room.publish(
        "onChat", {"a": 1}, uid="alice", cid="c", to=["bob"], members_only=True
    )
    assert position == StreamPosition("e", 4)
    assert isinstance(position, StreamPosition)
    expected = [
        ("join", ("room", "alice", REF, True, None, "mine", 0, False)),
        ("leave", ("room", "alice", REF)),
        ("members", ("room",)),
        ("publish", ("room", "onChat", b'{"a":1}', "alice", "c", ("bob",), True)),
    ]
    if bench.owner == "chat-1":
        assert bench.host.calls == expected
    else:
        assert bench.remote.calls == [("chat-2", f"channel.{m}", args) for m, args in expected]
        assert all(0 < timeout <= 5 for timeout in bench.remote.timeouts)


async def test_more_verbs(bench: Bench) -> None:
    assert await bench.room.count() == 2
    assert await bench.room.sessions("alice") == [REF]
    assert await bench.room.push("onTyping", {"who": "bob"}, to=["bob", "bob", "carol"]) == [
        "carol"
    ]
    await bench.room.push("onTyping", {})
    await bench.channels.destroy("room")
    calls = [(method.removeprefix("channel."), args) for *_, method, args in bench.calls]
    (_, (_, package, _)) = calls[2]
    assert package[4:] == b'\x06\x08onTyping{"who":"bob"}'
    assert calls == [
        ("count", ("room",)),
        ("sessions", ("room", "alice")),
        ("push", ("room", package, ["bob", "carol"])),
        ("push", ("room", b"\x04\x00\x00\x0c\x06\x08onTyping{}", None)),
        ("destroy", ("room",)),
    ]
    assert bench.channels.create("room").name == "room"


@pytest.mark.parametrize("how", [{"wish": Wish(resume="mine", presence="diff")}, {}])
async def test_a_wish_is_what_the_client_said(how: dict[str, Any]) -> None:
    bench = Bench("chat-1")
    await bench.room.add("alice", REF, **(how or {"resume": "mine", "presence": "diff"}))
    assert bench.host.calls == [("join", ("room", "alice", REF, False, None, "mine", 0, True))]


async def test_a_session_is_as_good_as_its_name(bench: Bench) -> None:
    class Session:
        ref = REF

    await bench.room.leave("alice", Session())
    calls = [args for *_, args in [*bench.host.calls, *bench.remote.calls]]
    assert calls == [("room", "alice", REF)]


@pytest.mark.parametrize(
    ("origin", "request_id"),
    [
        (Origin("c1", 7, 42), 42),
        (Origin("c1", 8, 42), 0),
        (Origin("c2", 7, 42), 0),
        (Origin(), 0),
    ],
)
async def test_a_join_knows_which_answer_its_own_session_waits_for(
    origin: Origin, request_id: int
) -> None:
    bench = Bench("chat-1")
    current.set(origin)
    await bench.room.add("alice", REF)
    assert bench.host.calls[0][1][-2] == request_id


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


async def test_other_errors_come_through(bench: Bench) -> None:
    def refuse(method: str, args: Any) -> Any:
        raise AlreadyMember("alice is already here")

    bench.answer(refuse)
    with pytest.raises(AlreadyMember):
        await bench.room.add("alice", REF)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b", "\ud800"])
def test_bad_names(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (half a pair has a text of Python's)
        Bench("chat-1").channels.get(name)


@pytest.mark.parametrize("name", ["x", "漢" * 200, "*", "a b\n"])
def test_good_names(name: str) -> None:
    assert Bench("chat-1").channels.get(name).name == name


@pytest.mark.parametrize("member", ["epoch", "offset", "id", "ts"])
async def test_bodies_may_not_have_what_zchat_adds(bench: Bench, member: str) -> None:
    with pytest.raises(ValueError, match=member):
        await bench.room.publish("onChat", {member: 1})
    assert (bench.host.calls, bench.remote.calls) == ([], [])


@pytest.mark.parametrize(
    ("route", "body", "error"),
    [
        ("x" * 256, {}, ValueError),
        ("onChat", {"a": "x" * MAX_BODY_BYTES}, ValueError),
        ("onChat", {"a": object()}, TypeError),
    ],
)
async def test_what_cannot_be_sent_is_the_callers_error(
    bench: Bench, route: str, body: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await bench.room.publish(route, body)
    assert not issubclass(error, RequestError)
    assert (bench.host.calls, bench.remote.calls) == ([], [])


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
