"""What somebody missed, and what was said before: pages of a channel's history for one uid.

Pure: callers read the journal. A publication is for the uids of its audience and for its sender;
to all others it is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from zchat.protocol.body import loads
from zchat.rooms.stores.base import History
from zchat.rooms.stream import Publication, StreamPosition, first_page, own_members

PAGE = 200
"""Publications that an answer has at the most."""

PAGE_BYTES = 64 * 1024
"""Bytes of their bodies; browsers of Pomelo's time choke on larger messages (pomelo wire 12.5)."""


FURTHEST = 2**53
"""No offset is larger: JavaScript could not hold it, and between servers integers have 64 bits."""


class Position(msgspec.Struct, frozen=True):
    """A place in a channel, as clients write it."""

    epoch: str
    offset: Annotated[int, msgspec.Meta(ge=-FURTHEST, le=FURTHEST)]


class Recovered(msgspec.Struct, frozen=True):
    """What a member gets that was here before."""

    recovered: bool
    """Whether nothing is missing between where it was and what follows."""

    publications: list[dict[str, Any]]
    """What it missed and may see, oldest first; empty when it could not be recovered."""

    next: int = 0
    """Where the history goes on from (`after`), when this is not all; else 0."""


class Page(msgspec.Struct, frozen=True):
    """Some of what was said and may be seen, oldest first."""

    publications: list[dict[str, Any]]

    next: int
    """What to pass as `before` or `after` to go on in the same direction; 0 at the end."""

    recovered: bool = True
    """Whether it begins where it was asked to; False when what comes first is kept no longer."""

    def answer(self) -> dict[str, Any]:
        """The members that clients get."""
        return {
            "publications": self.publications,
            "recovered": self.recovered,
            "more": self.next > 0,
            "next": self.next,
        }


NOTHING = Recovered(False, [])


def is_for(publication: Publication, uid: str) -> bool:
    """Whether this uid may see it."""
    audience = publication.audience
    return audience is None or uid in audience or publication.uid == uid


def as_push(publication: Publication, epoch: str) -> dict[str, Any]:
    """The body of the push that its members got, and its route."""
    own = own_members(publication, epoch)
    return {**loads(publication.body), **own, "route": publication.route}


def recover(
    uid: str, since: StreamPosition, position: StreamPosition, history: History
) -> Recovered:
    """What `uid` missed.

    Args:
        since: the last that it has.
        position: where it came in again; what follows it gets live.
        history: what the journal has after `since`, at most PAGE publications.
    """
    if since.epoch != position.epoch or not 0 <= since.offset <= position.offset:
        return NOTHING
    missed = [p for p in history.publications if p.offset <= position.offset]
    if since.offset < position.offset and (not missed or missed[0].offset != since.offset + 1):
        return NOTHING  # the journal does not have it any more
    page = first_page(missed, PAGE_BYTES)
    more = bool(page) and page[-1].offset < position.offset
    return Recovered(True, visible(uid, page, position.epoch), page[-1].offset if more else 0)


def forward(uid: str, after: int, history: History) -> Page:
    """The first of `history`, which the journal has after an offset."""
    page = first_page(history.publications, PAGE_BYTES)
    last = page[-1].offset if page else 0
    first = page[0].offset if page else history.tail.offset + 1
    pushes = visible(uid, page, history.tail.epoch)
    return Page(pushes, last if last < history.tail.offset else 0, first <= after + 1)


def backward(uid: str, history: History) -> Page:
    """The last of `history`, which the journal has before some offset."""
    page = first_page(history.publications[::-1], PAGE_BYTES)[::-1]
    more = bool(page) and page[0].offset > 1
    return Page(visible(uid, page, history.tail.epoch), page[0].offset if more else 0)


def visible(uid: str, publications: Sequence[Publication], epoch: str) -> list[dict[str, Any]]:
    """Those that `uid` may see, as pushes."""
    return [as_push(p, epoch) for p in publications if is_for(p, uid)]
