"""What is measured: servers that can be started, and how the load generator speaks to them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]
FLOOR = ROOT / "bench" / "loadgen" / "floor"
LOGS = ROOT / ".bench" / "logs"
UP_WITHIN = 30.0
_SCHEDSTAT = 1_000_000_000  # its unit is nanoseconds

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
    title: str = ""
    """What the table calls it; its name when empty."""

    ports: Sequence[int] = ()
    """Where its processes listen: all must be free before, and answer afterwards."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def commands(self) -> Sequence[Sequence[str]]:
        """What to start, one command a process."""

    @abstractmethod
    def arguments(self) -> list[str]:
        """The load generator's words for it."""

    def is_up(self) -> bool:
        """Whether it can be loaded."""
        return all(map(_listens, self.ports))

    def folder(self) -> Path:
        """Where its processes run."""
        return ROOT

    def environment(self) -> dict[str, str]:
        """What its processes have in their environment beside this one's."""
        return {}

    @property
    def log(self) -> Path:
        """What its processes said when it ran last."""
        return LOGS / f"{self.name}.log"

    @property
    def pids(self) -> list[int]:
        """Its processes and theirs: all of what it costs."""
        return _with_descendants([process.pid for process in self._processes])

    def cpu(self) -> float:
        """Seconds of CPU that all its threads have had."""
        return sum(map(_cpu_of, self.pids))

    def __enter__(self) -> Self:
        taken = [port for port in self.ports if _listens(port)]
        if taken:
            raise OSError(f"{self.name}: something else listens on port {taken[0]}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")
        try:
            for command in self.commands():
                self._processes.append(self._start(command))
            deadline = time.monotonic() + UP_WITHIN
            while not self.is_up():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.name} does not come up: {self._last_words()}")
                time.sleep(0.05)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder(),
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-500:].strip() or "it says nothing"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pid in self.pids:  # parents first: one that starts its children again does not see it
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            process.wait()
        self._processes.clear()
        deadline = time.monotonic() + UP_WITHIN
        # Those that were not started here end when the kernel has closed all they had.
        while any(map(_listens, self.ports)) and time.monotonic() < deadline:
            time.sleep(0.05)


class Floor(Contender):
    """One `send` per delivery in a bare C loop: what the kernel alone costs."""

    name = "floor"
    title = "*a bare C loop of `send`: the floor*"
    port = 28901
    ports = (port,)

    def commands(self) -> Sequence[Sequence[str]]:
        return [[str(FLOOR), "-p", str(self.port)]]

    def arguments(self) -> list[str]:
        return ["--proto", "raw", "--target", f"127.0.0.1:{self.port}"]


class TornadoLoop(Contender):
    """Tornado's own chat: `write_message` in a loop, one process."""

    name = "tornado"
    title = "Tornado `write_message` loop"
    port = 28201
    ports = (port,)

    def commands(self) -> Sequence[Sequence[str]]:
        return [[sys.executable, "-m", "bench.servers.tornado_chat", str(self.port)]]

    def arguments(self) -> list[str]:
        return ["--proto", "raw", "--target", f"127.0.0.1:{self.port}"]


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
        return all(is_healthy(line["clientPort"]) for line in self._frontends())

    def _frontends(self) -> list[dict[str, Any]]:
        return self._servers["gate"] + self._servers["connector"]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._temporary.cleanup()


class Supervised(Zchat):
    """The same under supervisord, as it is shipped; supervisord's own cost is counted too.

    Args:
        connectors: how many.
        workers: how many.
    """

    title = "**zchat** (2 connectors, 2 chat workers, journal)"

    def __enter__(self) -> Self:
        self.ports = [line["clientPort"] for line in self._frontends()]
        return super().__enter__()

    def commands(self) -> Sequence[Sequence[str]]:
        shutil.copy(ROOT / "supervisord.conf", self.folder())
        supervisord = Path(sys.executable).with_name("supervisord")
        return [[str(supervisord), "--nodaemon", "--configuration", "supervisord.conf"]]

    def environment(self) -> dict[str, str]:
        return {"ZCHAT_ENV": "development"}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(FileNotFoundError):
            shutil.copytree(self.folder() / "logs", LOGS / self.name, dirs_exist_ok=True)
        super().__exit__(kind, error, traceback)


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


def _with_descendants(pids: Sequence[int]) -> list[int]:
    """These processes, their children, the children's children."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = list(pids)
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            # The name, in parentheses, may contain anything; the state and the parent follow.
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            yield int(folder.name), int(stat[1])


def _cpu_of(pid: int) -> float:
    total = 0
    with suppress(OSError):  # it has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / _SCHEDSTAT
