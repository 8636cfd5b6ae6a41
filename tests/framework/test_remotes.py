"""Calls as attributes."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest

from zchat.framework.remotes import Remotes
from zchat.framework.router import Routable

Sent = list[tuple[str, str, tuple[Any, ...], float | None]]


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

    async def send(server: str, method: str, args: tuple[Any, ...], timeout: float | None) -> int:
        sent.append((server, method, args, timeout))
        return 7

    return Remotes(pick, send)


async def test_a_session_is_routed(rpc: Remotes, sent: Sent) -> None:
    assert await rpc.chat.chatRemote.add(Session(), "bob", 2) == 7
    route = "chat.chatRemote.add"
    assert sent == [(f"chat of alice for {route}", f"remote.{route}", ("bob", 2), None)]


async def test_a_server_is_named(rpc: Remotes, sent: Sent) -> None:
    await rpc.chat.chatRemote.add("chat-server-2", timeout=0.5)
    assert sent == [("chat-server-2", "remote.chat.chatRemote.add", (), 0.5)]


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
