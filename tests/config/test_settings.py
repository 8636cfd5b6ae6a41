"""settings.toml, the defaults, and that the two say the same."""

from __future__ import annotations

import ast
import dataclasses
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from zchat.config import settings
from zchat.config.settings import Settings, load
from zchat.errors import ConfigError

FILE = Path(__file__).parents[2] / "config/settings.toml"


def parse(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_a_missing_or_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml") == Settings() == parse(tmp_path, "")


def test_the_defaults_that_the_documentation_names() -> None:
    s = Settings()
    assert (s.client.heartbeat, s.client.handshake_timeout) == (30, 10)
    assert (s.cluster.request_deadline, s.cluster.drain) == (5, 10)
    assert (s.cluster.liveness_interval, s.cluster.liveness_count) == (1, 3)
    assert (s.rooms.beat, s.rooms.grace) == (1, 5)
    assert (s.rooms.history, s.rooms.history_age) == (1000, 24 * 3600)
    assert (s.rooms.repeat_window, s.rooms.repeat_age) == (1000, 300)
    assert (s.limits.message_bytes, s.limits.requests_in_flight) == (65536, 64)
    assert (s.limits.outbox_bytes, s.limits.peer_queue_bytes) == (2**20, 16 * 2**20)
    assert s.limits.peer_requests == 4096
    assert (s.limits.messages_per_second, s.limits.messages_burst) == (100, 200)
    assert (s.limits.connections, s.client.listen, s.client.allowed_origins) == (0, "", ("*",))
    assert (s.cluster.insecure, s.journal.sync, s.logs.level) == (False, "normal", "info")


def test_the_projects_file_changes_nothing() -> None:
    assert load(FILE) == Settings()


def test_the_projects_file_shows_every_default(tmp_path: Path) -> None:
    lines = FILE.read_text().splitlines()
    shown = [line[1:] if line.startswith("#") and line[1] != " " else line for line in lines]
    assert parse(tmp_path, "\n".join(shown)) == Settings()
    keys = [line.partition(" = ")[0] for line in shown if " = " in line and line[0] != "#"]
    assert keys == [key.name for section in _sections() for key in dataclasses.fields(section)]


def test_the_projects_file_explains_each_key_as_the_code_does() -> None:
    tree = ast.parse(Path(settings.__file__).read_text())
    written = FILE.read_text()
    for section in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for name, below in zip(section.body, section.body[1:], strict=False):
            if section.name in ("_Rule", "Settings") or not isinstance(name, ast.AnnAssign):
                continue
            assert isinstance(name.target, ast.Name)
            assert isinstance(below, ast.Expr), f"{section.name}.{name.target.id} has no docstring"
            assert isinstance(below.value, ast.Constant)
            words = " ".join(str(below.value.value).split())
            comment = textwrap.indent(textwrap.fill(words, 94), "# ")
            assert f"\n{comment}\n#{name.target.id} = " in written


def test_values_of_every_type(tmp_path: Path) -> None:
    changed = parse(
        tmp_path,
        """
        rooms.grace = 0          # a whole number of seconds is a number too
        [client]
        heartbeat = 5
        handshake_timeout = 2.5
        allowed_origins = ["https://a.example", "https://b.example"]
        listen = "::1"
        [limits]
        outbox_bytes = 65_536
        [cluster]
        insecure = true
        [journal]
        sync = "full"
        """,
    )
    assert changed.rooms.grace == 0.0
    assert (changed.client.heartbeat, changed.client.handshake_timeout) == (5, 2.5)
    assert isinstance(changed.rooms.grace, float)
    assert changed.client.allowed_origins == ("https://a.example", "https://b.example")
    assert changed.client.listen == "::1"
    assert changed.limits.outbox_bytes == 65536
    assert changed.cluster.insecure is True
    assert changed.journal.sync == "full"
    assert changed.limits.connections == Settings().limits.connections


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(tmp_path, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(tmp_path / "settings.toml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n[client]\nhartbeat = 3", ":3: client.hartbeat: unknown key; did you mean heartbeat?"),
        ("[logs]\nx = 3", ":2: logs.x: unknown key; known: level"),
        ("[room]\n", ":1: room: unknown section; did you mean rooms?"),
        ("client = 3", ":1: client: expected a table, found 3"),
        (
            '[client]\n\nheartbeat = "30"',
            ':3: client.heartbeat: expected a whole number from 1 to 31536000, found "30"',
        ),
        (
            "[client]\nheartbeat = true",
            ":2: client.heartbeat: expected a whole number from 1 to 31536000, found true",
        ),
        (
            "[client]\nheartbeat = 0.5",
            ":2: client.heartbeat: expected a whole number from 1 to 31536000, found 0.5",
        ),
        (
            "[client]\nheartbeat = 2.5",
            ":2: client.heartbeat: expected a whole number from 1 to 31536000, found 2.5",
        ),
        (
            "[client]\nheartbeat = nan",
            ":2: client.heartbeat: expected a whole number from 1 to 31536000, found NaN",
        ),
        (
            "[client]\nhandshake_timeout = 0",
            ":2: client.handshake_timeout: expected a number from 0.001 to 31536000, found 0",
        ),
        (
            "[limits]\nmessage_bytes = 64.0",
            ":2: limits.message_bytes: expected a whole number from 128 to 2147483647, found 64.0",
        ),
        (
            "[limits]\nmessage_bytes = 12",
            ":2: limits.message_bytes: expected a whole number from 128 to 2147483647, found 12",
        ),
        (
            "[limits]\nmessages_burst = true",
            ":2: limits.messages_burst: expected a whole number from 1 to 2147483647, found true",
        ),
        (
            "[cluster]\nliveness_count = 1",
            ":2: cluster.liveness_count: expected a whole number from 2 to 2147483647, found 1",
        ),
        (
            "[cluster]\ninsecure = 1",
            ":2: cluster.insecure: expected true or false, found 1",
        ),
        ("[cluster]\nkeys = []", ":2: cluster.keys: expected a string, found []"),
        (
            '[journal]\nsync = "fast"',
            ':2: journal.sync: expected one of normal, full, off, found "fast"',
        ),
        (
            '[client]\nallowed_origins = "*"',
            ':2: client.allowed_origins: expected a list of strings, found "*"',
        ),
        (
            "[client]\nallowed_origins = [1]",
            ":2: client.allowed_origins: expected a list of strings, found [1]",
        ),
        (
            "[limits]\nbytes_burst = 65_535",
            (
                ":2: limits.bytes_burst: 65535 is less than message_bytes, 65536: "
                "the largest message could never pass"
            ),
        ),
        (
            "[limits]\nmessage_bytes = 1_000_000",
            (
                ":1: limits.bytes_burst: 524288 is less than message_bytes, 1000000: "
                "the largest message could never pass"
            ),
        ),
    ],
)
def test_one_clear_line_for_each_mistake(tmp_path: Path, text: str, expected: str) -> None:
    assert complaint(tmp_path, text) == expected


def _sections() -> list[Any]:
    return [getattr(Settings(), section.name) for section in dataclasses.fields(Settings)]


def test_every_default_is_accepted_when_it_is_written_out(tmp_path: Path) -> None:
    """Each default lies within its own range."""
    names = [section.name for section in dataclasses.fields(Settings)]
    text = "\n".join(
        f"{name}.{key.name} = {json.dumps(key.default)}"
        for name, section in zip(names, _sections(), strict=True)
        for key in dataclasses.fields(section)
    )
    assert parse(tmp_path, text) == Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().client.heartbeat = 1  # type: ignore[misc]
