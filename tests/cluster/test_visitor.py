"""Calls by somebody who is no server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.cluster.harness import LOCAL, life
from tests.support.timing import MS, eventually
from zchat.cluster.context import Context
from zchat.cluster.curve import create_keys
from zchat.cluster.envelope import Call, pack
from zchat.cluster.identity import LocalServer
from zchat.cluster.rpc_server import RemotePeer, RpcServer, ServerHandlers
from zchat.cluster.visitor import Visitor
from zchat.config.settings import Settings
from zchat.config.topology import Server, Topology
from zchat.errors import ConfigError, Unavailable


class Worker:
    """A server that answers each call with its method's name, but none of `silence`."""

    def __init__(self) -> None:
        self.context = Context()
        local = LocalServer("chat-1", "chat", life())
        self.rpc = RpcServer(self.context, local, ServerHandlers(on_call=self._answer))
        port = int(self.rpc.bind(LOCAL).rpartition(":")[2])
        self.server = Server("chat-1", "chat", "127.0.0.1", port, 0)

    def _answer(self, peer: RemotePeer, call: Call) -> None:
        if call.method != "silence":
            self.rpc.reply(peer, call.id, pack(call.method))

    def close(self) -> None:
        self.rpc.close()
        self.context.close()


async def test_it_calls_under_a_name_of_its_own(tmp_path: Path) -> None:
    worker, ups = Worker(), [0]

    def on_up() -> None:
        ups[0] += 1

    visitors = [Visitor(Settings(), tmp_path, on_up) for _ in range(2)]
    for visitor in visitors:
        visitor.connect(worker.server)
        assert await visitor.call("chat-1", "hello", (), 1000 * MS) == "hello"
        assert visitor.up == ["chat-1"]
    assert ups == [2]
    assert len(worker.rpc.peers) == 2
    for visitor in visitors:
        visitor.close()
        visitor.close()
    worker.close()


async def test_who_is_not_listed_is_let_go(tmp_path: Path) -> None:
    worker, visitor = Worker(), Visitor(Settings(), tmp_path)
    visitor.connect(worker.server)
    await eventually(lambda: visitor.up == ["chat-1"])
    visitor.let_go(Topology("development", (worker.server,)))
    assert visitor.up == ["chat-1"]
    waiting = asyncio.create_task(visitor.call("chat-1", "silence", (), 1000 * MS))
    await asyncio.sleep(0)
    visitor.let_go(Topology("development", ()))
    with pytest.raises(Unavailable):
        await waiting
    assert visitor.up == []
    visitor.close()
    worker.close()


async def test_where_others_have_keys_it_needs_one(tmp_path: Path) -> None:
    create_keys(tmp_path / "config" / "keys", "chat-1")
    with pytest.raises(ConfigError, match="zchat keys operator"):
        Visitor(Settings(), tmp_path)
