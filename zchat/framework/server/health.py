"""Whether a server can do its work: what /healthz answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from zchat.config.topology import Server, Topology


def health(
    state: str, needed: Mapping[str, Sequence[Server]], is_up: Callable[[str], bool]
) -> dict[str, Any]:
    """The answer, but for the server's id.

    `ok` once everything that clients need here is within reach, and `degraded` while servers are
    `missing` whose work others of their type do. It is `waiting` `for` types of which nobody
    answers.

    Args:
        state: of the server's own parts; only of `ok` the others are looked at.
        needed: the listed servers that this one works with, by type.
        is_up: whether a server answers now.
    """
    if state != "ok":
        return {"status": state}
    waiting = [
        server_type
        for server_type, listed in needed.items()
        if not any(is_up(server.id) for server in listed)
    ]
    missing = [server.id for listed in needed.values() for server in listed if not is_up(server.id)]
    if waiting:
        return {"status": "waiting", "for": waiting}
    return {"status": "degraded", "missing": missing} if missing else {"status": state}


def needed(
    topology: Topology, watched: Iterable[str], owning: Iterable[Server]
) -> dict[str, tuple[Server, ...]]:
    """The listed servers that a frontend works with, by type.

    Args:
        topology: of servers.json.
        watched: the types that the application says.
        owning: the servers that own channels.
    """
    types = {*watched, *(server.type for server in owning)}
    return {kind: found for kind in sorted(types) if (found := topology.of_type(kind))}
