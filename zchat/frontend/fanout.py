"""From a channel to the sockets of its members here: one write per member and turn of the loop.

Live members get what is queued at the end of the turn, joined to one piece which those with the
same frames share. Joining members get nothing yet: it is held until they go live.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from zchat.frontend.disconnect import SLOW_READER
from zchat.frontend.local_channel import LocalChannel, Wanted
from zchat.frontend.session import Held, Membership


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

    def queue(self, local: LocalChannel, data: bytes, wanted: Wanted | None) -> None:
        """A frame for the live members, or for those who are `wanted`; sent with this turn."""
        if not local.live:
            return
        if not local.out:
            if not self._dirty:
                asyncio.get_running_loop().call_soon(self._flush_all)
            self._dirty.append(local)
        local.out.append((data, wanted))

    def _flush_all(self) -> None:
        dirty, self._dirty = self._dirty, []
        for local in dirty:
            self.flush(local)

    def flush(self, local: LocalChannel) -> None:
        """One `enqueue` per member, of bytes that members with the same frames share."""
        out, local.out = local.out, []
        if not out:
            return
        if all(wanted is None for _, wanted in out):
            self.counters["deliveries"] += len(out) * len(local.live)
            data = out[0][0] if len(out) == 1 else b"".join([data for data, _ in out])
            for membership in local.live.values():
                membership.session.connection.enqueue(data)
            return
        joined: dict[tuple[bytes, ...], bytes] = {}
        for membership in local.live.values():
            mine = tuple([data for data, wanted in out if wanted is None or wanted(membership)])
            if mine:
                self.counters["deliveries"] += len(mine)
                data = joined.get(mine) or joined.setdefault(mine, b"".join(mine))
                membership.session.connection.enqueue(data)

    def hold_all(self, local: LocalChannel, held: Held, wanted: Wanted | None) -> None:
        """A frame for the joining members, or for those who are `wanted`."""
        for membership in local.joining.values():
            if wanted is None or wanted(membership):
                self.hold(membership, held)

    def hold(self, membership: Membership, held: Held) -> None:
        """A frame for one joining member."""
        if membership.held_bytes > self._hold_limit:
            return  # it was cut off and will be told to us as closed
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
        self.flush(local)
        del local.joining[membership.session.id]
        local.live[membership.session.id] = membership
