"""What an owner tells all frontends."""

from __future__ import annotations

import pytest

from zchat.framework.voice import Voice
from zchat.protocol.dictionary import RouteDictionary
from zchat.rooms.beat import TOPIC, BeatMaker
from zchat.rooms.broker import Stream
from zchat.rooms.channel import Channel, Framer, PresencePushes
from zchat.rooms.presence import Presence, SessionRef
from zchat.rooms.stream import (
    Beat,
    Draft,
    PresenceChange,
    Published,
    StreamFrame,
    StreamPosition,
    decode_frame,
)


class Heard:
    """A voice that speaks from second 100 on, and what was heard of it."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, StreamFrame]] = []
        self.voice = Voice(
            Framer(PresencePushes("onJoin", "onLeave"), RouteDictionary((), ())),
            lambda topic, data: self.frames.append((topic, decode_frame(data))),
            BeatMaker("chat-1", "me"),
            interval=1.0,
            now=100.0,
        )
        self.channel = Channel(Stream("room", StreamPosition("e", 4)), Presence(5.0, 10))

    def beat(self, now: float) -> list[tuple[str, str, int, int]]:
        """The positions of the beat of now."""
        self.frames.clear()
        self.voice.beat(now, lambda name: ("e", 5, 11) if name == "room" else None)
        ((topic, beat),) = self.frames
        assert topic == TOPIC
        assert isinstance(beat, Beat)
        return beat.positions

    def join(self, uid: str, session: int) -> None:
        self.channel.presence.join(uid, SessionRef("c1", "life", session), since=0)


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
    heard.join("alice", 1)
    heard.join("bob", 2)
    heard.voice.tell_after(heard.channel, 10)
    told = [frame for _, frame in heard.frames if isinstance(frame, PresenceChange)]
    assert [(f.epoch, f.version, f.uid, f.joined) for f in told] == [
        ("e", 11, "alice", True),
        ("e", 12, "bob", True),
    ]
    assert heard.beat(101) == [("room", "e", 5, 11)]


def test_beats_come_when_they_are_due(heard: Heard) -> None:
    heard.voice.beat(100.9, lambda name: None)
    assert heard.frames == []
    assert heard.beat(101.5) == []
    heard.voice.beat(102.4, lambda name: None)
    assert len(heard.frames) == 1
    heard.voice.published("moved", "e", [Draft("onChat", b"{}").at(1, 0)])
    assert heard.beat(102.5) == [], "a channel that is not ours any more"
