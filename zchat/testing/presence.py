"""Whether everybody in a room sees the same people in the end: those who are there."""

from __future__ import annotations

from collections.abc import Iterator

from zchat.testing.events import PeopleSeen
from zchat.testing.verdict import Kind, Problem


class Presence:
    """Who is in one room, and whom each of them sees there.

    Args:
        room: its name.
    """

    __slots__ = ("_changed", "_seen", "here", "room")

    def __init__(self, room: str) -> None:
        self.room = room
        self.here: set[str] = set()
        self._changed = 0.0
        self._seen: dict[str, PeopleSeen] = {}

    def came(self, client: str, at: float) -> None:
        """Somebody is in, for the first time or again."""
        self.here.add(client)
        self._changed = at

    def went(self, client: str, at: float) -> None:
        """Somebody left or was lost."""
        self.here.discard(client)
        self._changed = at

    def saw(self, event: PeopleSeen) -> None:
        """Somebody looked."""
        self._seen[event.client] = event

    def problems(self, quiet: float, patience: float) -> Iterator[Problem]:
        """What is wrong at the end.

        Args:
            quiet: when the last was done to the cluster.
            patience: seconds after that, or after the last coming or going in this room, in which
                lists may be wrong. Everybody's last look must be later.
        """
        settled = max(quiet, self._changed) + patience
        right = sorted(self.here)
        for client in right:
            seen = self._seen.get(client)
            if seen is None or seen.at < settled:
                when = "never" if seen is None else f"{settled - seen.at:.3f} s too early"
                text = f"{self.room} {client} looked who is there {when}"
            elif sorted(seen.people) != right:
                text = f"{self.room} {client} sees {_difference(seen.people, right)}"
            else:
                continue
            yield Problem(Kind.PRESENCE, text, self.room, client, "", seen.at if seen else settled)


def _difference(seen: tuple[str, ...], right: list[str]) -> str:
    ghosts = sorted(set(seen) - set(right))
    missed = sorted(set(right) - set(seen))
    double = sorted({user for user in seen if seen.count(user) > 1})
    parts = {"who is not there": ghosts, "twice": double, "not": missed}
    return "; ".join(f"{', '.join(people)} {what}" for what, people in parts.items() if people)
