"""Calls as attributes."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest

from zchat.errors import RequestError, Unavailable
from zchat.framework.peers.calls import Calls
from zchat.framework.peers.remotes import Remotes
from zchat.framework.peers.router import Routable

Sent = list[tuple[str, str, tuple[Any, ...], float | None, bool]]


class Session:
    uid = "alice"
    id = 1

    def get(self, key: str) -> Any:
        return None


@pytest.fixture
def sent() -> Sent:
    return []


@pytest.fixture
def rpc(sent: Sent) -> Remotes:
    def pick(server_type: str, session: Routable, route: str) -> str:
        return f"{server_type} of {session.uid} for {route}"

    async def send(
        server: str, method: str, args: Any, timeout: Any, /, *, idempotent: bool, patient: bool
    ) -> str:
        assert patient is idempotent
        sent.append((server, method, args, timeout, idempotent))
        if server == "chat-dead":
            raise Unavailable(f"{server} is gone")
        if args == (object,):
            raise TypeError("no")
        return f"from {server}"

    calls = Calls(send, lambda: "connector-1")
    return Remotes(pick, calls, lambda server_type: [f"{server_type}-1", f"{server_type}-dead"])


async def test_a_session_is_routed(rpc: Remotes, sent: Sent) -> None:
    route = "chat.chatRemote.add"
    picked = f"chat of alice for {route}"
    assert await rpc.chat.chatRemote.add(Session(), "bob", 2) == f"from {picked}"
    assert sent == [(picked, f"remote.{route}", ("bob", 2), None, False)]


async def test_a_server_is_named(rpc: Remotes, sent: Sent) -> None:
    await rpc.chat.chatRemote.add("chat-server-2", timeout=0.5)
    await rpc.chat.chatRemote.add.to("chat-server-2")("x", timeout=0.5, retry=True)
    assert sent == [
        ("chat-server-2", "remote.chat.chatRemote.add", (), 0.5, False),
        ("chat-server-2", "remote.chat.chatRemote.add", ("x",), 0.5, True),
    ]


async def test_all_of_a_type_answer_or_fail_each_for_itself(rpc: Remotes, sent: Sent) -> None:
    results = await rpc.chat.chatRemote.add.to_all("x", timeout=1, retry=True)
    assert list(results) == ["chat-1", "chat-dead"]
    assert results["chat-1"] == "from chat-1"
    assert isinstance(results["chat-dead"], RequestError)
    assert [entry[2:] for entry in sent] == [(("x",), 1, True)] * 2


async def test_what_is_the_callers_fault_is_raised(rpc: Remotes) -> None:
    with pytest.raises(TypeError, match="argument 1"):
        await rpc.chat.chatRemote.add.to_all(object)


async def test_names_of_python_and_of_the_wire_are_the_same(rpc: Remotes, sent: Sent) -> None:
    await rpc.chat.chat_remote.kick_all("s")
    await rpc.chat.chatRemote.kickAll("s")
    assert sent[0] == sent[1]


@pytest.mark.parametrize("name", ["_x", "__wrapped__", "__deepcopy__", "_repr_html_"])
def test_private_names_are_no_remotes(rpc: Remotes, name: str) -> None:
    for part in (rpc, rpc.chat, rpc.chat.chatRemote):
        assert not hasattr(part, name)


def test_tools_that_look_at_objects_find_nothing_strange(rpc: Remotes) -> None:
    assert inspect.unwrap(rpc) is rpc  # type: ignore[arg-type]
    assert isinstance(copy.copy(rpc.chat), type(rpc.chat))
    assert not inspect.isawaitable(rpc.chat)
