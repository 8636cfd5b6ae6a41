"""Where a project's application is found, and what is said when it is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zchat.chat.app import app as chat
from zchat.errors import ConfigError
from zchat.framework.app.project import application


@pytest.fixture(autouse=True)
def _own_path() -> Iterator[None]:
    path = sys.path[:]
    yield
    sys.path[:] = path


def test_the_installed_application_is_found(tmp_path: Path) -> None:
    assert application(tmp_path, "zchat.chat.app") is chat
    assert application(tmp_path, "zchat.chat.app") is chat
    assert sys.path.count(str(tmp_path)) == 1


def test_the_projects_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "own_app.py").write_text(
        "from zchat import Application\napp = Application(__file__)\n"
    )
    assert application(tmp_path, "own_app").root == tmp_path


def test_each_project_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "same_name", raising=False)
    for name in ("one", "two", "one"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        text = "from zchat import Application\napp = Application(__file__)\n"
        (folder / "same_name.py").write_text(text)
        assert application(folder, "same_name").root == folder


@pytest.mark.parametrize("module", ["no_such_app", "zchat.chat.nothing", "zchat.no.such"])
def test_a_missing_module_is_named(tmp_path: Path, module: str) -> None:
    with pytest.raises(ConfigError, match=f"no module {module} in {tmp_path}"):
        application(tmp_path, module)


@pytest.mark.parametrize("module", ["", ".", "a..b", "../app", "app.py-"])
def test_what_is_no_module_name_is_refused(tmp_path: Path, module: str) -> None:
    with pytest.raises(ConfigError, match="expected the name of a module"):
        application(tmp_path, module)


@pytest.mark.parametrize("text", ["", "app = 7", "from zchat import Application as app"])
def test_a_module_without_an_application_is_refused(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "half_an_app", raising=False)
    (tmp_path / "half_an_app.py").write_text(text)
    with pytest.raises(ConfigError, match=r"half_an_app: expected `app = Application\(__file__\)`"):
        application(tmp_path, "half_an_app")


def test_what_an_application_lacks_itself_is_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "needy_app.py").write_text("import no_such_library\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        application(tmp_path, "needy_app")
