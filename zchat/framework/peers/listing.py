"""What servers.json and the folder of keys say now, followed while the server runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from zchat.config.servers import ServersFile
from zchat.config.topology import Changes, Topology
from zchat.errors import ConfigError

logger = logging.getLogger("zchat.admin")


class Listing:
    """Looks for changes when it is told to.

    Args:
        servers: servers.json.
        keys: the folder of CURVE keys; None without CURVE.
        follow: is told what is listed now, after each change of either; raises ConfigError when it
            cannot be followed, and is told again with each poll until it can.
    """

    def __init__(
        self, servers: ServersFile, keys: Path | None, follow: Callable[[Topology], None]
    ) -> None:
        self._servers = servers
        self._keys = keys
        self._follow = follow
        self._keys_read = self._keys_stamp()
        self._complaint = ""

    def poll(self) -> Changes | None:
        """Look whether something has changed; returns how servers.json did."""
        changes = self._servers.poll()
        if changes is not None:
            _say(changes)
        keys = self._keys_stamp()
        if changes is not None or keys != self._keys_read or self._complaint:
            self._keys_read = keys
            self._try_follow()
        return changes

    def _try_follow(self) -> None:
        """What is wrong is said once."""
        try:
            self._follow(self._servers.topology)
        except ConfigError as error:
            if str(error) != self._complaint:
                logger.error("%s; servers.json cannot be followed until it is mended", error)
            self._complaint = str(error)
        else:
            self._complaint = ""

    def _keys_stamp(self) -> int:
        """Changes when a key is added or taken out; the folder itself may be replaced."""
        keys = self._keys
        return keys.stat().st_mtime_ns if keys is not None and keys.is_dir() else 0


def _say(changes: Changes) -> None:
    groups = (changes.added, changes.removed, changes.changed)
    ids = (", ".join(server.id for server in group) or "none" for group in groups)
    logger.info("servers.json: added %s, removed %s, changed %s", *ids)
