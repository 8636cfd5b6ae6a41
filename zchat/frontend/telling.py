"""Who came and who went, on its way to the members of a channel here.

The changes of one frame reach each member in one write: as the application's pushes, one each, or
as one push of zchat's own for those whose clients asked for differences. Who came and went within a
frame did neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from zchat.frontend.fanout import Fanout
from zchat.frontend.local_channel import LocalChannel, Readers
from zchat.frontend.session import Membership
from zchat.frontend.sockets.frames import frame
from zchat.protocol.body import dumps
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.message import data_push
from zchat.rooms.stream import PresenceChange
from zchat.rooms.wish import PRESENCE


class Telling:
    """The changes of one frame: `take` each, then `finish`.

    A change is told to those who do not know it, never to the one it is about. Who is not admitted
    yet has no member list: what is held for it is held against that.

    Args:
        local: the channel.
        fanout: the way out.
        framed: makes of an owner's package what is sent to clients.
        dictionary: the routes that have codes.
    """

    __slots__ = ("_apart", "_dictionary", "_fanout", "_framed", "_local", "_news", "_singles")

    def __init__(
        self,
        local: LocalChannel,
        fanout: Fanout,
        framed: Callable[[bytes], bytes],
        dictionary: RouteDictionary,
    ) -> None:
        self._local = local
        self._fanout = fanout
        self._framed = framed
        self._dictionary = dictionary
        self._news: list[PresenceChange] = []
        self._singles: dict[tuple[str, int, bool], bytes] = {}
        # What those are told whose list was not the roster when this began: nobody becomes so.
        self._apart: dict[int, list[PresenceChange]] = {session: [] for session in local.apart}

    def take(self, change: PresenceChange) -> None:
        """The roster takes a change over."""
        local = self._local
        news, told = local.take(change)
        if news:
            self._news.append(change)
        for session, changes in self._apart.items():
            if session in told or (news and session not in local.apart):
                changes.append(change)
        for member in local.joining.values():
            if member.position is None and member.uid != change.uid:
                self._hold(member, change)

    def finish(self) -> None:
        """Tell them all."""
        if not self._news and not any(self._apart.values()):
            return
        local, uids = self._local, {change.uid for change in self._news}
        for member in local.joining.values():
            if member.position is not None:
                for change in self._of(member):
                    self._hold(member, change)
        apart, kinds = set(), set()
        for session, member in local.live.items():
            if session in self._apart or member.uid in uids:
                apart.add(session)
                if data := self._data(self._of(member), member.differences):
                    self._fanout.send(local, member, data)
            else:
                kinds.add(member.differences)
        for kind in kinds:
            self._queue(kind, apart, len(kinds) > 1)

    def _queue(self, differences: bool, apart: set[int], both: bool) -> None:
        """What is news, for those who are told the same."""
        data = self._data(self._news, differences)
        if not data:
            return
        others = set(apart)
        if both:
            live = self._local.live.items()
            others.update(key for key, m in live if m.differences is not differences)
        readers = Readers(frozenset(others), but=True) if others else None
        self._fanout.queue(self._local, data, readers)

    def _of(self, member: Membership) -> list[PresenceChange]:
        """What this member is told."""
        changes = self._apart.get(member.session.id, self._news)
        return [change for change in changes if change.uid != member.uid]

    def _hold(self, member: Membership, change: PresenceChange) -> None:
        key = (change.uid, change.version, member.differences)
        data = self._singles.get(key)
        if data is None:  # once, and not for each of a crowd that is on its way in
            data = self._singles[key] = self._data((change,), member.differences)
        if data:
            self._fanout.hold(member, (change.epoch, 0, change, data))

    def _data(self, changes: Sequence[PresenceChange], differences: bool) -> bytes:
        """The frames that tell of them; empty when there is nothing to tell."""
        left_over = _net(changes)
        if not differences:
            return b"".join(
                [self._framed(change.package) for change in left_over if change.package]
            )
        if not left_over:
            return b""
        body = {
            "joined": [change.uid for change in left_over if change.joined],
            "left": [change.uid for change in left_over if not change.joined],
        }
        return frame(data_push(PRESENCE, dumps(body), self._dictionary))


def _net(changes: Iterable[PresenceChange]) -> list[PresenceChange]:
    """Without those of uids that are where they were before; of a uid they alternate."""
    found: dict[str, PresenceChange] = {}
    for change in changes:
        if found.pop(change.uid, None) is None:
            found[change.uid] = change
    return list(found.values())
