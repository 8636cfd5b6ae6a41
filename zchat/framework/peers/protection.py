"""How a server is protected from others, as its settings and its keys say."""

from __future__ import annotations

from pathlib import Path

from zchat.cluster.curve import Security, load_keys
from zchat.cluster.limits import Limits
from zchat.config.exposure import own_key
from zchat.config.settings import Settings


def security(server_id: str, settings: Settings, folder: Path) -> Security:
    """CURVE when the server has a key; what is refused without one is said when it binds.

    Raises:
        ConfigError: its key is broken, or it has none and others have.
    """
    keys = folder / settings.cluster.keys
    own = own_key(keys, server_id)
    if own is None:
        return Security(insecure=settings.cluster.insecure)
    return Security(load_keys(own), keys, settings.cluster.insecure)


def limits(settings: Settings) -> Limits:
    """Of queues to other servers, and of their silence."""
    return Limits(
        queue_bytes=settings.limits.peer_queue_bytes,
        requests=settings.limits.peer_requests,
        liveness_interval=settings.cluster.liveness_interval,
        liveness_misses=settings.cluster.liveness_count,
    )
