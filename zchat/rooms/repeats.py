"""Which publications were sent again: the positions of the last ones, by sender and their own id.

A sender that got no answer sends again with the same id. Within the window it gets the position of
the first time, and nothing is published twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from zchat.rooms.stream import Publication

Key = tuple[str, str]
"""(uid, cid)"""


class Repeats:
    """The window of one channel.

    Args:
        limit: publications in it. When full, the oldest leaves it.
        age: milliseconds after which a publication leaves it.
    """

    __slots__ = ("_age", "_offsets", "limit")

    def __init__(self, limit: int = 1000, age: int = 300_000) -> None:
        self.limit = limit
        self._age = age
        self._offsets: dict[Key, tuple[int, int]] = {}  # (offset, ts), oldest first

    def __len__(self) -> int:
        return len(self._offsets)

    def add(self, publications: Sequence[Publication]) -> None:
        """These are in the journal now."""
        for publication in publications:
            if publication.cid:
                key = (publication.uid, publication.cid)
                self._offsets.pop(key, None)  # what is published anew is the newest again
                self._offsets[key] = (publication.offset, publication.ts)
        while len(self._offsets) > self.limit:
            del self._offsets[next(iter(self._offsets))]

    def clear(self) -> None:
        """Forget all: the channel has begun a new numbering."""
        self._offsets.clear()

    def find(self, key: Key, now: int) -> int | None:
        """The offset at which this was published already; None when it is new.

        Args:
            now: milliseconds since 1970.
        """
        found = self._offsets.get(key)
        return found[0] if found and now - found[1] <= self._age else None
