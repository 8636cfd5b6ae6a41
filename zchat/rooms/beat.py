"""Beats: an owner says again and again where its channels stand, on the topic of none of them.

A frame that is lost shows by the next one of its channel, but the last frame has no next one. So
each beat lists the channels that were published to, or whose member list changed, since the last
two, and is numbered itself: who misses one asks for all positions. Beats come down the same pipe as
what they speak of, after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zchat.rooms.stream import Beat

TOPIC = "\x01beats"
"""No channel may have a name that begins so."""

_SILENT = 3

Stand = tuple[str, int, int]
"""(epoch, offset, version of the member list)"""


class BeatMaker:
    """The owner's side.

    Args:
        owner: this server.
        incarnation: this life of it.
    """

    def __init__(self, owner: str, incarnation: str) -> None:
        self._owner = owner
        self._incarnation = incarnation
        self._number = 0
        self._changed: dict[str, int] = {}  # channel -> number of the beat after

    def changed(self, channel: str) -> None:
        """Something was published in this channel, or a member came or went."""
        self._changed[channel] = self._number + 1

    def make(self, stand: Callable[[str], Stand | None]) -> Beat:
        """The next beat.

        Args:
            stand: where a channel stands now; None when it is not ours any more.
        """
        self._number += 1
        self._changed = {
            channel: number
            for channel, number in self._changed.items()
            if number >= self._number - 1
        }
        positions = [
            (channel, *place) for channel in self._changed if (place := stand(channel)) is not None
        ]
        return Beat(self._owner, self._incarnation, self._number, positions)


class BeatWatch:
    """The frontend's side. Pure: callers pass `now`, in seconds of any monotonic clock.

    Args:
        interval: seconds between beats.
    """

    def __init__(self, interval: float) -> None:
        self._patience = _SILENT * interval
        self._last: dict[str, tuple[str, int]] = {}
        self._heard: dict[str, float] = {}

    def take(self, beat: Beat, now: float) -> bool:
        """A beat came; returns whether one before it was missed."""
        last = self._last.get(beat.owner)
        self._last[beat.owner] = beat.incarnation, beat.number
        self._heard[beat.owner] = now
        return last is not None and last[0] == beat.incarnation and last[1] + 1 != beat.number

    def silent(self, owners: Iterable[str], now: float) -> list[str]:
        """Those of `owners` whose beats have been missing for three intervals; each is said once
        per three intervals."""
        found = [o for o in owners if now - self._heard.setdefault(o, now) >= self._patience]
        for owner in found:
            self._heard[owner] = now
        return found
