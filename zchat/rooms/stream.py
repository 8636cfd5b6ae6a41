"""A channel's stream: publications in one order, and the frames that carry them to frontends.

What an owner sends on its XPUB under the channel's topic is one msgpack array, told apart by its
first element:

| frame          | elements                                       | numbered by           |
|----------------|------------------------------------------------|-----------------------|
| Published      | 1, epoch, first offset, [[package, audience]…] | offset, one per item  |
| PresenceChange | 2, epoch, version, uid, joined, package        | version of the members |
| PresenceChanges | 4, [change…]                                  | version of each       |
| Pushed         | 5, package, audience                           | nothing               |
| Beat           | 3, owner, incarnation, number, [place…]        | its own               |

`package` is a complete package of the client wire, built once here; `audience` is nil for all
members or the list of uids that it is for. A channel's `epoch` names one life of its numbering. A
place in a beat is `[channel, epoch, offset, version]`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from zchat.errors import ClusterError
from zchat.protocol.body import dumps, loads
from zchat.protocol.dictionary import MAX_ROUTE, RouteDictionary
from zchat.protocol.message import data_push
from zchat.protocol.misfit import Misfit
from zchat.protocol.protobuf import MessageType
from zchat.protocol.protos import NO_PROTOS, Protos

logger = logging.getLogger("zchat.app")

RESERVED = frozenset({"epoch", "offset", "id", "ts"})
"""Members that a publication's body gets from zchat; an application's body may not have them."""

MAX_BODY_BYTES = 256 * 1024
"""The largest body of a publication: every member's outbox must have room for some of them, and a
page of a channel's history for one."""

_AROUND = 512
"""Bytes of a frame that go with a body: its route, its place, the lengths."""

_ESCAPED = 12
"""Bytes that a character may take in JSON: two escapes."""

_UTF8 = 4

_MAX_NAME = 200

_SOME_PLACE = {"epoch": "", "offset": 0, "id": "", "ts": 0}
"""What `own_members` adds, as far as schemas see it."""


class StreamPosition(NamedTuple):
    """A place in a channel's stream; offset 0 is before the first publication."""

    epoch: str
    offset: int


class Publication(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One ordered item of a channel, as the journal keeps it: never as a package."""

    offset: int
    route: str
    body: bytes
    """The application's JSON object."""
    uid: str
    """Who sent it; empty for the application itself."""
    cid: str
    """The sender's own id for it; empty when there is none."""
    ts: int
    """When the owner numbered it, in milliseconds since 1970."""
    audience: tuple[str, ...] | None = None
    """The uids it is for; None means all members."""


class Item(NamedTuple):
    """One publication ready for sockets."""

    package: bytes
    audience: tuple[str, ...] | None


class Published(msgspec.Struct, array_like=True, frozen=True, tag=1, gc=False):
    """Publications `first`, `first + 1`, … of one epoch."""

    epoch: str
    first: int
    items: tuple[Item, ...]


class PresenceChange(msgspec.Struct, array_like=True, frozen=True, tag=2, gc=False):
    """A member came or went, which made the member list `version`."""

    epoch: str
    version: int
    uid: str
    joined: bool
    package: bytes


class PresenceChanges(msgspec.Struct, array_like=True, frozen=True, tag=4, gc=False):
    """Several of a moment, at least two, whose versions follow one another."""

    changes: tuple[PresenceChange, ...]


class Pushed(msgspec.Struct, array_like=True, frozen=True, tag=5, gc=False):
    """A push to members that is no publication: whoever misses it has missed it."""

    package: bytes
    audience: tuple[str, ...] | None


class Beat(msgspec.Struct, array_like=True, frozen=True, tag=3, gc=False):
    """Where the channels of an owner stand that changed lately; see `beat.py`."""

    owner: str
    incarnation: str
    number: int
    positions: list[tuple[str, str, int, int]]
    """(channel, epoch, offset, version of the member list)"""


StreamFrame = Published | PresenceChange | PresenceChanges | Pushed | Beat

encode_frame = msgspec.msgpack.Encoder().encode
_decode_frame: Callable[[bytes], StreamFrame] = msgspec.msgpack.Decoder(StreamFrame).decode


def decode_frame(payload: bytes) -> StreamFrame:
    """Read what `encode_frame` wrote; raises ClusterError for anything else."""
    try:
        return _decode_frame(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ClusterError(f"not a stream frame: {error}") from error


def package(
    publication: Publication, epoch: str, dictionary: RouteDictionary, protos: Protos = NO_PROTOS
) -> bytes:
    """The push package that clients get: the application's body and zchat's own members.

    The members are spliced into the encoded object, so a body of JSON is encoded once in its life.
    A route's schema carries those of them that it declares.

    Raises:
        Misfit: the body does not fit the route's schema.
    """
    schema = protos.at_server.outgoing.get(publication.route)
    if schema is not None:
        encoded = schema.encode({**loads(publication.body), **own_members(publication, epoch)})
        return data_push(publication.route, encoded, dictionary)
    offset, body = publication.offset, publication.body
    name = dumps(publication.cid or f"{epoch}-{offset}")
    comma = b"" if body == b"{}" else b","
    tail = b'%s"epoch":"%s","offset":%d,"ts":%d,"id":%s}' % (
        comma,
        epoch.encode(),
        offset,
        publication.ts,
        name,
    )
    return data_push(publication.route, body[:-1] + tail, dictionary)


def own_members(publication: Publication, epoch: str) -> dict[str, Any]:
    """What zchat adds to a publication's body."""
    offset = publication.offset
    name = publication.cid or f"{epoch}-{offset}"
    return {"epoch": epoch, "offset": offset, "ts": publication.ts, "id": name}


def check_name(name: str) -> None:
    """Whether a channel can have this name.

    Raises:
        ValueError: it is empty, longer than 200 characters, begins with a control character, or has
            a NUL or half of a surrogate pair.
    """
    if not 0 < len(name) <= _MAX_NAME or "\0" in name or name[0] < " ":
        raise ValueError(f"channel name {name[:50]!r}: expected 1 to {_MAX_NAME} characters")
    name.encode()


def check_body(body: dict[str, Any], schema: MessageType) -> None:
    """Whether a publication of this body can be sent to clients.

    Raises:
        Misfit: it does not fit the route's schema.
    """
    schema.encode({**body, **_SOME_PLACE})


def published(
    publications: Sequence[Publication],
    epoch: str,
    dictionary: RouteDictionary,
    protos: Protos = NO_PROTOS,
) -> Published:
    """The frame for a run of publications without holes; at least one.

    One that was journalled and whose route has got a schema since that it does not fit keeps its
    place, and is for nobody. It is logged.
    """
    items = tuple(_item(p, epoch, dictionary, protos) for p in publications)
    return Published(epoch, publications[0].offset, items)


def _item(
    publication: Publication, epoch: str, dictionary: RouteDictionary, protos: Protos
) -> Item:
    try:
        return Item(package(publication, epoch, dictionary, protos), publication.audience)
    except Misfit as misfit:
        place = f"{epoch}/{publication.offset}"
        logger.error("%s cannot be sent: a push on %s: %s", place, publication.route, misfit)
        return Item(b"", ())


def first_page(publications: Sequence[Publication], size: int) -> Sequence[Publication]:
    """The first of them, at least one, with bodies of `size` bytes at the most."""
    for index, publication in enumerate(publications):
        size -= len(publication.body)
        if index and size < 0:
            return publications[:index]
    return publications


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A publication before it has its place.

    Raises:
        ValueError: it could be journalled and yet never be sent: the route or the body is too long,
            or the body is no JSON object.
    """

    route: str
    body: bytes
    uid: str = ""
    cid: str = ""
    audience: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.route.encode()) <= MAX_ROUTE:
            raise ValueError(f"push route {self.route[:50]!r}: expected 1 to {MAX_ROUTE} bytes")
        if len(self.body) > MAX_BODY_BYTES:
            raise ValueError(f"a body of {len(self.body)} bytes; at most {MAX_BODY_BYTES} are sent")
        if not (self.body.startswith(b"{") and self.body.endswith(b"}")):
            raise ValueError("the body of a publication is a JSON object")

    @property
    def size(self) -> int:
        """The bytes that it takes in a frame at the most, unless its schema makes it longer."""
        size = len(self.body) + _AROUND + _ESCAPED * len(self.cid)
        if self.audience is not None:
            size += sum(_UTF8 * len(uid) for uid in self.audience)
        return size

    def at(self, offset: int, ts: int) -> Publication:
        """The publication that this becomes at its place."""
        return Publication(offset, self.route, self.body, self.uid, self.cid, ts, self.audience)
