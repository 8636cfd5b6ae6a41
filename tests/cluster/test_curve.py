"""Keys on disk, and where plain traffic is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq.auth

from zchat.cluster.curve import (
    create_keys,
    load_allowed,
    load_keys,
    load_public_key,
)
from zchat.errors import ConfigError


def test_keys_on_disk(tmp_path: Path) -> None:
    public, secret = create_keys(tmp_path / "keys", "chat-1")
    assert (public.name, secret.name) == ("chat-1.key", "chat-1.key_secret")
    keys = load_keys(secret)
    assert load_public_key(public) == keys.public
    assert (keys.public, keys.secret) == zmq.auth.load_certificate(secret)
    assert secret.stat().st_mode & 0o077 == 0
    assert public.parent.stat().st_mode & 0o077 == 0
    assert keys.secret.decode() not in repr(keys)


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    create_keys(tmp_path, "chat-1")
    before = load_keys(tmp_path / "chat-1.key_secret")
    with pytest.raises(ConfigError, match="exists"):
        create_keys(tmp_path, "chat-1")
    assert load_keys(tmp_path / "chat-1.key_secret") == before


def test_broken_key_files(tmp_path: Path) -> None:
    public, _ = create_keys(tmp_path, "chat-1")
    with pytest.raises(ConfigError, match="found only a public one"):
        load_keys(public)
    with pytest.raises(ConfigError, match="nowhere"):
        load_keys(tmp_path / "nowhere")
    empty = tmp_path / "empty.key"
    empty.write_text("")
    with pytest.raises(ConfigError, match=r"empty\.key"):
        load_public_key(empty)
    empty.write_text('curve\n    public-key = "short"\n')
    with pytest.raises(ConfigError, match="40 characters, found 5"):
        load_public_key(empty)
    with pytest.raises(ConfigError, match=r"empty\.key"):
        load_allowed(tmp_path)


def test_the_allow_list(tmp_path: Path) -> None:
    assert load_allowed(tmp_path) == frozenset()
    keys = {load_public_key(create_keys(tmp_path, name)[0]) for name in ("a", "b")}
    assert load_allowed(tmp_path) == keys
    with pytest.raises(ConfigError, match="folder"):
        load_allowed(tmp_path / "a.key")
