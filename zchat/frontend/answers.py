"""What a frontend claims from the owners of its channels, and what they answer."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from zchat.errors import ClusterError
from zchat.rooms.stream import Item, PresenceChange

T = TypeVar("T")


class Claim(msgspec.Struct, array_like=True, gc=False):
    """One member here, as its owner is told."""

    uid: str
    session: int
    since: float
    exclusive: bool
    resume: str


class Announced(msgspec.Struct, array_like=True, gc=False):
    """What an owner answers for one channel."""

    channel: str
    epoch: str
    offset: int
    version: int


class Repaired(msgspec.Struct, array_like=True, gc=False):
    """Fetched publications: `items` begin at `first`, the channel ends at `epoch`, `offset`."""

    epoch: str
    offset: int
    first: int
    items: list[Item]


class Compared(msgspec.Struct, array_like=True, gc=False):
    """What brings a roster to the owner's member list, which has `version`."""

    epoch: str
    version: int
    changes: list[PresenceChange]
    unknown: bool = False
    """It has forgotten what changed since the roster's version: it has to see the roster itself."""


def read(raw: object, kind: type[T]) -> T:
    """What a peer answered, which may be another version of us."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise ClusterError(f"unreadable answer: {error}") from None
