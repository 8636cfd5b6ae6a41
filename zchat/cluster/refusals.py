"""What peers sent that could not be used: counted always, logged at a bounded rate."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from zchat.cluster.envelope import Envelope, decode, decode_readable
from zchat.errors import ClusterError

logger = logging.getLogger("zchat.cluster")

_DETAIL_CHARACTERS = 200


class Refusals:
    """Counts refused messages and envelopes by reason.

    The first is logged at once, later ones at most every `interval` seconds with their number, so
    that a hostile peer cannot fill the log.

    Args:
        where: what refuses, for the log: `ROUTER of chat-server-1`.
        clock: seconds.
        interval: seconds between two lines.
    """

    def __init__(self, where: str, clock: Callable[[], float], interval: float = 10.0) -> None:
        self.counts: Counter[str] = Counter()
        """How many, by reason. Reasons are words of this package, never of a peer."""
        self._where = where
        self._clock = clock
        self._interval = interval
        self._next_line = float("-inf")
        self._unsaid = 0

    @property
    def total(self) -> int:
        """How many since the start."""
        return self.counts.total()

    def count(self, reason: str, count: int) -> None:
        """Counts refused envelopes that were to be expected: they are not worth a line."""
        self.counts[reason] += count

    def refuse(self, reason: str, peer: object, detail: object = "", count: int = 1) -> None:
        """Counts `count` refused envelopes of `peer`."""
        self.counts[reason] += count
        self._unsaid += count
        now = self._clock()
        if now < self._next_line:
            return
        self._next_line = now + self._interval
        logger.warning(
            "%s refused %d envelope(s), last: %s from %r %s",
            self._where,
            self._unsaid,
            reason,
            peer,
            str(detail)[:_DETAIL_CHARACTERS],
        )
        self._unsaid = 0

    def read(self, message: bytes, peer: object) -> list[Envelope]:
        """The envelopes of a message of `peer`; those that cannot be read are refused."""
        try:
            return decode(message)
        except ClusterError as error:
            envelopes, unreadable = decode_readable(message)
            self.refuse("unreadable", peer, error, unreadable)
            return envelopes
