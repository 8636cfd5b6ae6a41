"""supervisord itself, with this project's supervisord.conf and servers that only wait.

What a server does is not looked at here: a dummy takes its place, which says in its log when it
begins and ends, and takes as long to end as its line of servers.json says.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy

import pytest
from supervisor.xmlrpc import SupervisorTransport

from tests.support.timing import PATIENCE

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

DUMMY = """
import json, signal, sys, time
sid = sys.argv[-1]
types = json.load(open("config/servers.json"))["development"]
slow = {s["id"]: s.get("endsAfter", 0) for servers in types.values() for s in servers}.get(sid, 0)
def end(signum, frame):
    print("end", time.time(), flush=True)
    time.sleep(slow)
    print("ended", time.time(), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGHUP, lambda *_: print("hup", flush=True))
print("begin", sys.argv[1:], flush=True)
while True:
    signal.pause()
"""


class Folder:
    """A project folder with its own supervisord. Its path has a space in it, and is short."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "config").mkdir()
        (path / "dummy.py").write_text(DUMMY)
        conf = (PROJECT / "supervisord.conf").read_text()
        conf = conf.replace("-m zchat.ops.cli run", "dummy.py").replace(
            "startsecs=1", "startsecs=0"
        )
        self.conf = path / "supervisord.conf"
        self.conf.write_text(conf)
        self.servers = {
            "gate": [_line("gate-server-1", 3014)],
            "connector": [_line("connector-server-1", 3050), _line("connector-server-2", 3051)],
            "chat": [_line("chat-server-1", 6050), _line("chat-server-2", 6051)],
            "web": [_line("web-server-1", 3001)],
        }
        self.write()

    def write(self) -> None:
        """Write servers.json."""
        (self.path / "config/servers.json").write_text(json.dumps({"development": self.servers}))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of supervisor as a user does who stands in the folder."""
        environ = {k: v for k, v in os.environ.items() if k not in ("ZCHAT_ENV", "PYTHONPATH")}
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.path,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def ctl(self, *command: str) -> str:
        """What supervisorctl says."""
        ended = self.run("supervisorctl", *command)
        return ended.stdout + ended.stderr

    def start(self) -> None:
        """Start supervisord and wait for its servers."""
        ended = self.run("supervisord")
        assert ended.returncode == 0, ended.stderr
        count = sum(map(len, self.servers.values()))
        eventually(lambda: len(self.pids()) == count and all(map(self.log, self.pids())))

    def stop(self) -> None:
        """Shut supervisord down, when it runs, and wait until it has ended."""
        pid = self.ctl("pid").strip()
        if pid.isdigit():
            self.ctl("shutdown")
            eventually(lambda: not _is_alive(int(pid)), 30)

    def states(self) -> dict[str, str]:
        """Server id to supervisord's word for its state."""
        lines = self.ctl("status").splitlines()
        return {line.split()[0]: line.split()[1] for line in lines}

    def pids(self) -> dict[str, int]:
        """Server id to process id, of those that run."""
        return {
            name: int(pid)
            for name, pid in re.findall(r"^(\S+) +RUNNING +pid (\d+),", self.ctl("status"), re.M)
        }

    def log(self, server_id: str) -> str:
        """All that a server has written."""
        path = self.path / f"logs/{server_id}.log"
        return path.read_text() if path.exists() else ""

    def ended(self, server_id: str) -> tuple[float, float]:
        """When a server was told to end, and when it did."""
        begin, end = re.findall(r"end(?:ed)? ([\d.]+)", self.log(server_id))[-2:]
        return float(begin), float(end)


def _line(server_id: str, port: int) -> dict[str, Any]:
    return {"id": server_id, "host": "127.0.0.1", "port": port}


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return not status.rpartition(")")[2].startswith(" Z")


def eventually(predicate: Callable[[], object], timeout: float = 2 * PATIENCE) -> None:
    """Poll until something is true. Each look at supervisord takes 0.1 s by itself."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"not true after {timeout:.0f} s"
        time.sleep(0.01)


@pytest.fixture
def folder() -> Iterator[Folder]:
    # Not pytest's own folder: its path may be too long for a socket.
    with tempfile.TemporaryDirectory(prefix="zchat run ", dir="/tmp") as path:
        folder = Folder(Path(path))
        yield folder
        folder.stop()


def test_supervisord_and_supervisorctl_without_arguments(folder: Folder) -> None:
    folder.start()
    ids = [
        "chat-server-1",
        "chat-server-2",
        "connector-server-1",
        "connector-server-2",
        "gate-server-1",
        "web-server-1",
    ]
    pids = folder.pids()
    assert list(pids) == ids
    assert folder.log("gate-server-1") == "begin ['gate-server-1']\n"
    assert (folder.path / "run/supervisor.sock").stat().st_mode & 0o777 == 0o700

    folder.ctl("restart", "connector-server-1")
    eventually(lambda: len(folder.pids()) == 6)
    assert changed(pids, folder.pids()) == {"connector-server-1"}

    pids = folder.pids()
    assert sorted(folder.ctl("restart", "connector:*").splitlines()) == [
        "connector-server-1: started",
        "connector-server-1: stopped",
        "connector-server-2: started",
        "connector-server-2: stopped",
    ]
    assert changed(pids, folder.pids()) == {"connector-server-1", "connector-server-2"}

    folder.ctl("signal", "HUP", "chat:*")
    eventually(
        lambda: "hup" in folder.log("chat-server-1") and "hup" in folder.log("chat-server-2")
    )
    assert "no such group" in folder.ctl("stop", "nobody:*")

    folder.ctl("stop", "all")
    assert folder.states() == dict.fromkeys(ids, "STOPPED")
    folder.ctl("start", "all")
    assert folder.states() == dict.fromkeys(ids, "RUNNING")
    # They have begun: one that is told to end before it can hear it just ends.
    eventually(lambda: all("begin" in folder.log(name).splitlines()[-1] for name in ids))

    supervisord, servers = int(folder.ctl("pid")), folder.pids().values()
    folder.ctl("shutdown")
    eventually(lambda: not any(map(_is_alive, [supervisord, *servers])))
    assert not (folder.path / "run/supervisor.sock").exists()
    assert all(folder.log(name).splitlines()[-1].startswith("ended") for name in ids)


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    """Ids of servers that are not the process that they were, or only here or there."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_update_follows_servers_json(folder: Folder) -> None:
    folder.start()
    pids = folder.pids()

    folder.servers["connector"].append(_line("connector-server-3", 3052))
    folder.servers["chat"].append(_line("chat-server-3", 6052))
    folder.write()
    assert folder.ctl("reread").splitlines() == [
        "chat-server-3: available",
        "connector-server-3: available",
    ]
    folder.ctl("update")
    eventually(lambda: len(folder.pids()) == 8)
    assert changed(pids, folder.pids()) == {"connector-server-3", "chat-server-3"}

    pids = folder.pids()
    folder.servers["chat"].pop(0)
    folder.servers["connector"][0]["port"] = 3060
    folder.write()
    folder.ctl("update")
    eventually(lambda: len(folder.pids()) == 7)
    assert changed(pids, folder.pids()) == {"connector-server-1", "chat-server-1"}
    assert "chat-server-1" not in folder.states()

    pids = folder.pids()
    (folder.path / "config/servers.json").write_text('{"development": {\n"chat": [}}')
    reason = f"zchat: {folder.path}/config/servers.json:2: not valid JSON: Expecting value"
    for command in ("reread", "update", "reload"):
        refused = folder.run("supervisorctl", command)
        assert refused.returncode != 0
        assert reason.removeprefix("zchat: ") in refused.stdout + refused.stderr
        assert "Fault" not in refused.stdout, "supervisorctl speaks as people do"
    assert folder.pids() == pids
    # The types that `TYPE:*` goes by are what they were.
    folder.ctl("stop", "chat:*")
    assert {name for name in pids if name not in folder.pids()} == {
        "chat-server-2",
        "chat-server-3",
    }

    folder.write()
    assert folder.ctl("update") == ""
    assert changed(pids, folder.pids()) == {"chat-server-2", "chat-server-3"}

    supervisord = folder.ctl("pid")
    assert folder.ctl("reload").strip() == "Restarted supervisord"
    eventually(lambda: len(folder.pids()) == 7 and changed(pids, folder.pids()) == set(pids))
    assert folder.ctl("pid") == supervisord
    assert "chat-server-2: stopped" in folder.ctl("stop", "chat:*")


@pytest.mark.parametrize(
    ("servers", "reason"),
    [
        ('{"development": {"chat": [{"id": "a", "host": "h"}]}}', ":1: development.chat[0]: port"),
        ('{"prod": {}}', ': no environment "development"; there are: prod'),
        (None, ": cannot be read: No such file or directory"),
    ],
)
def test_supervisord_does_not_start_with_a_broken_servers_json(
    folder: Folder, servers: str | None, reason: str
) -> None:
    file = folder.path / "config/servers.json"
    file.unlink()
    if servers is not None:
        file.write_text(servers)
    refused = folder.run("supervisord")
    assert refused.returncode == 2
    assert f"Error: zchat: {file}{reason}" in refused.stderr


def test_shutdown_stops_frontends_together_and_then_workers_together(folder: Folder) -> None:
    for servers in folder.servers.values():
        for server in servers:
            server["endsAfter"] = 1
    folder.write()
    folder.start()
    folder.stop()
    frontends: list[tuple[float, float]] = []
    workers: list[tuple[float, float]] = []
    for server_type, servers in folder.servers.items():
        for server in servers:
            (workers if server_type == "chat" else frontends).append(folder.ended(server["id"]))
    for together in (frontends, workers):
        assert max(begin for begin, _ in together) < min(end for _, end in together)
    assert max(end for _, end in frontends) <= min(begin for begin, _ in workers)


def test_a_server_stopped_right_after_its_start_is_not_killed(folder: Folder) -> None:
    """A SIGTERM between fork and exec is lost; many descriptors to close make that time long."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    minfds = min(most, 16_384) if most != resource.RLIM_INFINITY else 16_384
    conf = folder.conf.read_text().replace("minfds=1024", f"minfds={minfds}")
    folder.conf.write_text(conf)
    folder.start()
    transport = SupervisorTransport(None, None, f"unix://{folder.path}/run/supervisor.sock")
    supervisor: Any = ServerProxy("http://localhost", transport=transport).supervisor
    for _ in range(3):
        supervisor.stopProcess("chat-server-1")
        supervisor.startProcess("chat-server-1", False)
        supervisor.stopProcess("chat-server-1")
        supervisor.startProcess("chat-server-1")
    transport.close()
    assert "SIGKILL" not in (folder.path / "logs/supervisord.log").read_text()
