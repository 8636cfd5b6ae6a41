"""supervisord plugin: config/servers.json says which processes supervisord runs.

supervisord imports the modules that its [rpcinterface:x] sections name each time it reads its
configuration, before it looks at the [program:x] sections: at start, at `reread`, `update` and
`reload`. Importing this module wraps the method that does the latter: now one program per server
that belongs on this machine is added first, as if it stood in supervisord.conf, with options from

    [zchat-server:*]          options for all servers, with the words of a [program:x] section
    [zchat-server:TYPE]       options for the servers of one type
    "supervisor": {...}       in servers.json: options for that server alone

Later ones go before earlier ones. Besides supervisord's own %(...)s there are %(server_type)s and
%(python)s, the interpreter that runs supervisord, ready for use in a command.

Each server is a group of its own: supervisord restarts a whole group when one of its members comes
or goes. `supervisorctl restart connector:*` still works, see `TypeInterface`.

supervisord reports what is wrong with the configuration when it gets a ValueError, and then keeps
what it had; so that is what everything here raises.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import shlex
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

from supervisor.options import ServerOptions
from supervisor.rpcinterface import (
    SupervisorNamespaceRPCInterface,
    isNotRunning,
    isRunning,
    isSignallable,
    make_allfunc,
)

from zchat.config import servers as servers_file
from zchat.config import settings as settings_file
from zchat.config.exposure import require_startable
from zchat.config.servers import Server, Topology
from zchat.errors import ConfigError

TEMPLATE = "zchat-server:"

STOP_MARGIN = 5
"""Seconds beyond its drain that a server has to end before it is killed."""

HANDLED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2})
"""The signals that supervisord handles and that may be sent to a server."""

_STREAM_OPTIONS = "logfile logfile_maxbytes logfile_backups capture_maxbytes events_enabled syslog"
PROGRAM_OPTIONS = frozenset(
    {"command", "directory", "umask", "user", "priority", "environment", "serverurl"}
    | {"autostart", "autorestart", "startsecs", "startretries", "exitcodes"}
    | {"stopsignal", "stopwaitsecs", "stopasgroup", "killasgroup", "redirect_stderr"}
    | {f"stdout_{option}" for option in _STREAM_OPTIONS.split()}
    | {f"stderr_{option}" for option in _STREAM_OPTIONS.split()}
)
"""What a [program:x] section may say, without that which would make several processes of one."""

# supervisord binds `file.PID` first and renames it: a pid has up to seven digits. The last byte of
# the system's field ends the string.
SOCKET_PATH_BYTES = (108 if sys.platform == "linux" else 104) - 1 - len(".1234567")


def add_programs(options: Any, parser: Any) -> dict[str, str]:
    """Add a [program:ID] section for each server that this machine runs.

    Args:
        options: supervisord's ServerOptions; `here` is the project folder.
        parser: the configuration parser; changed only when nothing is wrong.

    Returns:
        server id to server type.

    Raises:
        ValueError: something is wrong; the text is one line.
    """
    _look_at_paths(options, parser)
    _make_folders(options, parser)
    here = Path(options.here)
    try:
        environment = options.environ_expansions.get("ENV_ZCHAT_ENV", "")
        topology = servers_file.load(
            here / "config" / "servers.json",
            servers_file.environment_name({"ZCHAT_ENV": environment}),
        )
        settings = settings_file.load(here / "config" / "settings.toml")
        options.parse_warnings += [f"zchat: {warning}" for warning in topology.warnings]
        local = _servers_of_this_machine(options, topology)
        for server in local:
            require_startable(server, settings, here)
    except ConfigError as error:
        raise ValueError(f"zchat: {error}") from error
    drain = settings.cluster.drain
    sections = {f"program:{server.id}": _program(parser, server, drain) for server in local}
    for section, values in sections.items():
        parser.add_section(section)
        for name, value in values.items():
            parser.set(section, name, value)
    return {server.id: server.type for server in local}


def _program(parser: Any, server: Server, drain: float) -> dict[str, str]:
    """The options of one server's [program:x] section, supervisord's %(...)s still in them."""
    if parser.has_section(f"program:{server.id}"):
        raise ValueError(f"zchat: {server.id} is in servers.json and in supervisord.conf")
    values: dict[str, str] = {}
    for section in (TEMPLATE + "*", TEMPLATE + server.type):
        if parser.has_section(section):
            # RawConfigParser.items leaves %(...)s alone; supervisord expands them afterwards.
            values |= _known_options(f"[{section}]", dict(parser.items(section)))
    values |= _known_options(f"`supervisor` of {server.id}", server.supervisor)
    if "command" not in values:
        raise ValueError(f"zchat: no command for {server.id}: is there a [{TEMPLATE}*] section?")
    python = shlex.quote(sys.executable).replace("%", "%%")
    for name, value in values.items():
        values[name] = value.replace("%(python)s", python).replace("%(server_type)s", server.type)
    values.setdefault("stopwaitsecs", str(int(drain) + STOP_MARGIN))
    if _seconds(server, values["stopwaitsecs"]) <= drain:
        raise ValueError(
            f"zchat: stopwaitsecs of {server.id} is {values['stopwaitsecs']}: "
            f"it must exceed cluster.drain, {drain:g}, or the server is killed while it drains"
        )
    # `update` restarts what compares unequal; so a server whose line has changed does.
    definition = f'ZCHAT_DEFINITION="{_fingerprint(server)}"'
    values["environment"] = ",".join(filter(None, [values.get("environment"), definition]))
    return values


def _known_options(where: str, values: Mapping[str, str]) -> Mapping[str, str]:
    # supervisord does not look at options it does not know: a misspelt one would do nothing.
    for name in values:
        if name not in PROGRAM_OPTIONS:
            raise ValueError(f"zchat: {where}: {name!r} is not an option that a server can have")
    return values


def _seconds(server: Server, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"zchat: stopwaitsecs of {server.id}: {value!r} is no number") from None


def _fingerprint(server: Server) -> str:
    return hashlib.sha256(repr(astuple(server)).encode()).hexdigest()[:12]


def _look_at_paths(options: Any, parser: Any) -> None:
    """Refuse what supervisord would fail at later, and less clearly."""
    if "%" in options.here:
        raise ValueError(f"zchat: supervisord cannot work in a folder with % in it: {options.here}")
    for section in parser.sections():
        if not section.startswith("unix_http_server"):
            continue
        path = parser.saneget(section, "file", "", expansions={"here": options.here})
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
            raise ValueError(
                f"zchat: the path of supervisord's socket has {len(os.fsencode(path))} bytes, "
                f"{SOCKET_PATH_BYTES} is the most: {path}; choose another one in supervisord.conf: "
                "[unix_http_server] file and [supervisorctl] serverurl"
            )


def _make_folders(options: Any, parser: Any) -> None:
    """Make logs/ and run/, which a fresh copy of the project does not have.

    supervisord refuses a logfile or pidfile of its own in a folder that is not there, and looks
    before it comes here; so where supervisord.conf says nothing, they are put there now.
    """
    files = {"logfile": "logs/supervisord.log", "pidfile": "run/supervisord.pid"}
    for name, default in files.items():
        path = Path(options.here, default)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise ValueError(f"zchat: cannot make {path.parent}: {error.strerror}") from error
        if not parser.has_option("supervisord", name):
            setattr(options.configroot.supervisord, name, str(path))


def _servers_of_this_machine(options: Any, topology: Topology) -> list[Server]:
    is_here: dict[str, bool] = {}
    for server in topology.servers:
        if server.host not in is_here:
            is_here[server.host] = is_local(server.host)
    local = [server for server in topology.servers if is_here[server.host]]
    if not local:
        hosts = ", ".join(is_here) or "none"
        options.parse_warnings.append(
            f"zchat: no server of environment {topology.environment} is on this machine; "
            f"hosts in servers.json: {hosts}"
        )
    return local


def is_local(host: str) -> bool:
    """Whether a host name or address is of this machine: loopback, or one that can be bound.

    A name that cannot be resolved is not. Blocks while the name is looked up.
    """
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(_is_local_address(family, address) for family, _, _, _, address in found)


def _is_local_address(family: int, address: tuple[Any, ...]) -> bool:
    if ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
        return True
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


_process_groups_from_parser = ServerOptions.process_groups_from_parser


def _process_groups(options: Any, parser: Any) -> list[Any]:
    types = add_programs(options, parser)
    groups: list[Any] = _process_groups_from_parser(options, parser)
    for group in groups:
        # Kept at the group and not in a table of ours, which a refused configuration would spoil.
        group.zchat_type = types.get(group.name)
    return groups


def _fork(options: Any) -> int:
    """Fork a process that will be a server, so that it can be stopped from its first moment.

    Until it is the server's program the child has supervisord's own signal handlers. A SIGTERM
    would be taken note of and forgotten, and the server killed when stopwaitsecs are over.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            for number in HANDLED:
                signal.signal(number, signal.SIG_DFL)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


ServerOptions.process_groups_from_parser = _process_groups
# Servers only: supervisord does not daemonize itself by this way.
ServerOptions.fork = _fork


class Plugin:
    """What supervisord gets for [rpcinterface:zchat]: an interface without calls."""


def make_plugin(supervisord: Any) -> Plugin:
    """The factory of [rpcinterface:zchat].

    supervisord calls it when it starts, after each `reload`, and once for each of its HTTP servers.
    """
    if "ordered_stop_groups_phase_1" not in vars(supervisord):
        supervisord.ordered_stop_groups_phase_1 = partial(_stop_by_priority, supervisord)
    return Plugin()


def _stop_by_priority(supervisord: Any) -> None:
    """Stop all groups of the highest priority together, then those of the next.

    supervisord itself stops one group at a time: ten servers that drain two seconds each would take
    twenty.
    """
    groups = supervisord.stop_groups
    while groups and not groups[-1].get_unstopped_processes():
        groups.pop()
    for group in groups:
        if group.config.priority == groups[-1].config.priority:
            group.stop_all()


class TypeInterface(SupervisorNamespaceRPCInterface):  # type: ignore[misc]  # supervisor is untyped
    """supervisord's own calls, which here know server types beside groups.

    `supervisorctl start|stop|restart|signal connector:*` is for all servers of type connector; a
    group that has that very name goes first.
    """

    def startProcessGroup(self, name: str, wait: bool = True) -> Any:  # noqa: N802
        """Start the servers of a group or type."""
        members = self._members(name)
        if not members:
            return super().startProcessGroup(name, wait)
        return self._deferred(make_allfunc(members, isNotRunning, self.startProcess, wait=wait))

    def stopProcessGroup(self, name: str, wait: bool = True) -> Any:  # noqa: N802
        """Stop the servers of a group or type."""
        members = self._members(name)
        if not members:
            return super().stopProcessGroup(name, wait)
        return self._deferred(make_allfunc(members, isRunning, self.stopProcess, wait=wait))

    def signalProcessGroup(self, name: str, signal: str) -> Any:  # noqa: N802
        """Send a signal to the servers of a group or type."""
        members = self._members(name)
        if not members:
            return super().signalProcessGroup(name, signal)
        return make_allfunc(members, isSignallable, self.signalProcess, signal=signal)()

    def restart(self) -> Any:
        """Stop everything and begin anew (`supervisorctl reload`)."""
        # The configuration is read when everything is stopped: too late to find that it is broken.
        self.reloadConfig()
        return super().restart()

    def _members(self, server_type: str) -> list[tuple[Any, Any]]:
        """The (group, process) pairs of a server type; none when a group has that name."""
        self._update(server_type)  # refuses calls during shutdown
        groups = self.supervisord.process_groups
        if server_type in groups:
            return []
        return [
            (group, process)
            for _, group in sorted(groups.items())
            if group.config.zchat_type == server_type
            for process in group.processes.values()
        ]

    def _deferred(self, call: Any) -> Any:
        """A call that supervisord asks again, every `delay` seconds, until all are done."""
        call.delay = 0.05
        call.rpcinterface = self
        return call


def make_type_interface(supervisord: Any) -> TypeInterface:
    """The factory of [rpcinterface:supervisor]."""
    return TypeInterface(supervisord)
