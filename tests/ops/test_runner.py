"""Running one server, in a process of its own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.ops.project import Project, ended, until_line


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("ZCHAT_ENV", raising=False)
    return Project(tmp_path, "gate", "chat", "web")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("server_id", ["gate-server-1", "chat-server-1", "web-server-1"])
def test_a_server_runs_until_it_is_told(
    project: Project, server_id: str, number: signal.Signals
) -> None:
    process = project.start("run", server_id)
    lines = until_line(process, "is ready")
    line = project.line(server_id.partition("-")[0])
    assert f"{server_id} is ready: pid {process.pid}, ports: " in lines[-1]
    assert f"ROUTER {line['port']}" in lines[-1]
    process.send_signal(number)
    code, out, err = ended(process)
    assert (code, out) == (0, "")
    assert f"{server_id} is asked to stop" in err
    assert err.splitlines()[-1].endswith(f"{server_id} has stopped")
    assert not {"WARNING", "ERROR"} & set((" ".join(lines) + err).split())


def test_a_signal_while_it_starts_stops_it(project: Project) -> None:
    project.settings('[application]\nmodule = "slow_start"\n[client]\nlisten = "127.0.0.1"\n')
    (project.folder / "slow_start.py").write_text(
        "import os, signal\n"
        "from zchat import Application\n"
        "app = Application(__file__)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    code, _, err = ended(project.start("run", "chat-server-1"))
    assert code == 0
    assert "is asked to stop" in err
    assert "Traceback" not in err
