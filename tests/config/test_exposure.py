"""What other machines could reach, and who may start there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from zchat.config.exposure import own_key, require_secure, require_startable
from zchat.config.settings import Settings
from zchat.config.topology import Server
from zchat.errors import ConfigError

CHAT = Server("chat-1", "chat", "192.0.2.1", 6050, 16050)


def keys(folder: Path, *names: str) -> Path:
    """The folder of keys, with files for these; what is in them does not matter."""
    made = folder / "config" / "keys"
    made.mkdir(parents=True, exist_ok=True)
    for name in names:
        (made / name).touch()
    return made


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:5000", "tcp://127.9.9.9:0", "tcp://localhost:1", "tcp://[::1]:5000"],
)
def test_loopback_needs_nothing(address: str) -> None:
    require_secure(address, keyed=False, insecure=False)


@pytest.mark.parametrize(
    "address",
    [
        "tcp://0.0.0.0:5000",
        "tcp://*:5000",
        "tcp://[::]:5000",
        "tcp://192.0.2.1:5000",
        "tcp://chat.example:5000",
        "tcp://localhost.example:5000",
        "tcp://127.0.0.1.example:5000",
        "tcp://eth0:5000",
        "tcp://:5000",
        "",
    ],
)
def test_other_machines_need_keys_or_a_word(address: str) -> None:
    with pytest.raises(ConfigError, match="expected CURVE keys"):
        require_secure(address, keyed=False, insecure=False)
    require_secure(address, keyed=False, insecure=True)
    require_secure(address, keyed=True, insecure=False)


def test_without_keys_nobody_has_one(tmp_path: Path) -> None:
    assert own_key(tmp_path / "nowhere", "chat-1") is None
    assert own_key(keys(tmp_path), "chat-1") is None


def test_ones_own_key(tmp_path: Path) -> None:
    folder = keys(tmp_path, "chat-1.key", "chat-1.key_secret", "chat-2.key")
    assert own_key(folder, "chat-1") == folder / "chat-1.key_secret"
    with pytest.raises(ConfigError, match=r"chat-2.key_secret is missing.*zchat keys chat-2"):
        own_key(folder, "chat-2")


def test_who_could_not_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tcp://192.0.2.1:6050 is reachable"):
        require_startable(CHAT, Settings(), tmp_path)
    keys(tmp_path, "gate-1.key")
    with pytest.raises(ConfigError, match=r"keys/chat-1.key_secret is missing"):
        require_startable(CHAT, Settings(), tmp_path)


def test_who_can_start(tmp_path: Path) -> None:
    require_startable(replace(CHAT, host="127.0.0.1"), Settings(), tmp_path)
    open_network = replace(Settings().cluster, insecure=True)
    require_startable(CHAT, replace(Settings(), cluster=open_network), tmp_path)
    keys(tmp_path, "chat-1.key_secret")
    require_startable(CHAT, Settings(), tmp_path)
