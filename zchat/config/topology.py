"""The servers of a cluster, as values: one server, all of them, and what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from zchat.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Server:
    """One server of the cluster: one operating system process."""

    id: str
    type: str
    host: str
    """Where the other servers reach it: a name or an address (IPv6 without brackets)."""

    port: int
    """The port of its ROUTER socket."""

    pub_port: int
    """The port of its XPUB socket."""

    client_port: int | None = None
    """The port where clients reach it; None for backends."""

    client_host: str | None = None
    """The host that clients are sent to; None: the one by which they came."""

    frontend: bool = False
    max_connections: int | None = None
    """Most clients at one time; None: as settings.toml says."""

    supervisor: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Options of supervisord's [program:x] section for this server alone."""

    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Keys that zchat does not know: the application's."""

    implicit: bool = field(default=False, compare=False)
    """Whether it is not in servers.json: the page of a file that says nothing of one."""

    @property
    def takes_clients(self) -> bool:
        """Whether clients of the wire connect here; a web server speaks HTTP only."""
        return self.frontend and self.type != "web"

    @property
    def router_address(self) -> str:
        """Where its ROUTER is, as ZeroMQ writes it."""
        return _tcp(self.host, self.port)

    @property
    def pub_address(self) -> str:
        """Where its XPUB is, as ZeroMQ writes it."""
        return _tcp(self.host, self.pub_port)

    def ports(self) -> Iterator[tuple[str, int]]:
        """Each port that it listens on, with what it is for."""
        if self.client_port is not None:
            yield "clients", self.client_port
        yield "ROUTER", self.port
        yield "XPUB", self.pub_port


@dataclass(frozen=True, slots=True)
class Topology:
    """The servers of one environment, in the order of the file."""

    environment: str
    servers: tuple[Server, ...]
    warnings: tuple[str, ...] = field(default=(), compare=False)
    """What is probably a mistake in the file, one line each."""

    _by_id: dict[str, Server] = field(default_factory=dict, init=False, repr=False, compare=False)

    _by_type: dict[str, tuple[Server, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        self._by_id.update((server.id, server) for server in self.servers)

    def get(self, server_id: str) -> Server:
        """The server of this id; it is asked for with every call.

        Raises:
            ConfigError: there is none.
        """
        server = self._by_id.get(server_id)
        if server is not None:
            return server
        known = ", ".join(server.id for server in self.servers) or "none"
        raise ConfigError(
            f"no server {json.dumps(server_id)} in environment {self.environment}; known: {known}"
        )

    def __contains__(self, server_id: object) -> bool:
        return server_id in self._by_id

    def of_type(self, server_type: str) -> tuple[Server, ...]:
        """All servers of a type."""
        known = self._by_type.get(server_type)  # it is asked for with every request
        if known is None:
            known = tuple(server for server in self.servers if server.type == server_type)
            if known:  # types that there are not are as many as clients think up
                self._by_type[server_type] = known
        return known

    @property
    def types(self) -> tuple[str, ...]:
        """The server types that have servers, in the order of the file."""
        return tuple(dict.fromkeys(server.type for server in self.servers))

    @property
    def frontends(self) -> tuple[Server, ...]:
        """The servers that clients connect to."""
        return tuple(server for server in self.servers if server.frontend)


@dataclass(frozen=True, slots=True)
class Changes:
    """How one topology differs from an earlier one; false when it does not."""

    added: tuple[Server, ...] = ()
    removed: tuple[Server, ...] = ()
    changed: tuple[Server, ...] = ()
    """Servers whose id was there before with another definition; these are the new ones."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def diff(old: Topology, new: Topology) -> Changes:
    """What must be done to get from one topology to another."""
    before = {server.id: server for server in old.servers}
    after = {server.id: server for server in new.servers}
    return Changes(
        added=tuple(server for server in new.servers if server.id not in before),
        removed=tuple(server for server in old.servers if server.id not in after),
        changed=tuple(
            server for server in new.servers if server.id in before and before[server.id] != server
        ),
    )


def _tcp(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
