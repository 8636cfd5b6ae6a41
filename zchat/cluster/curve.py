"""Who may talk to this cluster: CURVE keys.

Keys are files in czmq's format: `NAME.key` holds the public key, `NAME.key_secret` both. CURVE by
itself proves only the server to the client; that the client is one of ours is decided by an
allow-list, a folder of public keys, which `zchat.cluster.zap` looks at.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth

from zchat.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Keys:
    """A key pair in Z85: 40 characters each."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"Keys(public={self.public!r}, secret=...)"


@dataclass(frozen=True, slots=True)
class Security:
    """How a context's sockets are protected.

    Args:
        keys: our key pair; None means plain traffic.
        allowed: the folder of the public keys (`*.key`) that may connect to us. Needed with `keys`
            as soon as something is bound.
        insecure: plain traffic is allowed to other machines too. For networks that are protected
            by other means.
    """

    keys: Keys | None = None
    allowed: Path | None = None
    insecure: bool = False


def create_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Makes a key pair as `folder/NAME.key` and `folder/NAME.key_secret`.

    Returns:
        The two paths, public first.

    Raises:
        ConfigError: one of the files exists; a key in use is never overwritten.
    """
    public, secret = folder / f"{name}.key", folder / f"{name}.key_secret"
    for path in (public, secret):
        if path.exists():
            raise ConfigError(f"{path} exists; remove it first if its key is no longer in use")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made private before the key is written: pyzmq creates the file as the umask says.
    os.close(os.open(secret, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    zmq.auth.create_certificates(folder, name)
    return public, secret


def load_keys(path: Path) -> Keys:
    """Our own keys, from a `NAME.key_secret`.

    Raises:
        ConfigError: the file cannot be read or lacks a key.
    """
    public, secret = _load(path)
    if secret is None:
        raise ConfigError(f"{path}: expected a secret key, found only a public one")
    return Keys(public, secret)


def load_public_key(path: Path) -> bytes:
    """The key by which another server is recognised, from a `NAME.key`.

    Raises:
        ConfigError: the file cannot be read or lacks the key.
    """
    return _load(path)[0]


def load_allowed(folder: Path) -> frozenset[bytes]:
    """The public keys of all `*.key` files in `folder`.

    Raises:
        ConfigError: there is no such folder, or one of its keys is broken.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: expected a folder of public keys (*.key)")
    return frozenset(load_public_key(path) for path in sorted(folder.glob("*.key")))


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    for key in (public, secret):
        if key is not None and len(key) != 40:
            raise ConfigError(f"{path}: expected keys of 40 characters, found {len(key)}")
    return public, secret
