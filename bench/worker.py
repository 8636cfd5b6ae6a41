"""One chat worker in a folder of its own, a connector, and somebody who sends as connectors do."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.contenders import ROOT, UNLIMITED, UP_WITHIN, is_healthy
from zchat.client import Client
from zchat.cluster.context import Context
from zchat.cluster.envelope import Failure, Reply
from zchat.cluster.identity import LocalServer
from zchat.cluster.rpc_client import RpcClient
from zchat.frontend.session import Snapshot, encode_snapshot
from zchat.protocol.body import dumps

SERVER = "chat-server-1"
CONNECTOR = "connector-server-1"
ROUTER, CONNECTOR_ROUTER, CLIENTS = 27_050, 27_060, 27_070
ENTER = "connector.entryHandler.enter"
SEND = "chat.chatHandler.send"
TEXT = "x" * 64
_BUDGET = 30.0
_SCHEDSTAT = 1_000_000_000  # its unit is nanoseconds


class Worker:
    """A project folder with a worker and a connector.

    Args:
        journal: lines of settings.toml's [journal].
    """

    def __init__(self, journal: str) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="zchat-bench-")
        self.folder = Path(self._temporary.name)
        config = self.folder / "config"
        config.mkdir()
        chat = {"id": SERVER, "host": "127.0.0.1", "port": ROUTER, "pubPort": ROUTER + 100}
        connector = {"id": CONNECTOR, "host": "127.0.0.1", "port": CONNECTOR_ROUTER}
        connector |= {"clientPort": CLIENTS}
        servers = {"development": {"chat": [chat], "connector": [connector], "web": []}}
        (config / "servers.json").write_text(json.dumps(servers))
        (config / "settings.toml").write_text(f"{UNLIMITED}\n[journal]\n{journal}\n")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._temporary.cleanup()

    def start(self) -> None:
        """Start both as supervisord does, and wait until clients can come.

        Raises:
            TimeoutError: they do not come up; the text has what they said.
        """
        for server_id in (SERVER, CONNECTOR):
            command = [sys.executable, "-m", "zchat.ops.cli", "run", server_id]
            with self.log.open("ab") as log:
                self._processes[server_id] = subprocess.Popen(
                    command, cwd=self.folder, env=self.environment(), stderr=log
                )
        deadline = time.monotonic() + UP_WITHIN
        while not is_healthy(CLIENTS):
            if time.monotonic() > deadline:
                raise TimeoutError(self.log.read_text())
            time.sleep(0.05)

    @property
    def log(self) -> Path:
        """What they write to stderr."""
        return self.folder / "worker.log"

    def environment(self) -> dict[str, str]:
        """For processes that belong to the folder."""
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def cpu(self) -> float:
        """Seconds of CPU that all threads of the worker have had."""
        tasks = Path(f"/proc/{self._processes[SERVER].pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / _SCHEDSTAT


class People:
    """Clients, one in each room, who talk in turn."""

    def __init__(self, rooms: int) -> None:
        self._clients = [Client(f"ws://127.0.0.1:{CLIENTS}") for _ in range(rooms)]
        self.latencies: list[float] = []
        """Seconds from each send to its acknowledgement."""

    async def enter(self) -> None:
        """Come in.

        Raises:
            RuntimeError: one is not let in.
        """
        for number, client in enumerate(self._clients):
            await client.start()
            body = {"username": f"p{number}", "rid": f"room{number}"}
            answer = await client.request(ENTER, body)
            if "users" not in answer:
                raise RuntimeError(f"not let in: {answer}")

    async def talk(self, rate: float, seconds: float) -> None:
        """Send so many a second, each by the next one."""
        begun = time.perf_counter()
        sends = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(begun + number / rate - time.perf_counter(), 0))
            client = self._clients[number % len(self._clients)]
            sends.append(asyncio.create_task(self._send(client)))
        await asyncio.gather(*sends)

    async def _send(self, client: Client) -> None:
        begun = time.perf_counter()
        answer = await client.request(SEND, {"content": TEXT, "target": "*"})
        if "offset" not in answer:
            raise RuntimeError(f"not acknowledged: {answer}")
        self.latencies.append(time.perf_counter() - begun)

    async def leave(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()


class Talkers:
    """Sends to the worker what a connector would, without clients.

    Args:
        rooms: to which it sends in turn.
    """

    def __init__(self, rooms: int) -> None:
        life = secrets.token_hex(8)
        self._context = Context()
        local = LocalServer("connector-server-2", "connector", life)
        self._client = RpcClient(self._context, local)
        self._sessions = [
            encode_snapshot(
                Snapshot(local.id, life, number, f"t{number}", {"rid": f"room{number}"}, "", "")
            )
            for number in range(rooms)
        ]
        self._next = 0
        self._unanswered = 0
        self._refused: Reply | Failure | None = None
        self.latencies: list[float] = []
        """Seconds from each send to its acknowledgement."""

    async def keep(self, unanswered: int, seconds: float) -> float:
        """Keep so many sends unanswered; returns how many a second were acknowledged."""
        ticking = asyncio.create_task(self._tick())
        try:
            begun, before = time.perf_counter(), len(self.latencies)
            while time.perf_counter() < begun + seconds:
                for _ in range(unanswered - self._unanswered):
                    self._send()
                await asyncio.sleep(0.0005)
            passed = time.perf_counter() - begun
            acknowledged = len(self.latencies) - before
            while self._unanswered:  # noqa: ASYNC110 (a count, no event)
                await asyncio.sleep(0.001)
        finally:
            ticking.cancel()
        if self._refused is not None:
            raise RuntimeError(f"not acknowledged: {self._refused}")
        return acknowledged / passed

    def _send(self) -> None:
        self._next += 1
        session = self._sessions[self._next % len(self._sessions)]
        body = dumps({"content": TEXT, "target": "*", "cid": f"c{self._next}"})
        begun = time.perf_counter()
        self._unanswered += 1

        def answered(answer: Reply | Failure) -> None:
            self._unanswered -= 1
            if isinstance(answer, Reply) and b'"offset"' in answer.body:
                self.latencies.append(time.perf_counter() - begun)
            else:
                self._refused = answer

        self._client.request(SERVER, SEND, session, body, _BUDGET, 0, answered, self._next)

    def connect(self) -> None:
        """Begin to use the worker, which is up."""
        self._client.connect(SERVER, f"tcp://127.0.0.1:{ROUTER}")

    def close(self) -> None:
        """Let go."""
        self._client.close()
        self._context.close()

    async def _tick(self) -> None:
        while True:
            self._client.tick(time.monotonic())
            await asyncio.sleep(0.1)
