"""The same choice everywhere, few moves, even shares."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from zchat.rendezvous import choose

NODES = st.sets(st.text(max_size=80).filter(lambda t: t.isprintable()), max_size=8)


def test_nobody_to_choose_from() -> None:
    assert choose("lobby", ()) is None


def test_the_choice_is_the_same_in_every_process_and_version() -> None:
    """Literal expectations: servers of two versions must agree while one replaces the other."""
    nodes = [f"chat-server-{number}" for number in range(1, 6)]
    keys = ("", "lobby", "漢字", "room1", "room2")
    chosen = [(choose(key, nodes) or "")[-1] for key in keys]
    assert chosen == ["5", "5", "5", "3", "4"]


@given(st.text(), NODES)
def test_order_does_not_matter(key: str, nodes: set[str]) -> None:
    assert choose(key, sorted(nodes)) == choose(key, sorted(nodes, reverse=True))


@given(st.text(), NODES, st.text(max_size=80).filter(lambda t: t.isprintable()))
def test_only_what_the_changed_node_wins_or_held_moves(
    key: str, nodes: set[str], changed: str
) -> None:
    without, with_it = choose(key, nodes - {changed}), choose(key, nodes | {changed})
    assert with_it in (without, changed)


def test_ids_longer_than_a_blake2_key_still_differ() -> None:
    first, second = "x" * 64 + "1", "x" * 64 + "2"
    chosen = Counter(choose(str(key), (first, second)) for key in range(200))
    assert min(chosen[first], chosen[second]) > 50


def test_half_a_surrogate_pair_is_a_key_like_any_other() -> None:
    assert choose("\ud83d", ("a", "b")) in ("a", "b")


def test_shares_are_even() -> None:
    nodes = [f"chat-server-{number}" for number in range(1, 6)]
    shares = Counter(choose(f"room{number}", nodes) for number in range(5000))
    assert all(850 < shares[node] < 1150 for node in nodes), shares
