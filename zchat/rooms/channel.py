"""A channel at its owner: its stream, its members, and the frames that tell of both."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zchat.protocol.body import loads
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.message import data_push
from zchat.protocol.protos import NO_PROTOS, Protos
from zchat.rooms.changes import Change
from zchat.rooms.owned_stream import OwnedStream
from zchat.rooms.presence import Presence
from zchat.rooms.stream import (
    PresenceChange,
    PresenceChanges,
    Publication,
    Published,
    check_body,
    encode_frame,
    published,
)

logger = logging.getLogger("zchat.app")

_MISSING = 1.0
"""Seconds beyond the grace for which a new owner takes who is missing for lost, not for gone."""


@dataclass(frozen=True, slots=True)
class PresencePushes:
    """What the application tells members when another one comes or goes.

    Routes may be empty: then nothing is pushed. `body` makes the push's body from the uid and
    the route.
    """

    joined: str = ""
    left: str = ""
    body: Callable[[str, str], dict[str, Any]] = lambda uid, route: {"uid": uid}

    def package(
        self, change: Change, dictionary: RouteDictionary, protos: Protos = NO_PROTOS
    ) -> bytes:
        """The push package for a change; empty when the application wants none.

        Raises:
            Misfit: the body does not fit the route's schema.
        """
        route = self.joined if change.joined else self.left
        if not route:
            return b""
        body = protos.at_server.encode(route, self.body(change.uid, route))
        return data_push(route, body, dictionary)


@dataclass(slots=True)
class Channel:
    """One owned channel."""

    stream: OwnedStream
    presence: Presence
    taken: float = 0.0
    """When this owner took it, in seconds of a monotonic clock."""
    untold: list[Change] = field(default_factory=list)
    """Changes of the member list that wait to be told together; see `Voice`."""
    quiet_from: float = -math.inf
    """When a change may be told at once again, in seconds of a monotonic clock."""

    @property
    def name(self) -> str:
        """The channel's name."""
        return self.stream.channel

    @property
    def idle(self) -> bool:
        """Whether nothing would be missed if this channel were forgotten."""
        return not (self.presence.members or self.stream.busy)

    def compare(
        self, version: int, uids: Sequence[str], doubtful: Sequence[str], now: float
    ) -> list[Change]:
        """The changes that bring a frontend's roster to the member list; see `Changes.bring`.

        Who is in a roster from before this owner's time and was claimed by nobody is lost: it may
        still come back within the grace. So this may itself change the list.
        """
        presence = self.presence
        if now < self.taken + presence.grace + _MISSING:
            for uid in presence.changes.unexplained(version, uids, presence.members):
                presence.miss(uid, now)
        return presence.changes.bring(version, uids, presence.members, doubtful)


class Framer:
    """Builds the frames that an owner publishes.

    Args:
        pushes: the application's presence pushes.
        dictionary: the routes that have codes.
        protos: the schemas of bodies.
    """

    def __init__(
        self, pushes: PresencePushes, dictionary: RouteDictionary, protos: Protos = NO_PROTOS
    ) -> None:
        self._pushes = pushes
        self._dictionary = dictionary
        self._protos = protos

    def check(self, route: str, body: bytes) -> None:
        """Whether a publication of this body, JSON, can be sent to clients.

        Raises:
            Misfit: it does not fit the route's schema.
        """
        schema = self._protos.at_server.outgoing.get(route)
        if schema is not None:
            check_body(loads(body), schema)

    def run(self, epoch: str, publications: Sequence[Publication]) -> Published:
        """Publications without holes between them, as packages."""
        return published(publications, epoch, self._dictionary, self._protos)

    def published(self, epoch: str, publications: Sequence[Publication]) -> bytes:
        """The frame of a batch."""
        return encode_frame(self.run(epoch, publications))

    def change(self, epoch: str, change: Change) -> PresenceChange:
        """A member's coming or going, with the push that tells of it.

        When the application's `body` fails, that is logged and the change goes untold: the member
        has come or gone all the same.
        """
        uid, joined, version = change
        try:
            package = self._pushes.package(change, self._dictionary, self._protos)
        except Exception:
            logger.exception("no presence push of %s", uid)
            package = b""
        return PresenceChange(epoch, version, uid, joined, package)

    def presence(self, epoch: str, changes: Sequence[Change]) -> bytes:
        """The frame of members' coming and going; at least one change."""
        found = tuple([self.change(epoch, change) for change in changes])
        return encode_frame(found[0] if len(found) == 1 else PresenceChanges(found))
