"""What members are told of publications that cannot be had any more."""

from __future__ import annotations

from zchat.frontend.fanout import Fanout
from zchat.frontend.frames import frame
from zchat.frontend.local_channel import LocalChannel, Readers
from zchat.protocol.body import dumps
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.message import data_push
from zchat.rooms.stream import StreamPosition

HISTORY_LOST = "onHistoryLost"
"""Push to members: publications `after` < offset < `before` of `epoch` cannot be had any more."""


class Holes:
    """Tells of them, each in its place among the publications.

    Args:
        fanout: the way out. Its counter `history_lost` counts holes.
        dictionary: the routes that have codes.
    """

    __slots__ = ("_dictionary", "_fanout")

    def __init__(self, fanout: Fanout, dictionary: RouteDictionary) -> None:
        self._fanout = fanout
        self._dictionary = dictionary

    def tell(self, local: LocalChannel, after: StreamPosition, before: int) -> None:
        """The owner has these no more. Nobody who came in later than the hole hears of it."""
        data = self._push(after, before)
        self._fanout.queue(local, data, None)
        self._fanout.hold_all(local, (after.epoch, before - 1, None, data), None)

    def tell_began(self, local: LocalChannel, first: int) -> None:
        """Who came in before this epoch gets all of it, but perhaps not the end of the last one.

        Does nothing when all have been told.

        Args:
            first: the first offset that there is in this epoch.
        """
        began, local.began = local.began, frozenset()
        if not began:
            return
        assert local.follower.position is not None
        epoch = local.follower.position.epoch
        data = self._push(StreamPosition(epoch, 0), first)
        self._fanout.queue(local, data, Readers(began))
        for member in local.joining.values():
            if member.session.id in began:
                self._fanout.hold(member, (epoch, 1, None, data))

    def _push(self, after: StreamPosition, before: int) -> bytes:
        self._fanout.counters["history_lost"] += 1
        body = {"epoch": after.epoch, "after": after.offset, "before": before}
        return frame(data_push(HISTORY_LOST, dumps(body), self._dictionary))
