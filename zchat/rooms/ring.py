"""The ring: which workers own channels now.

Each channel has one owner, the worker that wins its name (rendezvous hash), so a change of the
ring moves only the channels that the changed worker wins or held. A higher generation replaces a
lower one everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from zchat.rendezvous import choose

_CACHE_LIMIT = 100_000


class Ring:
    """A generation of the ring.

    Args:
        generation: counts the changes of the ring.
        workers: the ids that own channels; their order does not matter.
        tag: names this ring, the same on every server; made of the workers when it is empty.
    """

    __slots__ = ("_owners", "generation", "tag", "workers")

    def __init__(self, generation: int, workers: Iterable[str], tag: str = "") -> None:
        self.generation = generation
        self.workers = frozenset(workers)
        self.tag = tag or "+".join(sorted(self.workers))
        self._owners: dict[str, str] = {}

    def owner(self, channel: str) -> str | None:
        """The worker that owns `channel`; None in an empty ring.

        Answers are remembered for at most 100,000 channels; when full, all are forgotten and
        hashed again.
        """
        owner = self._owners.get(channel)
        if owner is None:
            owner = choose(channel, self.workers)
            if owner is not None:
                if len(self._owners) >= _CACHE_LIMIT:
                    self._owners.clear()
                self._owners[channel] = owner
        return owner

    def __repr__(self) -> str:
        return f"Ring({self.generation}, {sorted(self.workers)})"
