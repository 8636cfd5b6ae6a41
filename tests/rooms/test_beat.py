"""Beats, from both sides."""

from __future__ import annotations

from zchat.rooms.beat import BeatMaker, BeatWatch, Stand
from zchat.rooms.stream import Beat


def stands(channel: str) -> Stand | None:
    return {"room": ("e1", 5, 101), "hall": ("e2", 7, 102)}.get(channel)


def beat(number: int, incarnation: str = "life1", owner: str = "chat-1") -> Beat:
    return Beat(owner, incarnation, number, [])


def test_what_changed_is_in_two_beats() -> None:
    maker = BeatMaker("chat-1", "life1")
    assert maker.make(stands) == beat(1)
    maker.changed("room")
    assert maker.make(stands).positions == [("room", "e1", 5, 101)]
    maker.changed("hall")
    assert maker.make(stands).positions == [("room", "e1", 5, 101), ("hall", "e2", 7, 102)]
    assert maker.make(stands).positions == [("hall", "e2", 7, 102)]
    assert maker.make(stands) == beat(5)


def test_a_channel_that_moved_is_in_none() -> None:
    maker = BeatMaker("chat-1", "life1")
    maker.changed("moved")
    assert maker.make(stands).positions == []


def test_a_missed_beat_is_noticed() -> None:
    watch = BeatWatch(1.0)
    assert [watch.take(beat(number), 0.0) for number in (7, 8, 10, 11, 11)] == [
        *(False, False, True, False, True)
    ]


def test_another_life_begins_to_count_anew() -> None:
    watch = BeatWatch(1.0)
    watch.take(beat(7), 0.0)
    assert not watch.take(beat(1, "life2"), 0.0)
    assert not watch.take(beat(2, "life2"), 0.0)


def test_silence_is_noticed_once_for_each_three_intervals() -> None:
    watch = BeatWatch(1.0)
    watch.take(beat(1), 10.0)
    assert watch.silent(["chat-1"], 12.9) == []
    assert watch.silent(["chat-1"], 13.0) == ["chat-1"]
    assert watch.silent(["chat-1"], 13.1) == []
    assert watch.silent(["chat-1"], 16.0) == ["chat-1"]


def test_who_never_beat_has_three_intervals_to_begin() -> None:
    watch = BeatWatch(1.0)
    assert watch.silent(["chat-1"], 100.0) == []
    assert watch.silent(["chat-1"], 103.0) == ["chat-1"]
