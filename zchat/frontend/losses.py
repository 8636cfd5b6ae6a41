"""Sessions that are in a channel no more, on their way to the owners that let them in."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zchat.frontend.session import Membership, SessionTable

_LIMIT = 10_000
_RECENT = 30.0
"""Seconds for which a loss that was told may have been lost itself, with the link it went by."""

Loss = tuple[float, str, str, int, bytes]
"""(monotonic seconds, channel, uid, session, token of the order that had let it in)"""

Cast = Callable[[str, str, Sequence[Any]], bool]
"""(server, method, args): tells a server something; False when it cannot be told now."""


class Losses:
    """What each owner has to hear, has heard of late, and may know wrongly.

    When full (10,000 losses wait for an owner that cannot be told), further ones are dropped and
    counted in `losses_dropped`; their members stay until this process or the owner ends.

    Args:
        sessions: the sessions here.
        cast: tells a server something.
        counters: where it counts.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        sessions: SessionTable,
        cast: Cast,
        counters: Counter[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._cast = cast
        self._counters = counters
        self._clock = clock
        self._untold: dict[str, list[Loss]] = {}
        # When full the oldest is forgotten: it was told once.
        self._told: dict[str, deque[Loss]] = {}
        # Who was claimed from an owner that has not answered; bounded by the members then here.
        self._claimed: dict[str, set[tuple[str, str, int, bytes]]] = {}

    def add(self, owner: str, channel: str, uid: str, session: int, order: bytes) -> None:
        """That session is not (or not any more) in a channel of `owner`; told once it can be.

        Args:
            order: the token of the last order by which it was: a later one is not meant.
        """
        self._tell(owner, (self._clock(), channel, uid, session, order))

    def claimed(self, owner: str, members: Iterable[Membership]) -> None:
        """`owner` is about to hear that these are here, and may hear it late."""
        self._claimed.setdefault(owner, set()).update(
            (member.channel, member.uid, member.session.id, member.order) for member in members
        )

    def repeat(self, owner: str) -> None:
        """Once an owner has answered: whoever it may still take for a member that is here.

        That is who could not be told of, or by a link that broke since; and who went while being
        claimed, even by an announce that was given up: it may have reached the owner late.
        """
        now = self._clock()
        told = [loss for loss in self._told.pop(owner, ()) if loss[0] >= now - _RECENT]
        claimed = [(now, *claim) for claim in sorted(self._claimed.pop(owner, ()))]
        losses = {loss[1:]: loss for loss in [*claimed, *told, *self._untold.pop(owner, ())]}
        for loss in losses.values():
            if not self._is_in(*loss[1:4]):  # it may have come back
                self._tell(owner, loss)

    def forget(self, owner: str) -> None:
        """The server is gone: it need not hear of anybody any more."""
        self._untold.pop(owner, None)
        self._told.pop(owner, None)
        self._claimed.pop(owner, None)

    def _tell(self, owner: str, loss: Loss) -> None:
        _, channel, uid, session, order = loss
        ref = (self._sessions.frontend, self._sessions.incarnation, session)
        last = order if self._sessions.get(session) else None
        if self._cast(owner, "channel.lost", (channel, uid, ref, last)):
            self._told.setdefault(owner, deque(maxlen=_LIMIT)).append(loss)
            return
        untold = self._untold.setdefault(owner, [])
        if len(untold) < _LIMIT:
            untold.append(loss)
        else:
            self._counters["losses_dropped"] += 1

    def _is_in(self, channel: str, uid: str, session: int) -> bool:
        known = self._sessions.get(session)
        membership = (known.memberships or {}).get(channel) if known is not None else None
        return membership is not None and membership.uid == uid
