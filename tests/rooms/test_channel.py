"""What an owner keeps of a channel and says of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.logs import ExpectedLogs
from zchat.protocol import message, package
from zchat.protocol.dictionary import RouteDictionary
from zchat.protocol.misfit import Misfit
from zchat.protocol.protos import Protos
from zchat.protocol.schema import parse
from zchat.rooms.changes import Change
from zchat.rooms.channel import Channel, Framer, PresencePushes
from zchat.rooms.owned_stream import OwnedStream
from zchat.rooms.presence import Presence, SessionRef
from zchat.rooms.stream import (
    Draft,
    PresenceChange,
    Published,
    StreamPosition,
    decode_frame,
)
from zchat.rooms.ticket import Ticket

NO_CODES = RouteDictionary((), ())
REF = SessionRef("connector-1", "life", 1)


@pytest.fixture
def channel() -> Channel:
    return Channel(OwnedStream("room", StreamPosition("e", 0)), Presence(1.0))


def test_a_channel_with_nobody_and_nothing_in_it_is_idle(channel: Channel) -> None:
    assert (channel.name, channel.idle) == ("room", True)


def test_a_member_keeps_it_lost_ones_too(channel: Channel) -> None:
    idle = []
    for step in (
        lambda: channel.presence.join("alice", REF, since=0),
        lambda: channel.presence.lose("alice", REF, 0),
        lambda: list(channel.presence.expire(1)),
    ):
        step()
        idle.append(channel.idle)
    assert idle == [False, False, True]


async def test_a_draft_keeps_it(channel: Channel) -> None:
    ticket = Ticket(Draft("r", b"{}"), asyncio.get_running_loop().create_future())
    channel.stream.put(ticket)
    states = [channel.idle]
    append = channel.stream.take(1, 1000, 0)
    states.append(channel.idle)
    assert append is not None
    channel.stream.stored(append)
    assert [*states, channel.idle] == [False, False, True]


def taken(now: float) -> Channel:
    """A channel whose list has alice, who was claimed when it was taken."""
    channel = Channel(OwnedStream("room", StreamPosition("e", 0)), Presence(5.0, 100), taken=now)
    channel.presence.claim("alice", REF, since=1.0)
    channel.presence.changes.begin(101)
    return channel


def test_who_is_missing_when_a_channel_is_taken_is_lost_and_leaves_after_the_grace() -> None:
    channel = taken(50.0)
    assert channel.compare(0, ["alice", "ghost"], [], 51.0) == []
    assert channel.presence.uids() == ["alice", "ghost"]
    assert channel.compare(0, ["ghost"], [], 52.0) == [Change("alice", True, 102)]
    assert list(channel.presence.expire(55.9)) == []
    assert list(channel.presence.expire(56.0)) == [Change("ghost", False, 103)]
    assert channel.compare(0, ["alice", "ghost"], [], 56.0)[-1] == Change("ghost", False, 103)


def test_later_it_has_left() -> None:
    channel = taken(50.0)
    assert channel.compare(0, ["alice", "ghost"], [], 56.0) == [Change("ghost", False, 101)]
    assert not channel.presence.losing


def test_who_a_roster_of_this_list_has_too_many_is_none_of_ours() -> None:
    channel = taken(50.0)
    assert channel.compare(101, ["alice", "ghost"], [], 51.0) == []
    assert not channel.presence.losing


def test_who_only_some_know_of_is_not_waited_for() -> None:
    channel = taken(50.0)
    told = [Change("ghost", False, 101)]
    assert channel.compare(0, ["alice"], ["ghost"], 51.0) == told
    assert channel.compare(101, ["alice"], ["ghost"], 51.0) == told
    assert not channel.presence.losing


def told(pushes: PresencePushes, change: Change) -> tuple[PresenceChange, Any]:
    """The frame and what its package says."""
    frame = decode_frame(Framer(pushes, NO_CODES).presence("e", [change]))
    assert isinstance(frame, PresenceChange)
    if not frame.package:
        return frame, None
    push = message.decode(package.decode(frame.package)[0].body, NO_CODES)
    return frame, (push.route, json.loads(push.body))


def test_comings_and_goings_have_routes_of_their_own() -> None:
    pushes = PresencePushes("onJoin", "onLeave")
    frame, push = told(pushes, Change("alice", True, 7))
    assert (frame.epoch, frame.version, frame.uid, frame.joined) == ("e", 7, "alice", True)
    assert push == ("onJoin", {"uid": "alice"})
    assert told(pushes, Change("alice", False, 8))[1] == ("onLeave", {"uid": "alice"})


def test_the_application_says_what_the_push_holds() -> None:
    pushes = PresencePushes("onJoin", "", lambda uid, route: {"user": uid, "route": route})
    assert told(pushes, Change("b", True, 1))[1] == ("onJoin", {"user": "b", "route": "onJoin"})


def test_without_a_route_the_version_is_told_all_the_same() -> None:
    frame, push = told(PresencePushes(joined="onJoin"), Change("alice", False, 8))
    assert (frame.version, push) == (8, None)


@pytest.mark.parametrize(
    "pushes",
    [
        PresencePushes("onJoin", body=lambda uid, route: {"oops": 1 / 0}),
        PresencePushes("onJoin", body=lambda uid, route: {"oops": object()}),
        PresencePushes("x" * 256),
    ],
)
def test_a_push_that_fails_is_logged_and_the_change_stands(
    pushes: PresencePushes, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.app", "no presence push of alice")
    frame, push = told(pushes, Change("alice", True, 1))
    assert (frame.version, push) == (1, None)


def test_a_batch_is_one_frame() -> None:
    framer = Framer(PresencePushes(), NO_CODES)
    batch = [Draft("onChat", b"{}").at(offset, 0) for offset in (4, 5)]
    frame = decode_frame(framer.published("e", batch))
    assert isinstance(frame, Published)
    assert (frame.epoch, frame.first, len(frame.items)) == ("e", 4, 2)


def test_presence_pushes_have_schemas_as_well(expected_logs: ExpectedLogs) -> None:
    file = {"onJoin": {"required string uid": 1}, "onLeave": {"required string who": 1}}
    protos = Protos(parse(file).messages)
    framer = Framer(PresencePushes("onJoin", "onLeave"), NO_CODES, protos)
    joined = framer.change("e", Change("alice", True, 1))
    assert joined.package.endswith(b"\x06onJoin\x0a\x05alice")
    expected_logs("zchat.app", "no presence push of alice")
    assert framer.change("e", Change("alice", False, 2)).package == b""


def test_bodies_are_checked_before_they_are_journalled() -> None:
    protos = Protos(parse({"onChat": {"required string msg": 1}}).messages)
    framer = Framer(PresencePushes(), NO_CODES, protos)
    framer.check("onChat", b'{"msg":"hi"}')
    framer.check("onNews", b"{}")
    with pytest.raises(Misfit, match="msg: required, and missing"):
        framer.check("onChat", b'{"msg":null}')
