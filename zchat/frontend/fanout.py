"""From a channel to the sockets of its members here: one write per member and turn of the loop.

Live members get what is queued at the end of the turn, joined to one piece which those with the
same frames share. Joining members get nothing yet: it is held until they go live.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice
from typing import Final

from zchat.frontend.local_channel import LocalChannel, Readers
from zchat.frontend.session import Membership
from zchat.frontend.sockets.disconnect import SLOW_READER
from zchat.frontend.standing import Held

# Deliveries of a turn that take the short way: 3 ms; others wait their turn. A room with more than
# that has to wait anyhow and takes none of them: it would only make the turn longer for small ones.
_AT_ONCE: Final = 512
# Bytes of a channel that wait in its members' connections, so that whoever reads keeps up with us:
# a room of N is sent to in N / 128 turns, and what piles up meanwhile is one `send` each.
_PORTION: Final = 262_144
# Seconds that a portion takes at the least: 26 MB/s for each member. In a room of few it is sent in
# one turn, and a lone member who read as fast as it could was cut off by 9 of 40 bursts.
_LEAST: Final = 0.01
_MOST_WAITING: Final = 16_777_216  # bytes of a channel that wait for that

Frame = tuple[bytes, Readers | None]


class Fanout:
    """The way out for all channels of a frontend.

    Walking over members while sending to them is safe: a connection that is cut off meanwhile
    tells of it in a later turn of the loop (see `Connections`), so no table changes under us.

    Args:
        counters: where deliveries are counted.
        hold_limit: bytes held per joining member. When full, its connection is cut off as a slow
            reader and counted in `hold_full`.
    """

    def __init__(self, counters: Counter[str], hold_limit: int) -> None:
        self._hold_limit = hold_limit
        self._dirty: list[LocalChannel] = []
        self.counters = counters

    def queue(self, local: LocalChannel, data: bytes, readers: Readers | None) -> None:
        """A frame for the live members, or for those of `readers`; sent with this turn.

        An empty one is a push that clients here cannot be told: nobody gets it.

        After 256 KiB the next ones wait until all members have been sent those, and for the rest of
        10 ms, or members would be cut off who read as fast as they can. When full (16 MiB wait),
        what is too much waits for nobody any more after these 10 ms (counter `hurried`), and who
        cannot take it is cut off as a slow reader.
        """
        if not local.live or not data:
            return
        if not local.out:
            self._flush_soon(local)
        local.out.append((data, readers))
        local.waiting += len(data)

    def flush_all(self) -> None:
        """Sends what the channels have for their members; for the end of a turn."""
        if not self._dirty:
            return
        walk, self._dirty = iter(self._dirty), []
        at_once = _AT_ONCE
        try:
            for local in walk:
                at_once = self._send(local, at_once)
        finally:
            # One channel's fault must not keep the others from their members.
            self._flush_soon(*walk)

    def _flush_soon(self, *channels: LocalChannel) -> None:
        if channels and not self._dirty:
            asyncio.get_running_loop().call_soon(self.flush_all)
        self._dirty += channels

    def flush(self, local: LocalChannel) -> None:
        """All that is queued is on its way, behind what each member's connection has."""
        if local.out:
            self._hand_out(local, self._take(local), 0)

    def flush_member(self, local: LocalChannel, membership: Membership) -> None:
        """As `flush`, for one member that is not to get it with the others."""
        key = membership.session.id
        connection = membership.session.connection
        if local.out and key in local.live and connection.disconnect is None:
            mine = [data for data, readers in local.out if readers is None or key in readers]
            self.counters["deliveries"] += len(mine)
            connection.enqueue(b"".join(mine))

    def _send(self, local: LocalChannel, at_once: int) -> int:
        if not self._must_wait(local):
            return self._hand_out(local, self._take(local), at_once)
        if local.lap is not None:
            return at_once
        portion = self._portion(local)
        try:
            return self._hand_out(local, portion, at_once)
        finally:  # a fault with this portion must not keep the next ones from the members
            members = local.live.values()
            local.lap = next((m.session.connection.lap() for m in members), lambda: True)
            loop = asyncio.get_running_loop()
            wait = local.since + _LEAST - loop.time()
            if wait > 0:
                loop.call_later(wait, self._go_on, local)
            else:
                loop.call_soon(self._go_on, local)

    @staticmethod
    def _must_wait(local: LocalChannel) -> bool:
        """Whether what is queued is more than the members may be given now."""
        return local.waiting > max(0, _PORTION - local.given)

    @staticmethod
    def _take(local: LocalChannel) -> list[Frame]:
        out, local.out = local.out, []
        _give(local, local.waiting)
        return out

    @staticmethod
    def _portion(local: LocalChannel) -> list[Frame]:
        """What goes out now; the rest follows when the members have been sent it."""
        most = max(_PORTION - local.given, local.waiting - _MOST_WAITING)
        size = count = 0
        for data, _ in local.out:
            if size + len(data) > most and (local.given or count):
                break
            size += len(data)
            count += 1
        portion, local.out = local.out[:count], local.out[count:]
        _give(local, size)
        return portion

    def _go_on(self, local: LocalChannel) -> None:
        """The next portion, once the members have been sent the last one."""
        assert local.lap is not None, "it goes on without having stopped"
        if not local.lap():
            if local.waiting <= _MOST_WAITING:
                asyncio.get_running_loop().call_soon(self._go_on, local)
                return
            self.counters["hurried"] += 1
        local.given, local.lap = 0, None
        self._send(local, _AT_ONCE)
        if not local.out:
            self.promote(local)

    def _hand_out(self, local: LocalChannel, out: Sequence[Frame], at_once: int) -> int:
        """Gives each member its part of `out`; returns how many may still be sent to at once."""
        if not out:
            return at_once
        live = local.live
        apart = [readers for _, readers in out if readers is not None]
        if not apart:
            common = [data for data, _ in out]
            return self._deliver(live.values(), common, at_once)
        common = [data for data, readers in out if readers is None or readers.but]
        special = frozenset[int]().union(*[readers.sessions for readers in apart])
        joined: dict[tuple[bytes, ...], bytes] = {}
        for key in special & live.keys():
            mine = tuple([data for data, readers in out if readers is None or key in readers])
            if mine:
                self.counters["deliveries"] += len(mine)
                data = joined.get(mine) or joined.setdefault(mine, b"".join(mine))
                live[key].session.connection.enqueue(data)
        others = [member for key, member in live.items() if key not in special] if common else ()
        return self._deliver(others, common, at_once)

    def _deliver(
        self, members: Collection[Membership], frames: Sequence[bytes], at_once: int
    ) -> int:
        """All of these get the same: what is done per frame or room is not done per member."""
        self.counters["deliveries"] += len(frames) * len(members)
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        if len(members) > _AT_ONCE:
            for membership in members:
                membership.session.connection.defer(data)
            return at_once
        walk = iter(members)
        for membership in islice(walk, at_once):
            membership.session.connection.deliver(data)
        for membership in walk:
            membership.session.connection.enqueue(data)
        return max(0, at_once - len(members))

    def send(self, local: LocalChannel, membership: Membership, data: bytes) -> None:
        """A frame for one live member, after all that is queued."""
        if self._must_wait(local):
            self.queue(local, data, Readers(frozenset((membership.session.id,))))
            return
        self.flush(local)
        self.counters["deliveries"] += 1
        membership.session.connection.enqueue(data)

    def hold_all(self, local: LocalChannel, held: Held, readers: Readers | None) -> None:
        """A frame for the joining members, or for those of `readers`."""
        for key, membership in local.joining.items():
            if readers is None or key in readers:
                self.hold(membership, held)

    def hold(self, membership: Membership, held: Held) -> None:
        """A frame for one joining member; an empty one as in `queue`."""
        if not held[3] or membership.held_bytes > self._hold_limit:
            return  # in the latter case it was cut off, and will be told to us as closed
        membership.held_bytes += len(held[3])
        if membership.held_bytes > self._hold_limit:
            self.counters["hold_full"] += 1
            membership.held = None
            membership.session.connection.close(SLOW_READER)
        elif membership.held is None:
            membership.held = [held]
        else:
            membership.held.append(held)

    def promote(self, local: LocalChannel) -> None:
        """Let those go live who wait for nothing any more."""
        for membership in list(local.joining.values()):
            self.go_live(local, membership)

    def go_live(self, local: LocalChannel, membership: Membership) -> None:
        """Write what was held past the member's position, once it is known and answered."""
        start = membership.position
        now = local.follower.position
        if start is None or now is None or start.epoch != now.epoch or not membership.answered:
            return
        held, membership.held, membership.held_bytes = membership.held or (), None, 0
        for entry in held:
            if membership.wants(entry):
                self.counters["deliveries"] += 1
                membership.session.connection.enqueue(entry[3])
        if start.offset > now.offset:
            return  # publications from before it came are still on their way: not for it
        if self._must_wait(local):
            return  # `flush` would give all of it to all members: later, see `_go_on`
        self.flush(local)
        del local.joining[membership.session.id]
        local.live[membership.session.id] = membership


def _give(local: LocalChannel, size: int) -> None:
    """So much of what waits goes to the members; with the first of it a portion begins."""
    if not local.given:
        local.since = asyncio.get_running_loop().time()
    local.waiting -= size
    local.given += size
