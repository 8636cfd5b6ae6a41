"""How much servers have to do, as they last said: who chooses the least loaded one asks here.

Servers are asked once a second, and only those that somebody wants to choose from. In between each
choice counts as one more, so that not everybody of a second is sent to the same server.
"""

from __future__ import annotations

from collections.abc import Sequence

_INTERVAL = 1.0
_FORGET = 10.0


class Loads:
    """The figures. Time is an argument: the seconds of one clock.

    It holds the servers that were to be chosen from in the last ten seconds.
    """

    def __init__(self) -> None:
        self._said: dict[str, int] = {}
        self._chosen: dict[str, int] = {}
        self._wanted: dict[str, float] = {}
        self._asked_at = float("-inf")

    def of(self, server_id: str) -> int:
        """Clients of a frontend, requests and calls under way on another server; 0 if unknown."""
        return self._said.get(server_id, 0) + self._chosen.get(server_id, 0)

    def choose(self, servers: Sequence[str], now: float) -> str | None:
        """The one that has the least to do, the first of equals; None when there is none."""
        for server_id in servers:
            self._wanted[server_id] = now
        chosen = min(servers, key=self.of, default=None)
        if chosen is not None:
            self._chosen[chosen] = self._chosen.get(chosen, 0) + 1
        return chosen

    def due(self, now: float) -> list[str]:
        """Whom to ask now; call it at least twice a second."""
        if now - self._asked_at < _INTERVAL:
            return []
        self._asked_at = now
        for server_id in [known for known, at in self._wanted.items() if now - at > _FORGET]:
            del self._wanted[server_id]
            self._said.pop(server_id, None)
            self._chosen.pop(server_id, None)
        return list(self._wanted)

    def heard(self, server_id: str, load: int) -> None:
        """A server has answered."""
        if server_id in self._wanted:
            self._said[server_id] = load
            self._chosen.pop(server_id, None)
