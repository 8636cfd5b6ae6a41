"""What the owners of channels order a frontend to do with its sessions."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from zchat.framework.peers.methods import Methods
from zchat.framework.sessions.logins import LOGIN
from zchat.frontend.hub import Hub
from zchat.frontend.losses import Cast
from zchat.frontend.resync import Resync
from zchat.frontend.session import SessionTable
from zchat.frontend.sockets.disconnect import KICKED, RESUMED, SIGNED_IN_ELSEWHERE
from zchat.rooms.ring import Ring
from zchat.rooms.stream import StreamPosition

logger = logging.getLogger("zchat.session")


class OwnerOrders:
    """The frontend's end of `Admission`: who comes into a channel here, and who goes.

    An owner that orders something of who is no member here, or is none any more, is told so.

    What thousands of members have in common is interned: of each text that comes from an owner
    there would else be one in each of them.

    Args:
        sessions: of this frontend.
        hub: keeps their memberships.
        resync: tells owners who is gone.
        cast: tells a server something.
        ring: the ring of now.
        methods: where the orders are offered.
    """

    def __init__(
        self,
        sessions: SessionTable,
        hub: Hub,
        resync: Resync,
        cast: Cast,
        ring: Callable[[], Ring],
        methods: Methods,
    ) -> None:
        self._sessions = sessions
        self._hub = hub
        self._resync = resync
        self._cast = cast
        self._ring = ring
        methods.add_cast("hub.join", self._join)
        methods.add_cast("hub.joined", self._joined)
        methods.add_cast("hub.undo", self._undo)
        methods.add_cast("hub.leave", self._leave)
        methods.add_cast("hub.evict", self._evict)

    def _join(
        self,
        session: int,
        channel: str,
        uid: str,
        owner: str,
        token: bytes,
        request: int,
        differences: bool,
    ) -> None:
        known = self._sessions.get(session)
        order = (uid, sys.intern(owner), token, request, differences)
        if known is not None and self._hub.join(known, channel, *order):
            return
        membership = (known.memberships or {}).get(channel) if known else None
        if membership is not None and membership.uid == uid:
            # In by another order: only this one fails, now or, if that is lost, at its deadline.
            self._cast(owner, "channel.refused", (token,))
        else:
            self._resync.gone(owner, channel, uid, session, token)

    def _joined(
        self,
        session: int,
        channel: str,
        uid: str,
        owner: str,
        epoch: str,
        offset: int,
        version: int,
        token: bytes,
        since: float,
        exclusive: bool,
        resume: str,
        uids: list[str],
        since_base: bool,
        gone: list[str],
    ) -> None:
        known = self._sessions.get(session)
        position = StreamPosition(sys.intern(epoch), offset)
        order = (position, version, token, since, exclusive, resume)
        if known is None or not self._hub.joined(
            known, channel, owner, *order, uids, since_base, gone
        ):
            self._resync.gone(owner, channel, uid, session, token)
        else:
            self._resync.came_in(channel, owner, epoch)

    def _undo(self, session: int, channel: str, token: bytes) -> None:
        known = self._sessions.get(session)
        if known is not None:
            self._hub.undo(known, channel, token)

    def _leave(self, session: int, channel: str, owner: str) -> None:
        known = self._sessions.get(session)
        membership = (known.memberships or {}).get(channel) if known else None
        if known is None or membership is None:
            return
        self._hub.leave(known, channel)
        now = self._ring().owner(channel)
        if now not in (None, owner):  # it has heard of this member from us, and not of its leave
            self._resync.gone(now, channel, membership.uid, session, membership.order)

    def _evict(self, session: int, channel: str, resumed: bool) -> None:
        """Another session has the place of this one.

        Args:
            resumed: its own client took it; else two had one name in a room that changed owners.
        """
        known = self._sessions.get(session)
        if known is None:
            return
        self._hub.leave(known, channel)
        if channel.startswith(LOGIN):
            logger.info("session %d of %s is signed in elsewhere", known.id, known.uid)
            known.connection.close(SIGNED_IN_ELSEWHERE)
            return
        taken = f"somebody else has your name in {channel}"
        known.connection.close(RESUMED if resumed else KICKED.because(taken))
