"""Running one server, in its own process and in ours."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.project import Project, ended, until_line
from zchat.chat.app import app as chat
from zchat.errors import ConfigError
from zchat.ops import runner


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("ZCHAT_ENV", raising=False)
    return Project(tmp_path, "gate", "chat", "web")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What a process sets once is taken back."""
    root, zchat = logging.getLogger(), logging.getLogger("zchat")
    handlers, levels, path = root.handlers[:], (root.level, zchat.level), sys.path[:]
    yield
    root.handlers[:], sys.path[:] = handlers, path
    root.setLevel(levels[0])
    zchat.setLevel(levels[1])
    logging.captureWarnings(False)


# The application


def test_the_installed_application_is_found(tmp_path: Path) -> None:
    assert runner.application(tmp_path, "zchat.chat.app") is chat
    assert runner.application(tmp_path, "zchat.chat.app") is chat
    assert sys.path.count(str(tmp_path)) == 1


def test_the_projects_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "own_app.py").write_text(
        "from zchat import Application\napp = Application(__file__)\n"
    )
    assert runner.application(tmp_path, "own_app").root == tmp_path


@pytest.mark.parametrize("module", ["no_such_app", "zchat.chat.nothing", "zchat.no.such"])
def test_a_missing_module_is_named(tmp_path: Path, module: str) -> None:
    with pytest.raises(ConfigError, match=f"no module {module} in {tmp_path}"):
        runner.application(tmp_path, module)


@pytest.mark.parametrize("module", ["", ".", "a..b", "../app", "app.py-"])
def test_what_is_no_module_name_is_refused(tmp_path: Path, module: str) -> None:
    with pytest.raises(ConfigError, match="expected the name of a module"):
        runner.application(tmp_path, module)


@pytest.mark.parametrize("text", ["", "app = 7", "from zchat import Application as app"])
def test_a_module_without_an_application_is_refused(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "half_an_app", raising=False)
    (tmp_path / "half_an_app.py").write_text(text)
    with pytest.raises(ConfigError, match=r"half_an_app: expected `app = Application\(__file__\)`"):
        runner.application(tmp_path, "half_an_app")


def test_what_an_application_lacks_itself_is_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "needy_app.py").write_text("import no_such_library\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        runner.application(tmp_path, "needy_app")


# Processes


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
