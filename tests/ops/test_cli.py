"""The command line: what it prints, where, and how it exits."""

from __future__ import annotations

import json
import socket
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.ops.project import Project, ended
from zchat.ops.cli import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("ZCHAT_ENV", raising=False)
    return Project(tmp_path, "gate", "connector", "chat")


def zchat(project: Project, *arguments: str) -> int:
    return main(["--folder", str(project.folder), *arguments])


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error; nothing else was printed."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("zchat: ")
    return err.strip()


# Help


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--help"],
            [
                "init",
                "run",
                "status",
                "check",
                "bench",
                "publish",
                "routes",
                "keys",
                "config/servers.json",
                "ZCHAT_ENV",
            ],
        ),
        (["run", "--help"], ["SERVER-ID", "its id in config/servers.json"]),
        (["status", "--help"], ["--json"]),
        (["bench", "--help"], ["--talkers", "--html FILE", "-: on stdout"]),
        (["publish", "--help"], ["ROOM JSON", "--route", "- reads it from stdin"]),
        (["keys", "--help"], ["all listed ones by default"]),
    ],
)
def test_help_says_what_there_is(
    arguments: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert [words for words in expected if words not in text] == []


@pytest.mark.parametrize("arguments", [[], ["dance"], ["run"], ["run", "a", "b"]])
def test_what_is_no_command_exits_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: zchat" in capsys.readouterr().err


# A new project


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"zchat {version('zchat')}\n"


def test_init_says_what_it_made_and_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--folder", str(tmp_path), "init", "my demo"]) == 0
    *made, empty, then, and_open = capsys.readouterr().out.splitlines()
    assert f"{tmp_path}/my demo/app.py" in made
    assert [path for path in made if not Path(path).is_file()] == []
    assert (empty, then) == ("", f"Now type: cd '{tmp_path}/my demo' && supervisord")
    assert and_open == "and open http://127.0.0.1:3001"


def test_init_may_start_from_the_chat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(tmp_path), "init", "--chat", "."]) == 0
    capsys.readouterr()
    assert main(["--folder", str(tmp_path), "routes"]) == 0
    assert "chat.chatHandler.send" in capsys.readouterr().out


def test_init_spoils_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app.py").write_text("mine")
    assert main(["--folder", str(tmp_path), "init", "."]) == 2
    assert "app.py" in only_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["app.py"]


# What is wrong is one line


@pytest.mark.parametrize("command", [["status"], ["keys"]])
@pytest.mark.parametrize("text", ["{", '{"production": {}}', '{"development": {"chat": 1}}'])
def test_a_broken_servers_json_is_one_line(
    project: Project, command: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project.servers_json.write_text(text)
    assert zchat(project, *command) == 2
    assert str(project.servers_json) in only_line(capsys)


@pytest.mark.parametrize("command", [["status"], ["keys"], ["routes"]])
@pytest.mark.parametrize("text", ["[client", "[client]\nheartbeat = 'x'", "[nothing]"])
def test_a_broken_settings_toml_is_one_line(
    project: Project, command: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings(text)
    assert zchat(project, *command) == 2
    assert "settings.toml" in only_line(capsys)


def test_a_missing_project_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(tmp_path / "nowhere"), "status"]) == 2
    assert "nowhere/config/servers.json" in only_line(capsys)


def test_a_syntax_error_of_the_application_is_one_line(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings('[application]\nmodule = "typo_in_app"\n')
    path = project.folder / "typo_in_app.py"
    path.write_text("app = (\n")
    assert zchat(project, "routes") == 2
    assert only_line(capsys) == f"zchat: {path}:1: '(' was never closed"


def test_a_handler_that_cannot_be_imported_is_one_line(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings('[application]\nmodule = "odd"\n')
    (project.folder / "odd.py").write_text("import zchat\n\napp = zchat.Application(__file__)\n")
    path = project.folder / "servers" / "chat" / "handler" / "odd_handler.py"
    path.parent.mkdir(parents=True)
    path.write_text("import nope\n")
    said = f"zchat: {path}:1: ModuleNotFoundError: No module named 'nope'"
    assert zchat(project, "routes") == 2
    assert only_line(capsys) == said
    code, out, err = ended(project.start("run", "chat-server-1"))
    assert (code, out, err) == (2, "", f"{said}\n")


@pytest.mark.parametrize("text", ["{", None])
def test_a_server_with_a_broken_project_exits_2_without_a_traceback(
    project: Project, text: str | None
) -> None:
    if text is not None:
        project.servers_json.write_text(text)
    code, out, err = ended(project.start("run", "nobody"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("zchat: ")
    assert ('no server "nobody"' if text is None else "servers.json") in err


@pytest.mark.parametrize(
    ("server_id", "key"),
    [
        ("gate-server-1", "clientPort"),
        ("chat-server-1", "port"),
        ("chat-server-1", "pubPort"),
    ],
)
def test_a_taken_port_is_named_with_who_asks(project: Project, server_id: str, key: str) -> None:
    port = project.line(server_id.partition("-")[0])[key]
    with socket.create_server(("127.0.0.1", port)):
        code, _, err = ended(project.start("run", server_id))
    assert code == 1
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last.startswith(f"zchat: {server_id}")
    assert f"127.0.0.1:{port}" in last
    assert "address" in last.lower()
    assert "in use" in last


def test_a_part_that_cannot_start_is_named_and_exits_1(project: Project) -> None:
    project.settings('[application]\nmodule = "no_database"\n[client]\nlisten = "127.0.0.1"\n')
    (project.folder / "no_database.py").write_text(
        "from zchat import Application\n"
        "app = Application(__file__)\n"
        "@app.add\n"
        "class Database:\n"
        "    def __init__(self, app): pass\n"
        "    def start(self): raise OSError('no route to host')\n"
    )
    code, _, err = ended(project.start("run", "chat-server-1"))
    assert code == 1
    said = "chat-server-1: component Database cannot start: no route to host"
    assert err.splitlines()[-1] == f"zchat: {said}"
    assert "starting 4/4 component Database" in err
    assert "Traceback" not in err


def test_other_machines_are_refused_without_keys(project: Project) -> None:
    project.line("chat")["host"] = "192.0.2.1"
    project.write()
    code, _, err = ended(project.start("run", "chat-server-1"))
    assert code == 1
    assert "Traceback" not in err
    assert "192.0.2.1" in err.splitlines()[-1]
    assert "expected CURVE keys (zchat keys)" in err.splitlines()[-1]


# routes


def test_routes_are_a_table(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert zchat(project, "routes") == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines]
    assert [row[:2] for row in table] == [
        ["handler", "chat.chatHandler.history"],
        ["handler", "chat.chatHandler.send"],
        ["handler", "connector.entryHandler.enter"],
        ["handler", "connector.entryHandler.switchRoom"],
        ["handler", "gate.gateHandler.queryEntry"],
        ["remote", "chat.chatRemote.add"],
        ["remote", "chat.chatRemote.kick"],
    ]
    for kind, route, place, *_ in table:
        path, _, line = place.rpartition(":")
        assert "async def" in "".join(Path(path).read_text().splitlines()[int(line) - 1 :][:2])
        assert kind in path
        assert route.partition(".")[0] in path
    assert len({line.index(row[2]) for line, row in zip(lines, table, strict=True)}) == 1
    assert [row[3:] for row in table[:5]] == [[], ["retry"], ["serial"], ["serial"], []]


def test_where_there_is_no_project_there_are_no_routes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--folder", str(tmp_path / "nope"), "routes"]) == 2
    assert "nope is no project: it has no config/servers.json" in only_line(capsys)


def test_an_application_without_methods_has_an_empty_table(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings('[application]\nmodule = "empty_app"\n')
    (project.folder / "empty_app.py").write_text(
        "from zchat import Application\napp = Application(__file__)\n"
    )
    assert zchat(project, "routes") == 0
    assert capsys.readouterr().out == "\n"


# keys


def test_keys_are_made_for_all_and_never_overwritten(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert zchat(project, "keys") == 0
    keys = project.folder / "config" / "keys"
    names = ["chat-server-1", "connector-server-1", "gate-server-1", "operator"]
    assert sorted(path.stem for path in keys.glob("*.key")) == names
    for name in names:
        assert (keys / f"{name}.key_secret").stat().st_mode & 0o077 == 0
    assert capsys.readouterr().out.count("\n") == 8
    before = {path: path.read_bytes() for path in keys.iterdir()}
    assert zchat(project, "keys") == 2
    assert "has keys of" in only_line(capsys)
    assert {path: path.read_bytes() for path in keys.iterdir()} == before


def test_one_taken_name_makes_none(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert zchat(project, "keys", "operator") == 0
    capsys.readouterr()
    assert zchat(project, "keys") == 2
    assert only_line(capsys).startswith(f"zchat: {project.folder}/config/keys has keys of operator")
    keys = project.folder / "config" / "keys"
    assert {path.stem for path in keys.iterdir()} == {"operator"}
    assert zchat(project, "keys", "gate-server-1") == 0


@pytest.mark.parametrize("name", ["chat-server-9", "../../gate-server-1", ""])
def test_keys_are_for_listed_servers_only(
    project: Project, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert zchat(project, "keys", "operator", name) == 2
    assert "no server" in only_line(capsys)
    assert not (project.folder / "config" / "keys").exists()


# status


@pytest.mark.parametrize("as_json", [False, True])
def test_unreachable_servers_are_shown_and_exit_1(
    project: Project,
    as_json: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zchat.ops.status.TIMEOUT", 0.2)
    assert zchat(project, "status", *(["--json"] if as_json else [])) == 1
    out, err = capsys.readouterr()
    assert err == ""
    if as_json:
        answers = json.loads(out)
        assert [answer["id"] for answer in answers] == [
            "gate-server-1",
            "connector-server-1",
            "chat-server-1",
        ]
        assert {answer["reachable"] for answer in answers} == {False}
    else:
        assert out.count("unreachable: ") == 3
