"""config/servers.json: which servers there are, of which type, and where they listen.

The file has Pomelo's format: environment -> server type -> list of servers.

    {"development": {"chat": [{"id": "chat-server-1", "host": "127.0.0.1", "port": 6050}]}}

Each server has up to three ports. The ones that are not written follow from those that are:

    written                       clients      ROUTER          XPUB
    backend, port                 -            port            port + 10000
    frontend, port                port         port + 20000    port + 10000
    frontend, port + clientPort   clientPort   port            port + 10000

`pubPort` overrides the last column. Types gate, connector and web are frontends, as is every server
with `"frontend": true` or a `clientPort`. Without a `web` list the page is at 127.0.0.1:3001; an
empty list means that there is none.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zchat.config.source import Key, Source, near_miss, read_json, show
from zchat.config.topology import Changes, Server, Topology, diff
from zchat.errors import ConfigError

__all__ = [
    "Changes",
    "Server",
    "ServersFile",
    "Topology",
    "diff",
    "environment_name",
    "load",
]

DEFAULT_ENVIRONMENT = "development"
FRONTEND_TYPES = frozenset({"gate", "connector", "web"})
PUB_PORT_DISTANCE = 10_000
ROUTER_PORT_DISTANCE = 20_000
HIGHEST_PORT = 65_535

_PORTS = {"port", "clientPort", "pubPort"}
_KNOWN = _PORTS | {"id", "host", "clientHost", "frontend", "max-connections", "supervisor"}
# Pomelo's other keys: they mean something there and nothing here.
_WITHOUT_EFFECT = frozenset({"args", "auto-restart", "restart-force", "cpu", "wsPort"})
# supervisord, supervisorctl and ZeroMQ identities all take these characters as they are.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# No dot: a type is the first part of a route.
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")

log = logging.getLogger("zchat.admin")


def environment_name(environ: Mapping[str, str] = os.environ) -> str:
    """The environment to run: what ZCHAT_ENV says, else development."""
    return environ.get("ZCHAT_ENV") or DEFAULT_ENVIRONMENT


def load(path: str | Path, environment: str) -> Topology:
    """Read the servers of one environment. Other environments are not looked at.

    Raises:
        ConfigError: the file is missing or wrong; the text names file, line and key.
    """
    tree, source = read_json(path)
    return _Reader(source).topology(tree, environment)


class ServersFile:
    """servers.json as it is now: notices that the file has changed.

    The caller calls `poll` as often as changes should be noticed. A file that turns out broken is
    reported in the log, once, and the topology that was good stays.

    Raises:
        ConfigError: the file is wrong already at the beginning.
    """

    def __init__(self, path: str | Path, environment: str) -> None:
        self.path = Path(path)
        self.environment = environment
        self._stamp = self._read_stamp()
        self.topology = load(self.path, environment)
        self._warn(())

    def poll(self) -> Changes | None:
        """Look at the file; None when no server was added, removed or changed."""
        # The stamp is taken before reading: a write in between is seen at the next poll.
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            topology = load(self.path, self.environment)
        except ConfigError as error:
            log.error("%s; the servers known so far stay", error)
            return None
        old, self.topology = self.topology, topology
        self._warn(old.warnings)
        return diff(old, topology) or None

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _warn(self, already: tuple[str, ...]) -> None:
        for warning in self.topology.warnings:
            if warning not in already:
                log.warning("%s", warning)


class _Reader:
    """Turns the parsed file into servers; every complaint has its place in the file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.warnings: list[str] = []

    def topology(self, tree: object, environment: str) -> Topology:
        environments = self._object((), tree, "environments")
        if environment not in environments:
            known = ", ".join(environments) or "none"
            raise self.source.error((), f"no environment {show(environment)}; there are: {known}")
        types = self._object((environment,), environments[environment], "server types")
        placed: list[tuple[Key, Server]] = []
        if "web" not in types:
            placed.append(((), _implicit_web()))
        for server_type, entries in types.items():
            placed += self._servers((environment, server_type), server_type, entries)
        self._refuse_clashes(placed)
        # The page that nobody asked for is listed last, but complained about first.
        servers = [server for key, server in placed if key] + [s for key, s in placed if not key]
        return Topology(environment, tuple(servers), tuple(self.warnings))

    def _servers(self, key: Key, server_type: str, entries: object) -> list[tuple[Key, Server]]:
        if not _TYPE.fullmatch(server_type):
            raise self.source.error(key, "a server type is letters, digits, _ and -")
        if not isinstance(entries, list):
            raise self.source.error(key, f"expected a list of servers, found {show(entries)}")
        return [
            ((*key, index), self._server((*key, index), server_type, entry))
            for index, entry in enumerate(entries)
        ]

    def _server(self, key: Key, server_type: str, value: object) -> Server:
        entry = self._object(key, value, "a server")
        self._look_at_names(key, entry)
        frontend = self._is_frontend(key, server_type, entry)
        router, client, pub = self._ports(key, frontend, entry)
        return Server(
            id=self._id(key, entry),
            type=server_type,
            host=self._host((*key, "host"), self._required(key, entry, "host")),
            port=router,
            pub_port=pub,
            client_port=client,
            client_host=(
                self._host((*key, "clientHost"), entry["clientHost"])
                if "clientHost" in entry
                else None
            ),
            frontend=frontend,
            max_connections=self._max_connections(key, entry),
            supervisor=self._supervisor((*key, "supervisor"), entry.get("supervisor", {})),
            extra={name: entry[name] for name in entry if name not in _KNOWN},
        )

    def _look_at_names(self, key: Key, entry: dict[str, Any]) -> None:
        if "clusterCount" in entry:
            raise self.source.error(
                (*key, "clusterCount"), "not supported: write one line a server"
            )
        for name in entry:
            if name in _KNOWN:
                continue
            if name in _WITHOUT_EFFECT:
                self._warn((*key, name), "has no effect here; see `supervisor`")
            elif meant := near_miss(name, _KNOWN):
                self._warn((*key, name), f"kept for the application; did you mean {meant}?")

    def _is_frontend(self, key: Key, server_type: str, entry: dict[str, Any]) -> bool:
        if "frontend" not in entry:
            return server_type in FRONTEND_TYPES or "clientPort" in entry
        match entry["frontend"]:
            case True | "true":  # Pomelo's own files write the string
                return True
            case False | "false":
                if "clientPort" in entry:
                    raise self.source.error((*key, "clientPort"), "only a frontend has one")
                return False
            case other:
                raise self._expected((*key, "frontend"), "true or false", other)

    def _ports(
        self, key: Key, frontend: bool, entry: dict[str, Any]
    ) -> tuple[int, int | None, int]:
        """The ports of ROUTER, clients and XPUB."""
        written = "clientPort" if "clientPort" in entry and "port" not in entry else "port"
        port = self._port(key, entry, written)
        if "pubPort" in entry:
            pub = self._port(key, entry, "pubPort")
        else:
            pub = self._derived((*key, written), port, PUB_PORT_DISTANCE, "pubPort")
        if not frontend:
            return port, None, pub
        if "clientPort" in entry and "port" in entry:
            return port, self._port(key, entry, "clientPort"), pub
        router = self._derived((*key, written), port, ROUTER_PORT_DISTANCE, "port and clientPort")
        return router, port, pub

    def _port(self, key: Key, entry: dict[str, Any], name: str) -> int:
        port = self._required(key, entry, name)
        if type(port) is not int or not 1 <= port <= HIGHEST_PORT:
            raise self._expected((*key, name), f"a port from 1 to {HIGHEST_PORT}", port)
        return port

    def _derived(self, key: Key, port: int, distance: int, instead: str) -> int:
        if port + distance > HIGHEST_PORT:
            raise self.source.error(
                key, f"{port} + {distance} is past {HIGHEST_PORT}: write {instead} explicitly"
            )
        return port + distance

    def _id(self, key: Key, entry: dict[str, Any]) -> str:
        server_id = self._required(key, entry, "id")
        if not isinstance(server_id, str) or not _ID.fullmatch(server_id):
            raise self._expected(
                (*key, "id"), "at most 100 letters, digits, '.', '_' and '-'", server_id
            )
        if server_id == "all":
            raise self.source.error((*key, "id"), '"all" means every server to supervisorctl')
        return server_id

    def _host(self, key: Key, host: object) -> str:
        if isinstance(host, str) and _is_host(host):
            return host
        raise self._expected(key, "a host name, IPv4 or IPv6 address", host)

    def _max_connections(self, key: Key, entry: dict[str, Any]) -> int | None:
        if "max-connections" not in entry:
            return None
        limit = entry["max-connections"]
        if type(limit) is not int or limit < 1:
            raise self._expected((*key, "max-connections"), "a number from 1", limit)
        return limit

    def _supervisor(self, key: Key, value: object) -> dict[str, str]:
        options = self._object(key, value, "options of a [program] section")
        for name, option in options.items():
            if not isinstance(option, str | int | float):
                raise self._expected((*key, name), "a string, number, true or false", option)
        return {
            name: str(option).lower() if isinstance(option, bool) else str(option)
            for name, option in options.items()
        }

    def _refuse_clashes(self, placed: list[tuple[Key, Server]]) -> None:
        ids: set[str] = set()
        owners: dict[tuple[str, int], str] = {}
        for key, server in placed:
            if server.id in ids:
                raise self.source.error((*key, "id"), f"{show(server.id)} is given twice")
            ids.add(server.id)
            for use, port in server.ports():
                owner = owners.setdefault((_same_host(server.host), port), f"{server.id} ({use})")
                if owner != f"{server.id} ({use})":
                    raise self.source.error(
                        key,
                        f"{server.id} ({use}) and {owner} both need port {port} of {server.host}",
                    )

    def _object(self, key: Key, value: object, what: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._expected(key, f"an object: {what}", value)
        return value

    def _required(self, key: Key, entry: dict[str, Any], name: str) -> Any:
        if name not in entry:
            raise self.source.error(key, f"{name} is missing")
        return entry[name]

    def _expected(self, key: Key, expected: str, found: object) -> ConfigError:
        return self.source.error(key, f"expected {expected}, found {show(found)}")

    def _warn(self, key: Key, problem: str) -> None:
        self.warnings.append(f"{self.source.where(key)}: {problem}")


def _implicit_web() -> Server:
    return Server(
        id="web-server-1",
        type="web",
        host="127.0.0.1",
        port=3001 + ROUTER_PORT_DISTANCE,
        pub_port=3001 + PUB_PORT_DISTANCE,
        client_port=3001,
        frontend=True,
        implicit=True,
    )


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        last_label = host.rstrip(".").rpartition(".")[2]
        # A name whose last label is a number is an IPv4 address gone wrong.
        return bool(_HOST_NAME.fullmatch(host)) and not last_label.isdigit() and len(host) <= 253
    return True


def _same_host(host: str) -> str:
    """One spelling for the hosts that are one for certain."""
    try:
        return ipaddress.ip_address(host).compressed
    except ValueError:
        name = host.lower().rstrip(".")
        return "127.0.0.1" if name == "localhost" else name
