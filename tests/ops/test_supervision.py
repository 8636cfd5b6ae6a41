"""The supervisord plugin, on supervisord's own options and parser, without a running one."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from supervisor.options import ServerOptions, UnhosedConfigParser
from supervisor.process import ProcessStates
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.states import SupervisorStates
from supervisor.xmlrpc import Faults, RPCError

from zchat.ops.supervision import SOCKET_PATH_BYTES, is_local, make_plugin, make_type_interface

PROJECT = Path(__file__).parents[2]

CONF = """
[supervisord]
[zchat-server:*]
command=run %(program_name)s
"""
CHAT = {"id": "chat-1", "host": "127.0.0.1", "port": 6050}
GATE = {"id": "gate-1", "host": "127.0.0.1", "port": 3014}


class Project:
    """A folder with a configuration, read as supervisord reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config").mkdir(parents=True)
        self.conf = CONF
        self.environ: dict[str, str] = {}
        self.write(gate=[GATE], chat=[CHAT], web=[])

    def write(self, environment: str = "development", **types: list[dict[str, Any]]) -> None:
        text = json.dumps({environment: types}, indent=1)
        (self.folder / "config/servers.json").write_text(text)

    def read(self) -> SimpleNamespace:
        """Programs by name, groups by name, and the warnings."""
        options = ServerOptions()
        options.here = str(self.folder)
        options.parse_warnings = []
        options.environ_expansions = {f"ENV_{k}": v for k, v in self.environ.items()}
        parser = UnhosedConfigParser()
        parser.expansions = options.environ_expansions
        parser.read_string(self.conf)
        groups = options.process_groups_from_parser(parser)
        return SimpleNamespace(
            section=options.configroot.supervisord,
            programs={g.name: g.process_configs[0] for g in groups},
            groups={g.name: g for g in groups},
            warnings=options.parse_warnings,
        )

    def complaint(self) -> str:
        with pytest.raises(ValueError, match=r"^zchat: ") as caught:
            self.read()
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "a b")  # the path of a socket may not be long


def test_one_group_a_server(project: Project) -> None:
    read = project.read()
    assert {name: program.command for name, program in read.programs.items()} == {
        "gate-1": "run gate-1",
        "chat-1": "run chat-1",
    }
    assert {name: group.zchat_type for name, group in read.groups.items()} == {
        "gate-1": "gate",
        "chat-1": "chat",
    }
    assert all(len(group.process_configs) == 1 for group in read.groups.values())
    assert read.warnings == []


def test_the_projects_own_files(project: Project) -> None:
    project.conf = (PROJECT / "supervisord.conf").read_text()
    project.write(**json.loads((PROJECT / "config/servers.json").read_text())["development"])
    programs = project.read().programs
    assert sorted(programs) == [
        "chat-server-1",
        "chat-server-2",
        "connector-server-1",
        "connector-server-2",
        "gate-server-1",
        "web-server-1",
    ]
    chat, gate = programs["chat-server-1"], programs["gate-server-1"]
    assert shlex.split(chat.command) == [
        sys.executable,
        "-m",
        "zchat.ops.cli",
        "run",
        "chat-server-1",
    ]
    assert chat.directory == str(project.folder)
    assert chat.stdout_logfile == str(project.folder / "logs/chat-server-1.log")
    assert (chat.stdout_logfile_maxbytes, chat.stdout_logfile_backups) == (20 * 2**20, 5)
    assert chat.redirect_stderr
    assert (chat.autostart, chat.startsecs, chat.startretries) == (True, 1, 10)
    assert (chat.stopsignal, chat.stopwaitsecs) == (15, 15)
    assert chat.priority < gate.priority


def test_folders_are_made_and_supervisord_logs_there(project: Project) -> None:
    section = project.read().section
    assert section.logfile == str(project.folder / "logs/supervisord.log")
    assert section.pidfile == str(project.folder / "run/supervisord.pid")
    assert (project.folder / "logs").is_dir()
    assert (project.folder / "run").is_dir()


def test_a_logfile_in_supervisord_conf_stays(project: Project) -> None:
    project.conf = CONF.replace("[supervisord]", "[supervisord]\nlogfile=/dev/null")
    assert not hasattr(project.read().section, "logfile")  # left to supervisord


def test_a_folder_that_cannot_be_made(project: Project) -> None:
    (project.folder / "run").write_text("")
    assert project.complaint() == f"zchat: cannot make {project.folder}/run: File exists"


def test_later_options_go_before_earlier_ones(project: Project) -> None:
    project.conf += "startsecs=1\npriority=1\nstartretries=1\n"
    project.conf += "[zchat-server:chat]\npriority=2\nstartretries=2\n"
    project.write(chat=[{**CHAT, "supervisor": {"startretries": 3, "autostart": False}}], web=[])
    program = project.read().programs["chat-1"]
    assert (program.startsecs, program.priority, program.startretries) == (1, 2, 3)
    assert program.autostart is False


def test_expansions(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/a b/100%/it's/python")
    project.environ = {"HOME": "/home/z"}
    project.conf = (
        "[zchat-server:*]\ncommand=%(python)s %(here)s %(program_name)s %(server_type)s 5%%\n"
        "directory=%(ENV_HOME)s/%(group_name)s\n"
    )
    program = project.read().programs["chat-1"]
    assert program.command == (f"'/a b/100%/it'\"'\"'s/python' {project.folder} chat-1 chat 5%")
    assert shlex.split(program.command)[0] == sys.executable
    assert program.directory == "/home/z/chat-1"


def test_a_server_whose_line_changes_is_another_program(project: Project) -> None:
    first, again = project.read(), project.read()
    assert first.groups == again.groups
    for change in ({"port": 6060}, {"host": "127.0.0.2"}, {"region": "eu"}):
        project.write(gate=[GATE], chat=[{**CHAT, **change}], web=[])
        changed = project.read()
        assert changed.groups["chat-1"] != first.groups["chat-1"]
        assert changed.groups["gate-1"] == first.groups["gate-1"]
    project.write(gate=[GATE], lobby=[CHAT], web=[])
    assert project.read().groups["chat-1"] != first.groups["chat-1"]


def test_the_environment_of_a_program_is_kept(project: Project) -> None:
    project.conf += 'environment=A="1,2",B="%(server_type)s"\n'
    environment = project.read().programs["chat-1"].environment
    assert (environment["A"], environment["B"]) == ("1,2", "chat")
    assert len(environment["ZCHAT_DEFINITION"]) == 12


def test_zchat_env_chooses_the_environment(project: Project) -> None:
    project.write("production", chat=[{**CHAT, "id": "prod-1"}], web=[])
    assert 'no environment "development"; there are: production' in project.complaint()
    project.environ = {"ZCHAT_ENV": "production"}
    assert list(project.read().programs) == ["prod-1"]


def test_stopwaitsecs_follows_the_drain(project: Project) -> None:
    settings = project.folder / "config/settings.toml"
    settings.write_text("[cluster]\ndrain = 29.5\n")
    assert project.read().programs["chat-1"].stopwaitsecs == 34
    project.conf += "stopwaitsecs=29\n"
    assert project.complaint() == (
        "zchat: stopwaitsecs of gate-1 is 29: "
        "it must exceed cluster.drain, 29.5, or the server is killed while it drains"
    )
    settings.write_text("[cluster]\ndrain = 28\n")
    assert project.read().programs["chat-1"].stopwaitsecs == 29
    settings.write_text("[cluster]\ndrain = many\n")
    assert "settings.toml:2: not valid TOML" in project.complaint()


def test_a_broken_servers_json(project: Project) -> None:
    (project.folder / "config/servers.json").write_text('{"development": {\n]')
    assert project.complaint().startswith(
        f"zchat: {project.folder}/config/servers.json:2: not valid JSON: "
    )


@pytest.mark.parametrize(
    ("conf", "supervisor", "expected"),
    [
        (CONF + "stopwaitsec=3\n", {}, "[zchat-server:*]: 'stopwaitsec' is not an option"),
        (CONF, {"numprocs": 2}, "`supervisor` of chat-1: 'numprocs' is not an option"),
        (CONF + "stopwaitsecs=x\n", {}, "stopwaitsecs of chat-1: 'x' is no number"),
        ("[supervisord]\n", {}, "no command for chat-1: is there a [zchat-server:*] section?"),
        (CONF + "[program:chat-1]\n", {}, "chat-1 is in servers.json and in supervisord.conf"),
    ],
)
def test_mistakes(project: Project, conf: str, supervisor: dict[str, Any], expected: str) -> None:
    project.conf = conf
    project.write(chat=[{**CHAT, "supervisor": supervisor}], web=[])
    assert project.complaint().startswith(f"zchat: {expected}")


def test_a_bad_value_is_supervisords_to_refuse_and_names_the_program(project: Project) -> None:
    project.write(chat=[{**CHAT, "supervisor": {"directory": "/100%"}}], web=[])
    with pytest.raises(ValueError, match="'program:chat-1'"):
        project.read()


def test_other_programs_are_left_alone(project: Project) -> None:
    project.conf += "[program:other]\ncommand=sleep 1\n"
    read = project.read()
    assert read.programs["other"].command == "sleep 1"
    assert read.groups["other"].zchat_type is None


def test_warnings_of_servers_json_reach_supervisords_log(project: Project) -> None:
    project.write(chat=[{**CHAT, "hosts": 1}], web=[])
    (warning,) = project.read().warnings
    assert warning.startswith("zchat: ")
    assert warning.endswith("did you mean host?")


def test_servers_of_other_machines_are_left_to_them(project: Project) -> None:
    elsewhere = {"id": "chat-2", "host": "192.0.2.1", "port": 6050}
    project.write(chat=[CHAT, elsewhere], web=[])
    read = project.read()
    assert list(read.programs) == ["chat-1"]
    assert read.warnings == []
    project.write(chat=[elsewhere], web=[])
    read = project.read()
    assert read.programs == {}
    (warning,) = read.warnings
    assert warning == (
        "zchat: no server of environment development is on this machine; "
        "hosts in servers.json: 192.0.2.1"
    )


def test_servers_that_would_refuse_to_start(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of this machine that others can reach needs keys, or a word."""
    monkeypatch.setattr("zchat.ops.supervision.is_local", lambda host: True)
    project.write(chat=[{**CHAT, "host": "192.0.2.1"}], web=[])
    assert project.complaint().startswith("zchat: tcp://192.0.2.1:6050 is reachable by other")
    keys = project.folder / "config" / "keys"
    keys.mkdir()
    (keys / "gate-1.key").touch()
    assert project.complaint().endswith("others have keys: zchat keys chat-1")
    (keys / "chat-1.key_secret").touch()
    assert list(project.read().programs) == ["chat-1"]
    (keys / "chat-1.key_secret").unlink()
    (keys / "gate-1.key").unlink()
    (project.folder / "config" / "settings.toml").write_text("[cluster]\ninsecure = true\n")
    assert list(project.read().programs) == ["chat-1"]


def test_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_local("127.0.0.1")
    assert is_local("127.1.2.3")
    assert is_local("::1")
    assert is_local("localhost")
    assert not is_local("192.0.2.1")
    assert not is_local("2001:db8::1")
    assert not is_local("a" * 64 + ".example")  # no name at all: a label has 63 letters at most

    def resolve(host: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        if host != "this-machine":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        tcp = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*tcp, ("192.0.2.1", 0)), (*tcp, ("127.0.1.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert is_local("this-machine")
    assert not is_local("nobody-knows")


def test_a_socket_path_that_is_too_long_is_refused(project: Project) -> None:
    longest = "/tmp/" + "x" * (SOCKET_PATH_BYTES - len("/tmp/"))
    project.conf += f"[unix_http_server]\nfile={longest}\n"
    assert len(project.read().programs) == 2
    # The name that supervisord binds, with the longest process id that there can be.
    with socket.socket(socket.AF_UNIX) as probe:
        probe.bind(f"{longest}.4194304")
    os.unlink(f"{longest}.4194304")
    project.conf = CONF + f"[unix_http_server]\nfile={longest}x\n"
    assert (
        f"socket has {SOCKET_PATH_BYTES + 1} bytes, {SOCKET_PATH_BYTES} is" in project.complaint()
    )


def test_bytes_of_the_socket_path_are_counted_and_not_letters(project: Project) -> None:
    project.conf += f"[unix_http_server]\nfile=%(here)s/{'ü' * 60}\n"
    assert "choose another one in supervisord.conf" in project.complaint()


def test_a_folder_with_a_percent_sign_is_refused(tmp_path: Path) -> None:
    assert "cannot work in a folder with % in it" in Project(tmp_path / "100%").complaint()


def test_supervisord_loads_neither_zmq_nor_tornado() -> None:
    code = (
        "import sys, zchat.ops.supervision;"
        "print([m for m in sys.modules if m.partition('.')[0] in ('zmq', 'tornado', 'asyncio')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


class Process:
    """As much of a supervisord process as the plugin deals with."""

    def __init__(self, name: str, state: int = ProcessStates.RUNNING) -> None:
        self.config = SimpleNamespace(name=name)
        self.state = state

    def get_state(self) -> int:
        return self.state

    def signal(self, number: int) -> None:
        self.state = -number


class Group:
    """A group of one process."""

    def __init__(self, name: str, server_type: str | None, priority: int = 1) -> None:
        self.config = SimpleNamespace(name=name, zchat_type=server_type, priority=priority)
        self.process = Process(name)
        self.processes = {name: self.process}
        self.stopped = 0

    def get_unstopped_processes(self) -> list[Process]:
        return [self.process] if self.process.state != ProcessStates.STOPPED else []

    def stop_all(self) -> None:
        self.stopped += 1


def supervisord(*groups: Group) -> Any:
    return SimpleNamespace(
        options=SimpleNamespace(mood=SupervisorStates.RUNNING),
        process_groups={group.config.name: group for group in groups},
        stop_groups=sorted(groups, key=lambda group: group.config.priority),
    )


class TestPlugin:
    def test_it_can_be_made_twice(self) -> None:
        """supervisord makes it once for each HTTP server."""
        daemon = supervisord()
        make_plugin(daemon)
        once = daemon.ordered_stop_groups_phase_1
        make_plugin(daemon)
        assert daemon.ordered_stop_groups_phase_1 is once

    def test_groups_of_one_priority_stop_together_and_the_highest_first(self) -> None:
        chat, gate, web = Group("c", "chat"), Group("g", "gate", 9), Group("w", "web", 9)
        daemon = supervisord(chat, gate, web)
        make_plugin(daemon)
        stop = daemon.ordered_stop_groups_phase_1
        stop()
        assert (gate.stopped, web.stopped, chat.stopped) == (1, 1, 0)
        gate.process.state = ProcessStates.STOPPED
        stop()
        assert chat.stopped == 0, "web has not ended"
        web.process.state = ProcessStates.STOPPED
        stop()
        assert chat.stopped == 1
        chat.process.state = ProcessStates.STOPPED
        stop()
        assert daemon.stop_groups == []
        stop()


def test_a_forked_server_can_be_stopped_from_its_first_moment() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        for _ in range(20):
            pid = ServerOptions().fork()
            if pid == 0:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(5)  # the end of a child that SIGTERM did not end
                while True:
                    signal.pause()
            os.kill(pid, signal.SIGTERM)
            _, status = os.waitpid(pid, 0)
            assert os.WIFSIGNALED(status)
            assert os.WTERMSIG(status) == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM], "the parent's handler and mask are as they were"


class TestTypeInterface:
    """Calls for all servers of a type."""

    def test_signals_reach_all_servers_of_the_type(self) -> None:
        one, two, other = Group("c1", "chat"), Group("c2", "chat"), Group("g", "gate")
        rpc = make_type_interface(supervisord(one, two, other))
        assert [result["name"] for result in rpc.signalProcessGroup("chat", "HUP")] == ["c1", "c2"]
        assert (one.process.state, two.process.state) == (-1, -1)
        assert other.process.state == ProcessStates.RUNNING

    def test_a_group_of_that_name_goes_first(self) -> None:
        one, two = Group("chat", "gate"), Group("c2", "chat")
        rpc = make_type_interface(supervisord(one, two))
        assert [result["name"] for result in rpc.signalProcessGroup("chat", "HUP")] == ["chat"]

    def test_neither_group_nor_type(self) -> None:
        rpc = make_type_interface(supervisord(Group("c1", "chat"), Group("other", None)))
        for call in (rpc.startProcessGroup, rpc.stopProcessGroup):
            with pytest.raises(RPCError) as caught:
                call("nobody")
            assert caught.value.code == Faults.BAD_NAME

    def test_nothing_during_shutdown(self) -> None:
        daemon = supervisord(Group("c1", "chat"))
        daemon.options.mood = SupervisorStates.SHUTDOWN
        with pytest.raises(RPCError) as caught:
            make_type_interface(daemon).stopProcessGroup("chat")
        assert caught.value.code == Faults.SHUTDOWN_STATE

    def test_a_reload_with_a_broken_configuration_is_refused(self) -> None:
        def refuse(do_usage: bool) -> None:
            raise ValueError("zchat: broken")

        daemon = supervisord()
        daemon.options.process_config = refuse
        with pytest.raises(RPCError) as caught:
            make_type_interface(daemon).restart()
        assert caught.value.code == Faults.CANT_REREAD
        assert "zchat: broken" in caught.value.text
        assert daemon.options.mood == SupervisorStates.RUNNING

    def test_the_rest_is_supervisords_own(self) -> None:
        assert isinstance(make_type_interface(supervisord()), SupervisorNamespaceRPCInterface)
