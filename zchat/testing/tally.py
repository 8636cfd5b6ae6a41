"""What the servers of a cluster count, as events of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zchat.testing.events import Counted, Event, Fault

COUNTERS: Mapping[str, str] = {"repaired": "repaired", "appends_fenced": "refused_appends"}
"""A server's counter to the name that it has in a run."""


class Tally:
    """Reads the answers of `zchat status` again and again, and says what is new.

    What a process counted between the last reading and its death is not known: the sums are at
    most too small. The first reading is where they begin.
    """

    def __init__(self) -> None:
        self._lives: dict[str, int] = {}
        self._counted: dict[str, dict[str, int]] = {}
        self._generation: int | None = None

    def take(self, at: float, answers: Sequence[Mapping[str, Any]]) -> list[Event]:
        """What has happened since the last reading.

        Args:
            at: now, in seconds of the run's clock.
            answers: one for each server.
        """
        events: list[Event] = []
        for answer in answers:
            if answer["reachable"]:
                events += self._restarts(at, answer["id"], answer["pid"])
                events += self._counters(at, answer["id"], answer.get("counters", {}))
        generation = max((answer.get("generation", 0) for answer in answers), default=0)
        if self._generation is not None and generation > self._generation:
            events.append(Counted(at, "owner_changes", generation - self._generation))
        self._generation = max(generation, self._generation or 0)
        return events

    def _restarts(self, at: float, server_id: str, pid: int) -> list[Event]:
        before = self._lives.get(server_id)
        self._lives[server_id] = pid
        if before in (None, pid):
            return []
        self._counted[server_id] = {}
        return [Fault(at, "restart", server_id)]

    def _counters(self, at: float, server_id: str, counters: Mapping[str, int]) -> list[Event]:
        before = self._counted.get(server_id)
        now = {name: counters.get(name, 0) for name in COUNTERS}
        self._counted[server_id] = now
        if before is None:
            return []
        return [
            Counted(at, COUNTERS[name], number - before.get(name, 0))
            for name, number in now.items()
            if number > before.get(name, 0)
        ]
