"""servers.json and keys, followed."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.logs import ExpectedLogs
from zchat.config.servers import ServersFile
from zchat.config.topology import Topology
from zchat.errors import ConfigError
from zchat.framework.peers.listing import Listing


class Project:
    """servers.json that changes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "servers.json"
        self.keys = folder / "keys"
        self.lists = 0
        self.list("chat-1")
        self.followed: list[list[str]] = []
        self.error = ""
        self.servers = ServersFile(self.file, "development")
        self.listing = Listing(self.servers, self.keys, self.follow)

    def list(self, *ids: str) -> None:
        lines: list[dict[str, Any]] = [
            {"id": name, "host": "127.0.0.1", "port": 6000 + number}
            for number, name in enumerate(ids)
        ]
        self.file.write_text(json.dumps({"development": {"chat": lines}}))
        self.lists += 1
        os.utime(self.file, (self.lists, self.lists))

    def follow(self, topology: Topology) -> None:
        if self.error:
            raise ConfigError(self.error)
        self.followed.append([server.id for server in topology.of_type("chat")])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_without_a_change_there_is_nothing_to_follow(project: Project) -> None:
    assert project.listing.poll() is None
    assert project.followed == []


def test_changes_are_followed_said_and_returned(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "zchat.admin")
    project.list("chat-1", "chat-2")
    changes = project.listing.poll()
    assert changes is not None
    assert [server.id for server in changes.added] == ["chat-2"]
    assert project.followed == [["chat-1", "chat-2"]]
    assert "servers.json: added chat-2, removed none, changed none" in caplog.text


def test_new_keys_are_followed_too(project: Project) -> None:
    project.keys.mkdir()
    assert project.listing.poll() is None
    assert project.followed == [["chat-1"]]


def test_what_cannot_be_followed_is_said_once_and_tried_again(
    project: Project, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.admin", "no key; servers.json cannot be followed until it is mended")
    project.error = "no key"
    project.list("chat-1", "chat-2")
    project.listing.poll()
    project.listing.poll()
    assert len(expected_logs.records) == 1
    project.error = ""
    project.listing.poll()
    project.listing.poll()
    assert project.followed == [["chat-1", "chat-2"]]
