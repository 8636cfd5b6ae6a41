"""What an owner tells all frontends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zchat.framework.channels.voice import Voice
from zchat.protocol.dictionary import RouteDictionary
from zchat.rooms.beat import TOPIC, BeatMaker
from zchat.rooms.changes import LIMIT
from zchat.rooms.channel import Channel, Framer, PresencePushes
from zchat.rooms.owned_stream import OwnedStream
from zchat.rooms.presence import Presence, SessionRef
from zchat.rooms.stream import (
    Beat,
    Draft,
    PresenceChange,
    PresenceChanges,
    Published,
    Pushed,
    StreamFrame,
    StreamPosition,
    decode_frame,
)

MOMENT = 0.05


def opened() -> Channel:
    """With somebody in it who hears."""
    channel = Channel(OwnedStream("room", StreamPosition("e", 4)), Presence(5.0, 9))
    channel.presence.join("zoe", SessionRef("c1", "life", 0), since=0)
    return channel


class Heard:
    """A voice that speaks from second 100 on, and what was heard of it."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, StreamFrame]] = []
        self.now = 100.0
        self.voice = Voice(
            Framer(PresencePushes("onJoin", "onLeave"), RouteDictionary((), ())),
            lambda topic, data: self.frames.append((topic, decode_frame(data))),
            BeatMaker("chat-1", "me"),
            interval=1.0,
            clock=lambda: self.now,
            moment=MOMENT,
        )
        self.channel = opened()

    def tick(self, now: float) -> None:
        self.now = now
        self.voice.tick(lambda name: ("e", 5, 11) if name == "room" else None)

    def beat(self, now: float) -> list[tuple[str, str, int, int]]:
        """The positions of the beat of now."""
        self.frames.clear()
        self.tick(now)
        topic, beat = self.frames[-1]
        assert topic == TOPIC
        assert isinstance(beat, Beat)
        return beat.positions

    def tell(self, *uids: str, channel: Channel | None = None) -> None:
        """Each comes, and is told."""
        channel = channel or self.channel
        for uid in uids:
            change = channel.presence.join(uid, SessionRef("c1", "life", hash(uid)), since=0)
            assert change is not None
            self.voice.tell(channel, change)

    @property
    def told(self) -> list[list[PresenceChange]]:
        """The changes of each frame."""
        return [list(_changes(frame)) for _, frame in self.frames if not isinstance(frame, Beat)]

    @property
    def uids(self) -> list[str]:
        """Who was told of, the people of a frame together."""
        return [" ".join(change.uid for change in changes) for changes in self.told]


def _changes(frame: StreamFrame) -> Iterator[PresenceChange]:
    if isinstance(frame, PresenceChange):
        yield frame
    elif isinstance(frame, PresenceChanges):
        yield from frame.changes


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_publications(heard: Heard) -> None:
    publication = Draft("onChat", b"{}").at(5, 0)
    heard.voice.published("room", "e", [publication])
    ((topic, frame),) = heard.frames
    assert isinstance(frame, Published)
    assert (topic, frame.epoch, frame.first, len(frame.items)) == ("room", "e", 5, 1)
    assert heard.beat(101) == [("room", "e", 5, 11)]


def test_members_that_come_and_go(heard: Heard) -> None:
    presence = heard.channel.presence
    presence.join("alice", SessionRef("c1", "life", 1), since=0)
    presence.join("bob", SessionRef("c1", "life", 2), since=0)
    heard.voice.tell_after(heard.channel, 10)
    assert [[(c.epoch, c.version, c.uid, c.joined) for c in changes] for changes in heard.told] == [
        [("e", 11, "alice", True), ("e", 12, "bob", True)]
    ]
    assert heard.beat(101) == [("room", "e", 5, 11)]


def test_the_first_of_many_is_told_at_once_and_the_others_together(heard: Heard) -> None:
    heard.tell("alice", "bob", "carol")
    assert heard.uids == ["alice"]
    heard.tick(100 + MOMENT / 2)
    assert heard.uids == ["alice"]
    heard.tick(100 + MOMENT)
    assert heard.uids == ["alice", "bob carol"]
    heard.tell("dave")
    assert heard.uids == ["alice", "bob carol"], "its moment has just begun"
    heard.tick(100 + 2 * MOMENT)
    assert heard.uids == ["alice", "bob carol", "dave"]
    heard.now += MOMENT
    heard.tell("eve")
    assert heard.uids[-1] == "eve", "it was quiet"


def test_who_comes_first_makes_nobody_wait(heard: Heard) -> None:
    """Nobody was there to be told of alice."""
    room = Channel(OwnedStream("room", StreamPosition("e", 0)), Presence(5.0))
    heard.tell("alice", "bob", "carol", channel=room)
    assert heard.uids == ["alice", "bob"]


def test_channels_do_not_wait_for_each_other(heard: Heard) -> None:
    heard.tell("alice")
    heard.tell("bob", channel=Channel(OwnedStream("quiet", StreamPosition("q", 0)), Presence(5.0)))
    assert [topic for topic, _ in heard.frames] == ["room", "quiet"]


def test_nobody_says_something_before_he_has_come(heard: Heard) -> None:
    heard.tell("alice", "bob")
    heard.voice.published("elsewhere", "e", [Draft("onChat", b"{}").at(1, 0)])
    assert heard.uids == ["alice", ""]
    heard.voice.published("room", "e", [Draft("onChat", b"{}").at(5, 0)])
    assert heard.uids == ["alice", "", "bob", ""]


def test_a_beat_comes_after_what_it_speaks_of(heard: Heard) -> None:
    heard.now = 100.99
    heard.tell("alice", "bob")
    heard.tick(101)
    assert heard.uids == ["alice", "bob"]
    assert isinstance(heard.frames[-1][1], Beat)


def test_what_waits_is_told_when_it_is_too_much(heard: Heard) -> None:
    heard.tell("first", *(str(number) for number in range(LIMIT)))
    assert [len(changes) for changes in heard.told] == [1, LIMIT]


def test_what_waits_in_an_earlier_life_of_a_channel_comes_first(heard: Heard) -> None:
    heard.tell("alice", "bob")
    heard.tell("carol", channel=opened())
    assert heard.uids == ["alice", "bob", "carol"]
    heard.tick(101)
    assert heard.uids == ["alice", "bob", "carol"]


def test_beats_come_when_they_are_due(heard: Heard) -> None:
    heard.tick(100.9)
    assert heard.frames == []
    assert heard.beat(101.5) == []
    heard.tick(101.9)
    assert len(heard.frames) == 1
    heard.voice.published("moved", "e", [Draft("onChat", b"{}").at(1, 0)])
    assert heard.beat(102) == [], "a channel that is not ours any more"


def test_beats_that_were_missed_are_not_made_up_for(heard: Heard) -> None:
    heard.tick(110)
    heard.tick(110.9)
    assert len(heard.frames) == 2


def test_a_push_comes_after_those_who_have_come(heard: Heard) -> None:
    heard.tell("alice", "bob")
    heard.voice.push(heard.channel, b"ping", ["bob"])
    assert heard.frames[-1] == ("room", Pushed(b"ping", ("bob",)))
    assert heard.uids == ["alice", "bob", ""]
    assert heard.beat(101) == [("room", "e", 5, 11)], "of the changes, not of the push"
