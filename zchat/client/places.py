"""Where a client stood in the rooms that it has left."""

from __future__ import annotations

from typing import Any

from zchat.protocol.body import dumps
from zchat.rooms.stream import StreamPosition


class Places:
    """Positions by what the room was entered with.

    Args:
        limit: how many are kept. When full, the one that was put first is forgotten and counted
            in `forgotten`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._positions: dict[bytes, StreamPosition] = {}
        self.forgotten = 0
        """Positions for which there was no room."""

    def get(self, body: dict[str, Any]) -> StreamPosition | None:
        """The position in the room that is entered with this body; None when it is not known."""
        return self._positions.get(_key(body))

    def put(self, body: dict[str, Any], position: StreamPosition | None) -> None:
        """Keep a position; None means that the room has none."""
        key = _key(body)
        self._positions.pop(key, None)
        if position is None:
            return
        self._positions[key] = position
        if len(self._positions) > self._limit:
            del self._positions[next(iter(self._positions))]
            self.forgotten += 1


def _key(body: dict[str, Any]) -> bytes:
    return dumps(dict(sorted(body.items())))
