"""Where a member stands in its channel: in the stream of publications, and in the member list.

Pure: when it is asked, and what is sent, is the hub's.
"""

from __future__ import annotations

from collections.abc import Collection, Set

from zchat.rooms.stream import PresenceChange, StreamPosition

Held = tuple[str, int, PresenceChange | None, bytes]
"""(epoch, offset, None, frame) or (epoch, 0, change, frame) of what a joining member may get."""

NOBODY: frozenset[str] = frozenset()
"""Shared by all to whom it applies: an empty set of its own would cost each of them 216 bytes."""


class Standing:
    """What a member's client has, what is held for it, and what it wants of what comes.

    Its client begins with the member list of the answer that let it in, which need not be the
    channel's roster here: by other ways, changes come sooner or later, or never when an owner dies.
    `differs` and `version` say how the two differ, until they do not any more.

    Args:
        uid: the member's: nobody is told of themselves.
    """

    __slots__ = ("differs", "floor", "held", "held_bytes", "position", "uid", "version")

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.position: StreamPosition | None = None
        """Where the member came in; None until it is admitted."""
        self.floor: StreamPosition | None = None
        """What had been passed on here when its frames began to be held; None when nothing had."""
        self.version = 0
        """Of the list that it came in with: it has what changed up to there. 0 when that list was
        another owner's, or the owner may count anew."""
        self.differs: set[str] | frozenset[str] = NOBODY
        """Of whom its client knows the opposite of what the roster says."""
        self.held: list[Held] | None = None
        """What waits for the answer to the request that joined it."""
        self.held_bytes = 0

    def wants(self, held: Held) -> bool:
        """Whether this was published after the member came in; False while it is not admitted."""
        epoch, offset, change, _ = held
        start = self.position
        if start is None or change is not None:
            return start is not None  # changes that it does not want are not held
        return epoch == start.epoch and offset > start.offset

    def is_outrun(self, start: StreamPosition) -> bool:
        """Whether it would miss something here if it came in at `start`."""
        floor = self.floor
        return floor is not None and floor.epoch == start.epoch and floor.offset > start.offset

    def take_list(self, uids: Collection[str], version: int, roster: Set[str]) -> None:
        """Its client will have this member list, and then what is held for it.

        Args:
            version: see `version`.
            roster: the uids whom the members here know of.
        """
        self.version = version
        known, held = set(uids), []
        for entry in self.held or ():
            change = entry[2]
            if change is not None:
                if change.version <= version or change.joined == (change.uid in known):
                    continue
                known ^= {change.uid}
            held.append(entry)
        self.held = held or None
        self.differs = (known ^ roster) - {self.uid} or NOBODY

    def take(self, change: PresenceChange, known: bool) -> bool:
        """The roster takes a change over; returns whether this client is to be told.

        Args:
            known: whether the roster had that uid before.
        """
        uid = change.uid
        if uid == self.uid:
            return False
        has = known != (uid in self.differs)
        told = change.version >= self.version and has != change.joined
        if told or has == change.joined:
            self._agree(uid)
        else:
            self._differ(uid)
        return told

    def _differ(self, uid: str) -> None:
        if isinstance(self.differs, set):
            self.differs.add(uid)
        else:
            self.differs = {uid}

    def _agree(self, uid: str) -> None:
        if isinstance(self.differs, set):
            self.differs.discard(uid)
            self.differs = self.differs or NOBODY

    def begin(self, epoch: str) -> bool:
        """The channel is in this epoch now: who came in before it began gets all of it.

        What the member still had coming of its old epoch stays in front.

        Returns:
            Whether this member came in before.
        """
        if self.position is None or self.position.epoch == epoch:
            return False
        if self.held is not None:
            wanted = [held for held in self.held if held[0] == epoch or self.wants(held)]
            self.held = [(epoch, offset, change, data) for _, offset, change, data in wanted]
        self.position = StreamPosition(epoch, 0)
        self.version = 0
        return True

    def doubt(self) -> None:
        """The owner may count its member list's versions anew: what it had is of no version."""
        self.version = 0
        if self.position is None and self.held is not None:  # its list is still to come
            self.held = [held for held in self.held if held[2] is None]
