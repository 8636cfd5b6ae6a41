"""How the rosters of the channels here follow their owners' member lists.

Changes come as frames, one version after the other, or as the answer of an owner that was asked for
those that were lost. Either way the roster takes them over as its members are told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zchat.frontend.fanout import Fanout
from zchat.frontend.local_channel import LocalChannel
from zchat.frontend.telling import Telling
from zchat.protocol.dictionary import RouteDictionary
from zchat.rooms.stream import PresenceChange


class Rosters:
    """Brings changes to rosters and members, and asks for those that were lost.

    Args:
        fanout: the way out. Its counters `old_presence` and `presence_gaps` count changes that
            nobody needs, and frames before which some were lost.
        compare: called with a channel while its roster is behind its owner's member list; again
            and again.
        framed: makes of a package what is sent to clients.
        dictionary: the routes that have codes.
    """

    __slots__ = ("_compare", "_dictionary", "_fanout", "_framed")

    def __init__(
        self,
        fanout: Fanout,
        compare: Callable[[LocalChannel], None],
        framed: Callable[[bytes], bytes],
        dictionary: RouteDictionary,
    ) -> None:
        self._fanout = fanout
        self._compare = compare
        self._framed = framed
        self._dictionary = dictionary

    def take(self, local: LocalChannel, changes: Sequence[PresenceChange]) -> None:
        """A frame of changes: told if they are the next, else those between are asked for.

        Who changed it, and how, the owner's answer says again: nothing has to be held for it.
        """
        roster, position = local.roster, local.follower.position
        telling = self._telling(local)
        for change in changes:
            if position is None:
                roster.hear(change.version)
            elif change.epoch != position.epoch or change.version <= roster.version:
                self._fanout.counters["old_presence"] += 1
            elif roster.is_next(change):
                telling.take(change)
                roster.version = change.version
                local.settle()
            else:
                self._fanout.counters["presence_gaps"] += 1
                roster.hear(changes[-1].version)
                self._compare(local)
                break
        telling.finish()

    def compared(
        self,
        local: LocalChannel,
        version: int,
        changes: Sequence[PresenceChange],
        asked: int,
        heard: int,
    ) -> None:
        """What an owner answered for a roster that was behind.

        Args:
            version: of the owner's member list.
            changes: what brings the roster to it, and what of the list was in doubt.
            asked: the version of the roster that it was asked for. When it has moved meanwhile,
                only what follows that version one by one is of use.
            heard: see `Roster.reach`.
        """
        known = local.roster.version
        if known != asked and changes and changes[0].version > asked + 1:
            return
        telling = self._telling(local)
        for change in changes:
            if change.version >= known:
                telling.take(change)
        telling.finish()
        local.roster.reach(version, heard)
        local.settle()

    def mend(self, local: LocalChannel) -> None:
        """Ask for changes that have not come, if any have not."""
        if local.is_behind:
            self._compare(local)

    def _telling(self, local: LocalChannel) -> Telling:
        return Telling(local, self._fanout, self._framed, self._dictionary)
