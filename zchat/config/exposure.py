"""What other machines could reach, and whether it is protected: by CURVE keys, or by the operator's
word.

Keys are files in czmq's format: `NAME.key` holds the public key, `NAME.key_secret` both. Nothing
here reads them, so that supervisord can refuse what its servers would, without ZeroMQ.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from zchat.config.settings import Settings
from zchat.config.topology import Server
from zchat.errors import ConfigError


def own_key(keys: Path, name: str) -> Path | None:
    """The file of its secret key; None in a cluster without keys.

    Args:
        keys: the folder of the keys.
        name: a server's id, or `operator`.

    Raises:
        ConfigError: others have keys, and it has none.
    """
    own = keys / f"{name}.key_secret"
    if own.exists():
        return own
    if any(keys.glob("*.key")):
        raise ConfigError(f"{own} is missing, and others have keys: zchat keys {name}")
    return None


def require_secure(address: str, *, keyed: bool, insecure: bool) -> None:
    """Refuse traffic that others on the network could read, forge or flood.

    Args:
        address: `tcp://host:port`, bound or connected.
        keyed: whether we have keys; with them every address is fine.
        insecure: the operator said that plain traffic is fine.

    Raises:
        ConfigError: the address is reachable by other machines and nothing protects it.
    """
    if not (keyed or insecure or _is_loopback(address)):
        raise ConfigError(
            f"{address} is reachable by other machines: expected CURVE keys (zchat keys), "
            "or cluster.insecure = true on a network that is protected otherwise"
        )


def require_startable(server: Server, settings: Settings, folder: Path) -> None:
    """Refuse a server that would refuse to start, for want of protection.

    Args:
        folder: the project's.

    Raises:
        ConfigError: see `own_key` and `require_secure`.
    """
    cluster = settings.cluster
    keyed = own_key(folder / cluster.keys, server.id) is not None
    require_secure(server.router_address, keyed=keyed, insecure=cluster.insecure)


def _is_loopback(address: str) -> bool:
    """Names other than localhost count as foreign: they are not looked up."""
    host = urlsplit(address).hostname
    if host is None or host == "localhost":
        return host is not None
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
