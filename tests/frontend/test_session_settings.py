"""Settings, and copies that are stale."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zchat.frontend.session_settings import SessionSettings


def test_none_takes_out() -> None:
    settings = SessionSettings()
    settings.merge({"a": 1, "b": None, "zero": 0}, 1)
    settings.merge({"a": None}, 2)
    assert settings.values == {"zero": 0}


def test_a_copy_is_stale_for_what_changed_after_it() -> None:
    settings = SessionSettings()
    settings.merge({"a": 1}, 1)
    settings.merge({"b": 1}, 2)
    assert not settings.is_stale([("a", 1), ("b", 2), ("never set", 0)])
    assert settings.is_stale([("a", 1), ("b", 1)])
    assert settings.is_stale([("a", 0)])


def test_a_key_that_was_taken_out_and_set_again() -> None:
    settings = SessionSettings()
    settings.merge({"a": 1}, 1)
    settings.merge({"a": None}, 2)
    assert settings.is_stale([("a", 1)])
    assert not settings.is_stale([("a", 2)])
    settings.merge({"a": 3}, 3)
    assert settings.is_stale([("a", 2)])
    assert not settings.is_stale([("a", 3)])


def test_what_is_forgotten_makes_old_copies_stale_never_new_ones() -> None:
    settings = SessionSettings()
    settings.merge({"kept": 1}, 1)
    for version in range(2, 104):
        settings.merge({f"key {version}": None}, version)
    assert settings.is_stale([("key 2", 1)])
    assert settings.is_stale([("unheard of", 2)])
    assert not settings.is_stale([("unheard of", 3), ("kept", 1)])


VALUES = st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, 2, None]))


@given(st.lists(VALUES, max_size=8))
def test_staleness_is_that_of_each_key(merges: list[dict[str, int | None]]) -> None:
    settings, changed = SessionSettings(), dict.fromkeys("abc", 0)
    for version, values in enumerate(merges, start=1):
        settings.merge(values, version)
        changed |= dict.fromkeys(values, version)
        for key, at in changed.items():
            assert not settings.is_stale([(key, at)])
            assert not at or settings.is_stale([(key, at - 1)])
