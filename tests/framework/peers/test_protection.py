"""Keys and limits of a server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from zchat.cluster.curve import create_keys
from zchat.config.settings import Settings
from zchat.errors import ConfigError
from zchat.framework.peers.protection import limits, security

DEFAULTS = Settings()


def test_without_keys_there_is_no_curve(tmp_path: Path) -> None:
    found = security("chat-1", DEFAULTS, tmp_path)
    assert (found.keys, found.insecure) == (None, False)
    open_settings = replace(DEFAULTS, cluster=replace(DEFAULTS.cluster, insecure=True))
    assert security("chat-1", open_settings, tmp_path).insecure


def test_a_server_with_a_key_uses_it(tmp_path: Path) -> None:
    create_keys(tmp_path / DEFAULTS.cluster.keys, "chat-1")
    assert security("chat-1", DEFAULTS, tmp_path).keys is not None
    with pytest.raises(ConfigError, match="others have keys: zchat keys chat-2"):
        security("chat-2", DEFAULTS, tmp_path)


def test_limits_are_those_of_the_settings() -> None:
    found = limits(DEFAULTS)
    assert found.queue_bytes == DEFAULTS.limits.peer_queue_bytes
    assert found.requests == DEFAULTS.limits.peer_requests
    assert found.liveness_interval == DEFAULTS.cluster.liveness_interval
    assert found.liveness_misses == DEFAULTS.cluster.liveness_count
