"""New projects: which files they have, and when none is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.sources import PACKAGE, ROOT
from zchat.config import servers, settings
from zchat.errors import ConfigError
from zchat.ops.init import PAGE, create

COMMON = {
    "supervisord.conf",
    "pytest.ini",
    ".gitignore",
    "README.md",
    "app.py",
    "config/servers.json",
    "config/settings.toml",
    "servers/connector/handler/entry_handler.py",
    "webroot/index.html",
}
ENVIRONMENTS = ("development", "production")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_one_connector_and_a_page(tmp_path: Path) -> None:
    made = create(tmp_path / "demo")
    expected = COMMON | {"tests/test_entry.py", "webroot/main.js", "webroot/main.css"}
    assert set(made) == files(tmp_path / "demo") == expected


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_one_connector_without_a_gate(tmp_path: Path, environment: str) -> None:
    create(tmp_path)
    topology = servers.load(tmp_path / "config" / "servers.json", environment)
    ports = {server.id: server.client_port for server in topology.servers}
    assert ports == {"connector-server-1": 3010, "web-server-1": 3001}
    assert topology.warnings == ()
    assert PAGE.endswith(":3001")


def test_the_chat_is_a_copy_of_ones_own(tmp_path: Path) -> None:
    made = create(tmp_path, chat=True)
    assert COMMON | {"names.py", "tests/test_chat.py"} < set(made)
    own = {name for name in files(PACKAGE / "chat") if "__pycache__" not in name}
    page = {f"webroot/{name}" for name in files(ROOT / "webroot")}
    assert set(made) == COMMON | (own - {"__init__.py"}) | page | {"tests/test_chat.py"}
    for name in made:
        if name.endswith(".py"):
            assert "zchat.chat" not in (tmp_path / name).read_text()
    handler = (tmp_path / "servers/connector/handler/entry_handler.py").read_text()
    assert "from names import checked" in handler
    listed = (ROOT / "config" / "servers.json").read_text()
    assert (tmp_path / "config" / "servers.json").read_text() == listed


def test_the_page_is_where_init_says(tmp_path: Path) -> None:
    for chat in (False, True):
        folder = tmp_path / str(chat)
        create(folder, chat=chat)
        topology = servers.load(folder / "config" / "servers.json", "development")
        (web,) = topology.of_type("web")
        assert f"http://{web.host}:{web.client_port}" == PAGE


@pytest.mark.parametrize("chat", [False, True])
def test_settings_are_the_defaults_but_for_two(tmp_path: Path, chat: bool) -> None:
    create(tmp_path, chat=chat)
    path = tmp_path / "config" / "settings.toml"
    found = settings.load(path)
    assert (found.application.module, found.client.listen) == ("app", "127.0.0.1")
    said = [line for line in path.read_text().splitlines() if re.match(r"\w", line)]
    assert said == ['module = "app"', 'listen = "127.0.0.1"']


@pytest.mark.parametrize("chat", [False, True])
def test_the_readme_has_the_projects_name(
    tmp_path: Path, chat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "forest").mkdir()
    monkeypatch.chdir(tmp_path / "forest")
    create(Path(), chat=chat)
    readme = Path("README.md").read_text()
    assert readme.startswith("# forest\n")
    for name in re.findall(r"^\| `([^`]+)`", readme, re.M):
        assert "NAME" in name or Path(name).exists(), name


def test_supervisord_conf_is_this_projects_own(tmp_path: Path) -> None:
    create(tmp_path)
    own = (ROOT / "supervisord.conf").read_text()
    assert (tmp_path / "supervisord.conf").read_text() == own


@pytest.mark.parametrize("chat", [False, True])
def test_files_of_those_names_stay(tmp_path: Path, chat: bool) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "servers.json").write_text("mine")
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "other.py").write_text("mine")
    with pytest.raises(ConfigError) as caught:
        create(tmp_path, chat=chat)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path} has files of these names already: ")
    assert "config/servers.json" in said
    assert "README.md" in said
    assert "other.py" not in said
    assert files(tmp_path) == {"config/servers.json", "README.md", "other.py"}


def test_a_file_in_the_way_of_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "webroot").write_text("mine")
    with pytest.raises(ConfigError, match="these names already: webroot; nothing is written"):
        create(tmp_path)
    assert files(tmp_path) == {"webroot"}


def test_the_folder_itself_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(ConfigError, match="nothing is written"):
        create(tmp_path / "demo")


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "config").mkdir()
    create(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
