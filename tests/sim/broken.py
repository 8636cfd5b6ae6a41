"""Rules of zchat, broken one at a time: what the simulation has to find out about.

Each is a name and what it does to zchat in this interpreter, for good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

from tests.sim.journal import SharedJournal
from zchat.client.recovery import Recovery
from zchat.frontend.fanout import Fanout
from zchat.rooms.follower import Follower
from zchat.rooms.owned_stream import OwnedStream
from zchat.rooms.repeats import Repeats
from zchat.rooms.stores.base import Append, Outcome, Stored
from zchat.rooms.stream import StreamPosition


def _replace(target: str, stand_in: Any) -> None:
    mock.patch(target, stand_in).start()


def no_fence() -> None:
    """The journal takes every append for granted, whoever owns the channel."""

    def append(journal: SharedJournal, writer: str, generation: int, append: Append) -> Outcome:
        log = journal.log(append.channel)
        log.publications[append.start.offset :] = append.publications
        return Stored()

    _replace("tests.sim.journal.SharedJournal.append", append)


def no_announce() -> None:
    """Frontends tell nobody of their members."""
    _replace("zchat.frontend.resync._claims", lambda local: [])


def no_repair() -> None:
    """What was lost between an owner and a frontend is not fetched."""

    def receive(follower: Follower, epoch: str, run: Any) -> list[Any]:
        position = follower.position
        if position is not None and position.epoch == epoch and run.first > position.offset + 1:
            follower._skip_to(run.first - 1)
        return real(follower, epoch, run)

    real = Follower.receive
    _replace("zchat.rooms.follower.Follower.receive", receive)
    _replace("zchat.rooms.follower.Follower.missing", False)


def no_repeats() -> None:
    """A worker does not remember what was published already."""
    _replace("zchat.rooms.repeats.Repeats.find", lambda repeats, key, now: None)


def live_too_early() -> None:
    """A newcomer is live before what came before it has been told to the others."""

    def go_live(fanout: Fanout, local: Any, membership: Any) -> None:
        if membership.position is not None:
            membership.position = StreamPosition(membership.position.epoch, 0)
        real(fanout, local, membership)

    real = Fanout.go_live
    _replace("zchat.frontend.fanout.Fanout.go_live", go_live)


def early_ack() -> None:
    """What is sent is acknowledged before it is in the journal."""

    def take(stream: OwnedStream, limit: int, size: int, ts: int) -> Append | None:
        append = real(stream, limit, size, ts)
        if append is not None:
            for publication, ticket in zip(append.publications, stream.under_way, strict=True):
                ticket.settle(StreamPosition(append.epoch, publication.offset))
        return append

    real = OwnedStream.take
    _replace("zchat.rooms.owned_stream.OwnedStream.take", take)


def immortal_members() -> None:
    """Who is lost stays."""
    _replace("zchat.rooms.presence.Presence.expire", lambda presence, now: iter(()))


def forgetful_client() -> None:
    """A client that comes back does not look at what it missed."""

    def entered(recovery: Recovery, answer: Any) -> Sequence[Any]:
        return real(recovery, {**answer, "publications": []})

    real = Recovery.entered
    _replace("zchat.client.recovery.Recovery.entered", entered)


def repeats_of_this_life() -> None:
    """A worker that takes a channel does not read what was published before."""
    real = Repeats.add

    def add(repeats: Repeats, publications: Sequence[Any]) -> None:
        if len(publications) == 1:
            real(repeats, publications)

    _replace("zchat.rooms.repeats.Repeats.add", add)


def deaf_members() -> None:
    """Whose owner's word was lost waits for it for ever."""
    _replace("zchat.frontend.hub.Hub.tick", lambda hub: None)


def refused_members() -> None:
    """Who is let in by a request that fails stays in."""
    _replace("zchat.frontend.hub.Hub.refused", lambda hub, session, request: None)


RULES: dict[str, Callable[[], None]] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        no_fence,
        no_announce,
        no_repair,
        no_repeats,
        live_too_early,
        early_ack,
        immortal_members,
        forgetful_client,
        repeats_of_this_life,
        deaf_members,
        refused_members,
    )
}
