"""What is measured: servers that can be started, and how the load generator speaks to them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]
FLOOR = ROOT / "bench" / "loadgen" / "floor"
UP_WITHIN = 30.0

UNLIMITED = """
[client]
listen = "127.0.0.1"
[limits]
messages_per_second = 1_000_000
messages_burst = 1_000_000
bytes_per_second = 1_000_000_000
bytes_burst = 1_000_000_000
requests_in_flight = 100_000
"""
"""A load generator's client is not a person: the limits for one client are out of its way."""


class Contender(ABC):
    """A server, or several that work together; runs while its `with` block does."""

    name: str

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def commands(self) -> Sequence[Sequence[str]]:
        """What to start, one command a process."""

    @abstractmethod
    def arguments(self) -> list[str]:
        """The load generator's words for it."""

    @abstractmethod
    def is_up(self) -> bool:
        """Whether it can be loaded."""

    def folder(self) -> Path:
        """Where its processes run."""
        return ROOT

    @property
    def pids(self) -> list[int]:
        """Its processes: all of what it costs."""
        return [process.pid for process in self._processes]

    def __enter__(self) -> Self:
        try:
            for command in self.commands():
                self._processes.append(self._start(command))
            deadline = time.monotonic() + UP_WITHIN
            while not self.is_up():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.name} does not come up")
                time.sleep(0.05)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self.folder(),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes.clear()


class Floor(Contender):
    """One `send` per delivery in a bare C loop: what the kernel alone costs."""

    name = "floor"
    port = 28901

    def commands(self) -> Sequence[Sequence[str]]:
        return [[str(FLOOR), "-p", str(self.port)]]

    def arguments(self) -> list[str]:
        return ["--proto", "raw", "--target", f"127.0.0.1:{self.port}"]

    def is_up(self) -> bool:
        return _listens(self.port)


class TornadoLoop(Contender):
    """Tornado's own chat: `write_message` in a loop, one process."""

    name = "tornado"
    port = 28201

    def commands(self) -> Sequence[Sequence[str]]:
        return [[sys.executable, "-m", "bench.servers.tornado_chat", str(self.port)]]

    def arguments(self) -> list[str]:
        return ["--proto", "raw", "--target", f"127.0.0.1:{self.port}"]

    def is_up(self) -> bool:
        return _listens(self.port)


class Zchat(Contender):
    """zchat as shipped: gate, connectors and chat workers, each a process.

    Args:
        connectors: how many.
        workers: how many.
    """

    name = "zchat"

    def __init__(self, connectors: int = 2, workers: int = 2) -> None:
        super().__init__()
        self._servers = {
            "gate": [_line("gate", 1, 24014)],
            "connector": [_line("connector", n + 1, 24050 + n) for n in range(connectors)],
            "chat": [_line("chat", n + 1, 26050 + n) for n in range(workers)],
            "web": [],
        }

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix="zchat-bench-")
        config = self.folder() / "config"
        config.mkdir()
        (config / "servers.json").write_text(json.dumps({"development": self._servers}))
        (config / "settings.toml").write_text(UNLIMITED)
        return super().__enter__()

    def folder(self) -> Path:
        return Path(self._temporary.name)

    def commands(self) -> Sequence[Sequence[str]]:
        ids = [line["id"] for lines in self._servers.values() for line in lines]
        return [[sys.executable, "-m", "zchat.ops.cli", "run", server_id] for server_id in ids]

    def arguments(self) -> list[str]:
        targets = [f"127.0.0.1:{line['clientPort']}" for line in self._servers["connector"]]
        return ["--proto", "pomelo", *(word for target in targets for word in ("--target", target))]

    def is_up(self) -> bool:
        frontends = self._servers["gate"] + self._servers["connector"]
        return all(is_healthy(line["clientPort"]) for line in frontends)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._temporary.cleanup()


def _line(server_type: str, number: int, port: int) -> dict[str, Any]:
    """All ports are below those that the kernel takes for outgoing connections."""
    line: dict[str, Any] = {"id": f"{server_type}-server-{number}", "host": "127.0.0.1"}
    line |= {"port": port, "pubPort": port + 100}
    return line if server_type == "chat" else {**line, "clientPort": port + 200}


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def is_healthy(port: int) -> bool:
    """Whether the frontend that listens there for clients is well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
