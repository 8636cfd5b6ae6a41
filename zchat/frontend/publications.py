"""Publications on their way from the owners of channels to the members here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zchat.frontend.fanout import Fanout
from zchat.frontend.local_channel import LocalChannel, Readers
from zchat.frontend.sockets.frames import frame
from zchat.protocol.body import dumps
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.message import data_push
from zchat.rooms.follower import Run
from zchat.rooms.stream import Published, StreamPosition

HISTORY_LOST = "onHistoryLost"
"""Push to members: publications `after` < offset < `before` of `epoch` cannot be had any more."""


class Publications:
    """Brings them in their order, asks for what was lost, and tells of what cannot be had any more.

    Args:
        fanout: the way out. Its counter `history_lost` counts what was told so.
        fetch: called with a channel while a gap is to be fetched from its owner; again and again.
        framed: makes of a package what is sent to clients.
        dictionary: the routes that have codes.
    """

    __slots__ = ("_dictionary", "_fanout", "_fetch", "_framed")

    def __init__(
        self,
        fanout: Fanout,
        fetch: Callable[[LocalChannel], None],
        framed: Callable[[bytes], bytes],
        dictionary: RouteDictionary,
    ) -> None:
        self._fanout = fanout
        self._fetch = fetch
        self._framed = framed
        self._dictionary = dictionary

    def take(self, local: LocalChannel, message: Published) -> None:
        """A frame of them: what is next goes on to the members."""
        run = Run(message.first, message.items)
        self._deliver(local, local.follower.receive(message.epoch, run))
        self.mend(local)

    def place(self, local: LocalChannel, position: StreamPosition) -> None:
        """The owner says where the channel stands: what waited for that goes on from there."""
        runs = local.follower.place(position)
        if not runs and not local.follower.missing:
            self._tell_began(local, 1)
        self._deliver(local, runs)
        self._fanout.promote(local)

    def repair(self, local: LocalChannel, position: StreamPosition, run: Run) -> None:
        """What was fetched for a gap."""
        follower = local.follower
        before, lost = follower.position, follower.lost
        runs = follower.repair(position, run)
        if before is not None and follower.lost > lost:
            first = before.offset + follower.lost - lost + 1
            if local.began:
                self._tell_began(local, first)
            else:
                self._tell_hole(local, before, first)
        self._deliver(local, runs)
        self._fanout.promote(local)

    def mend(self, local: LocalChannel) -> None:
        """Ask for those that have not come, if any have not."""
        if local.follower.missing:
            self._fetch(local)

    def _deliver(self, local: LocalChannel, runs: Sequence[Run]) -> None:
        if not runs:
            return
        assert local.follower.position is not None
        epoch = local.follower.position.epoch
        if local.began:
            self._tell_began(local, runs[0].first)
        for run in runs:
            for offset, item in enumerate(run.items, run.first):
                data = self._framed(item.package)
                readers = None if item.audience is None else local.readers(item.audience)
                self._fanout.queue(local, data, readers)
                if local.joining:
                    self._fanout.hold_all(local, (epoch, offset, None, data), readers)
        if local.joining:
            self._fanout.promote(local)

    def _tell_hole(self, local: LocalChannel, after: StreamPosition, before: int) -> None:
        """The owner has these no more. Nobody who came in later than the hole hears of it."""
        data = self._push(after, before)
        self._fanout.queue(local, data, None)
        self._fanout.hold_all(local, (after.epoch, before - 1, None, data), None)

    def _tell_began(self, local: LocalChannel, first: int) -> None:
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
