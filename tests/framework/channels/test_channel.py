"""The verbs of a room, with its owner here and elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.framework.channels.bench import REF, Bench
from zchat.errors import RequestError
from zchat.framework.peers.context import Origin, current
from zchat.rooms.presence import AlreadyMember
from zchat.rooms.stream import MAX_BODY_BYTES, StreamPosition
from zchat.rooms.wish import Wish


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


async def test_other_errors_come_through(bench: Bench) -> None:
    def refuse(method: str, args: Any) -> Any:
        raise AlreadyMember("alice is already here")

    bench.answer(refuse)
    with pytest.raises(AlreadyMember):
        await bench.room.add("alice", REF)


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
