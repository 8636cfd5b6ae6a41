"""A small project folder on ports of its own, for the tests of what operators run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.ports import free_ports

SETTINGS = '[client]\nlisten = "127.0.0.1"\n'


class Project:
    """A folder with servers.json, settings.toml and a page; `ports` are by id and key."""

    def __init__(self, folder: Path, *types: str) -> None:
        self.folder = folder
        self.servers: dict[str, list[dict[str, Any]]] = {"web": []}
        for server_type in types:
            line: dict[str, Any] = {"id": f"{server_type}-server-1", "host": "127.0.0.1"}
            line["port"], line["pubPort"], client = free_ports(3)
            if server_type in ("gate", "connector", "web"):
                line["clientPort"] = client
            self.servers[server_type] = [line]
        (folder / "config").mkdir()
        (folder / "webroot").mkdir()
        self.write()
        self.settings(SETTINGS)

    def write(self) -> None:
        self.servers_json.write_text(json.dumps({"development": self.servers}))

    def settings(self, text: str) -> None:
        (self.folder / "config" / "settings.toml").write_text(text)

    @property
    def servers_json(self) -> Path:
        return self.folder / "config" / "servers.json"

    def line(self, server_type: str) -> dict[str, Any]:
        return self.servers[server_type][0]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`zchat` with these arguments, as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "zchat.ops.cli", "--folder", str(self.folder), *arguments],
            env={name: value for name, value in os.environ.items() if name != "ZCHAT_ENV"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process that ends by itself."""
    try:
        out, err = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err


def until_line(process: subprocess.Popen[str], text: str) -> list[str]:
    """The lines of its log up to the first that has `text`."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"never said {text!r}: {''.join(lines)}")
