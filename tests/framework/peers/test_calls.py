"""Calls between servers: filters, what cannot be sent, servers that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.application import application
from tests.support.cluster import Cluster
from tests.support.timing import MS, eventually
from zchat import Remote, RequestError, Unavailable
from zchat.framework.peers.calls import Calls, Invocation, Proceed, incoming, wrapped
from zchat.framework.peers.context import caller
from zchat.framework.peers.methods import encode
from zchat.framework.server.running import Running


def invocation(*args: Any) -> Invocation:
    return Invocation("chat.chatRemote.add", args, "connector-1", "chat-1")


async def test_the_first_filter_is_outermost() -> None:
    said = []

    def named(name: str) -> Any:
        async def rpc_filter(call: Proceed, invocation: Invocation) -> Any:
            said.append(f"{name} before")
            result = await call(replace(invocation, args=(*invocation.args, name)))
            said.append(f"{name} after")
            return result

        return rpc_filter

    async def run(invocation: Invocation) -> Any:
        return invocation.args

    call = wrapped([named("outer"), named("inner")], run)
    assert await call(invocation(1)) == (1, "outer", "inner")
    assert said == ["outer before", "inner before", "inner after", "outer after"]


async def test_a_filter_may_answer_or_refuse_itself() -> None:
    async def refuse(call: Proceed, invocation: Invocation) -> Any:
        if invocation.args:
            raise RequestError("not today", code=403)
        return "cached"

    async def run(invocation: Invocation) -> Any:
        raise AssertionError("reached")

    call = wrapped([refuse], run)
    assert await call(invocation()) == "cached"
    with pytest.raises(RequestError, match="not today"):
        await call(invocation(1))


async def add(one: int, two: int) -> int:
    return one + two


async def test_a_remote_without_filters_is_itself() -> None:
    assert incoming([], "r", "chat-1", add) is add


async def test_filters_where_it_runs_know_who_calls() -> None:
    seen = []

    async def note(call: Proceed, invocation: Invocation) -> Any:
        seen.append(invocation)
        return await call(invocation)

    caller.set("connector-1")
    assert await incoming([note], "chat.chatRemote.add", "chat-1", add)(1, 2) == 3
    assert seen == [invocation(1, 2)]


@pytest.mark.parametrize(
    ("args", "number"),
    [
        ((1, object()), 2),
        (({"deep": [{1, 2}, open]}, 1), 1),
        ((2**70,), 1),
        (("a", "\ud800"), 2),
    ],
)
async def test_what_cannot_be_sent_is_named(args: tuple[Any, ...], number: int) -> None:
    async def send(*sent: Any, **options: Any) -> Any:
        encode(sent[2])

    calls = Calls(send, lambda: "connector-1")
    with pytest.raises(TypeError, match=rf"chat.chatRemote.add: argument {number} cannot be sent"):
        await calls.call("chat-1", "chat.chatRemote.add", args)


# In a cluster


class Full(RequestError):
    """Of an application."""

    code = 4321


class AreaRemote(Remote):
    """What the servers of these tests answer."""

    heard: ClassVar[list[tuple[str, int]]] = []

    async def whose(self) -> str:
        return self.app.server.id

    async def note(self, number: int) -> None:
        self.heard.append((self.app.server.id, number))

    async def full(self) -> None:
        raise Full("no room", size=3)

    async def ask_other(self, other: str) -> None:
        await self.app.rpc.area.area_remote.full.to(other)()

    async def crash(self) -> None:
        raise KeyError("secret")

    async def hang(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    AreaRemote.heard.clear()
    servers = {"gate": 1, "connector": 1, "area": 2}
    async with Cluster(
        tmp_path, servers, app=application(tmp_path, {"area/remote/area_remote": AreaRemote})
    ) as cluster:
        connector = cluster.running["connector-server-1"]
        await eventually(
            lambda: all(connector.node.is_up(f"area-server-{number}") for number in (1, 2))
        )
        yield cluster


def remote(running: Running) -> Any:
    return running.app.rpc.area.area_remote


async def test_one_server_and_all_of_them(cluster: Cluster) -> None:
    here = remote(cluster.running["connector-server-1"])
    assert await here.whose.to("area-server-2")() == "area-server-2"
    both = {"area-server-1": "area-server-1", "area-server-2": "area-server-2"}
    assert await here.whose.to_all() == both
    one_of_them = remote(cluster.running["area-server-1"])
    assert await one_of_them.whose.to_all() == both  # itself included


async def test_an_error_keeps_class_code_fields_and_server(cluster: Cluster) -> None:
    here = remote(cluster.running["connector-server-1"])
    for call in (
        here.full.to("area-server-2")(),
        here.ask_other.to("area-server-1")("area-server-2"),
    ):
        with pytest.raises(Full, match="no room") as caught:
            await call
        assert (caught.value.code, caught.value.server) == (4321, "area-server-2")
        assert caught.value.body() == {"code": 4321, "error": "no room", "size": 3}


async def test_a_crash_says_where_and_not_what(cluster: Cluster, expected_logs: Any) -> None:
    expected_logs("zchat.cluster", "crash from .* failed")
    with pytest.raises(RequestError, match=r"^internal error$") as caught:
        await remote(cluster.running["connector-server-1"]).crash.to("area-server-1")()
    assert caught.value.server == "area-server-1"
    assert caught.value.body() == {"code": 500, "error": "internal error"}


async def test_calls_begin_in_the_order_in_which_they_were_made(cluster: Cluster) -> None:
    here = remote(cluster.running["connector-server-1"])
    await asyncio.gather(*(here.note.to("area-server-1")(number) for number in range(500)))
    assert AreaRemote.heard == [("area-server-1", number) for number in range(500)]


async def test_their_order_holds_while_the_server_is_away(cluster: Cluster) -> None:
    await cluster.kill("area-server-1")
    connector = cluster.running["connector-server-1"]
    await eventually(lambda: not connector.node.is_up("area-server-1"))
    note = remote(connector).note.to("area-server-1")
    early = [asyncio.ensure_future(note(number)) for number in range(20)]
    await asyncio.sleep(0)
    await cluster.start("area-server-1")
    await eventually(lambda: connector.node.is_up("area-server-1"))
    await asyncio.gather(*early, *(note(number) for number in range(20, 40)))
    assert [number for _, number in AreaRemote.heard] == list(range(40))


async def test_who_is_gone_is_named_at_once(cluster: Cluster) -> None:
    connector = cluster.running["connector-server-1"]
    here = remote(connector)
    with pytest.raises(Unavailable, match="no server area-server-9") as unlisted:
        await here.whose.to("area-server-9")()
    assert unlisted.value.server == "area-server-9"
    await cluster.kill("area-server-2")
    await eventually(lambda: not connector.node.is_up("area-server-2"))
    asked = asyncio.get_running_loop().time()
    results = await here.whose.to_all(timeout=60)
    assert asyncio.get_running_loop().time() - asked < 30
    assert results["area-server-1"] == "area-server-1"
    gone = results["area-server-2"]
    assert (type(gone), gone.message, gone.server) == (
        Unavailable,
        "area-server-2 is gone",
        "area-server-2",
    )


async def test_a_call_that_may_be_repeated_waits_for_its_server(cluster: Cluster) -> None:
    connector = cluster.running["connector-server-1"]
    hang = asyncio.ensure_future(remote(connector).whose.to("area-server-2")(retry=True))
    await cluster.kill("area-server-2")
    await cluster.start("area-server-2")
    assert await asyncio.wait_for(hang, 5000 * MS) == "area-server-2"


async def test_a_timeout_is_the_calls_own(cluster: Cluster) -> None:
    with pytest.raises(RequestError) as caught:
        await remote(cluster.running["connector-server-1"]).hang.to("area-server-1")(
            timeout=50 * MS
        )
    assert (caught.value.code, caught.value.server) == (504, "area-server-1")


async def test_filters_of_an_application(tmp_path: Path) -> None:
    seen: list[tuple[str, str, str, str]] = []

    def noting(side: str) -> Any:
        async def note(call: Proceed, invocation: Invocation) -> Any:
            seen.append((side, invocation.route, invocation.caller, invocation.server))
            return await call(invocation)

        return note

    app = application(tmp_path, {"area/remote/area_remote": AreaRemote})
    app.rpc_filter(noting("outgoing"))
    app.remote_filter(noting("incoming"))
    servers = {"gate": 1, "connector": 1, "area": 1}
    async with Cluster(tmp_path, servers, app=app) as cluster:
        await remote(cluster.running["connector-server-1"]).whose.to("area-server-1")()
        await remote(cluster.running["area-server-1"]).whose.to("area-server-1")()
    route = "area.areaRemote.whose"
    assert seen == [
        ("outgoing", route, "connector-server-1", "area-server-1"),
        ("incoming", route, "connector-server-1", "area-server-1"),
        ("outgoing", route, "area-server-1", "area-server-1"),
        ("incoming", route, "area-server-1", "area-server-1"),
    ]
