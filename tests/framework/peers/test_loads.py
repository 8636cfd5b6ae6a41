"""Who has the least to do."""

from __future__ import annotations

from zchat.framework.peers.loads import Loads

SERVERS = ["a", "b", "c"]


def test_before_anybody_has_said_anything_they_take_turns() -> None:
    loads = Loads()
    assert [loads.choose(SERVERS, 0.0) for _ in range(4)] == ["a", "b", "c", "a"]
    assert loads.choose([], 0.0) is None


def test_who_said_the_least_is_chosen_until_it_has_as_much() -> None:
    loads = Loads()
    loads.choose(SERVERS, 0.0)
    for server_id, load in {"a": 5, "b": 2, "c": 5}.items():
        loads.heard(server_id, load)
    assert [loads.choose(SERVERS, 0.1) for _ in range(5)] == ["b", "b", "b", "a", "b"]
    loads.heard("b", 9)
    assert loads.of("b") == 9
    assert loads.choose(SERVERS, 0.2) == "c"


def test_only_who_is_wanted_is_asked_and_once_a_second() -> None:
    loads = Loads()
    assert loads.due(0.0) == []
    loads.choose(["a", "b"], 0.5)
    assert loads.due(0.9) == []
    assert loads.due(1.0) == ["a", "b"]
    assert loads.due(1.9) == []
    loads.choose(["a"], 8.0)
    assert loads.due(11.0) == ["a"]
    loads.heard("b", 3)
    assert loads.of("b") == 0, "nobody wants to know any more"
