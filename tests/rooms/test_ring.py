"""Who owns what, and how little changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.rooms import ring as module
from zchat.rooms.ring import Ring

WORKERS = st.sets(st.sampled_from([f"chat-{number}" for number in range(8)]))


def test_an_empty_ring_owns_nothing() -> None:
    assert Ring(0, ()).owner("lobby") is None


@given(WORKERS, st.lists(st.text(max_size=20), max_size=20))
def test_all_who_know_the_same_workers_agree(workers: set[str], channels: list[str]) -> None:
    here, there = Ring(1, sorted(workers)), Ring(9, sorted(workers, reverse=True))
    assert here.tag == there.tag
    assert [here.owner(name) for name in channels] == [there.owner(name) for name in channels]
    assert [here.owner(name) for name in channels] == [here.owner(name) for name in channels]


@given(WORKERS, WORKERS)
def test_the_tag_tells_rings_apart(one: set[str], other: set[str]) -> None:
    assert (Ring(1, one).tag == Ring(1, other).tag) == (one == other)


@given(WORKERS, st.sampled_from([f"chat-{number}" for number in range(8)]))
def test_only_the_changed_workers_channels_move(workers: set[str], changed: str) -> None:
    before, after = Ring(1, workers - {changed}), Ring(2, workers | {changed})
    for number in range(50):
        name = f"room{number}"
        assert after.owner(name) in (before.owner(name), changed)


def test_the_cache_is_bounded_and_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHE_LIMIT", 3)
    ring, fresh = Ring(1, ("a", "b", "c")), Ring(1, ("a", "b", "c"))
    names = [f"room{number}" for number in range(10)]
    assert [ring.owner(name) for name in names * 2] == [fresh.owner(name) for name in names] * 2
    assert len(ring._owners) <= 3
