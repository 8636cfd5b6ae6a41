"""The table of `zchat routes`: what clients and servers may call, where it is, and its filters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from zchat.config.servers import ServersFile
from zchat.config.settings import Settings
from zchat.config.topology import Server
from zchat.framework.app.application import Application
from zchat.framework.handlers.dispatcher import is_retried
from zchat.framework.handlers.loader import Found


class _Listed:
    """A server that is only looked at: what `configure` may ask of it."""

    def __init__(self, server: Server, settings: Settings, servers: ServersFile) -> None:
        self.server = server
        self.settings = settings
        self.servers = servers

    def _not_at_work(self) -> NoReturn:
        raise RuntimeError("the server is not at work while it is configured")

    channels = sessions = node = loads = lag = property(_not_at_work)


def table(app: Application, servers: ServersFile, settings: Settings) -> str:
    """One line a method: what it is, its route, where it is written, its filters."""
    rows = []
    configured: dict[str, Application] = {}
    for found in app.handlers():
        server_type = found.route.server_type
        if server_type not in configured:
            configured[server_type] = _configured(app, server_type, servers, settings)
        around = " ".join(_around(configured[server_type], found))
        rows.append(("handler", str(found.route), _place(found), around))
    rows += [("remote", str(found.route), _place(found), "") for found in app.remotes()]
    return _aligned(rows)


def _configured(
    app: Application, server_type: str, servers: ServersFile, settings: Settings
) -> Application:
    """As on the first server of a type; a type without servers has no configuration."""
    listed = servers.topology.of_type(server_type)
    return app.configured(_Listed(listed[0], settings, servers)) if listed else app


def _around(app: Application, found: Found) -> list[str]:
    marks = ["retry"] if is_retried(getattr(found.cls, found.method)) else []
    return marks + [each.name for each in app.filters_of(found)]


def _place(found: Found) -> str:
    path = found.path
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{found.line}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
