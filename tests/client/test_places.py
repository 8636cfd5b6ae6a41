from __future__ import annotations

from zchat.client.places import Places
from zchat.rooms.stream import StreamPosition

FIRST, SECOND = StreamPosition("e", 1), StreamPosition("e", 2)


def test_a_room_is_known_by_what_it_is_entered_with() -> None:
    places = Places(10)
    places.put({"name": "ann", "room": "pier"}, FIRST)
    assert places.get({"room": "pier", "name": "ann"}) == FIRST
    assert places.get({"room": "quay", "name": "ann"}) is None
    places.put({"room": "pier", "name": "ann"}, SECOND)
    assert places.get({"name": "ann", "room": "pier"}) == SECOND
    places.put({"room": "pier", "name": "ann"}, None)
    assert places.get({"name": "ann", "room": "pier"}) is None


def test_the_one_left_first_is_forgotten() -> None:
    places = Places(2)
    for room in ("a", "b", "a", "c"):
        places.put({"room": room}, FIRST)
    assert [room for room in "abc" if places.get({"room": room})] == ["a", "c"]
    assert places.forgotten == 1
