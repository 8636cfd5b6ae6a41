"""The token bucket: bursts, the long run, and a clock that does not move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.frontend.sockets.rate import Rate


def spend_until_overdrawn(rate: Rate, full_at: float, now: float) -> tuple[int, float]:
    for count in range(10_000):
        full_at = rate.spend(full_at, now, 1)
        if rate.overdrawn(full_at, now):
            return count, full_at
    raise AssertionError("never overdrawn")


@pytest.mark.parametrize("now", [0.0, 1.0, 123456.789, 1e9])
def test_a_full_bucket_gives_exactly_its_burst(now: float) -> None:
    count, _ = spend_until_overdrawn(Rate(100, 200), 0.0, now)
    assert count == 200


def test_tokens_come_back_with_time_up_to_the_burst() -> None:
    rate = Rate(10, 20)
    _, full_at = spend_until_overdrawn(rate, 0.0, 1000.0)
    # 21 were taken; after a second 10 are back, of which 1 was owed
    assert spend_until_overdrawn(rate, full_at, 1001.0)[0] == 9
    assert spend_until_overdrawn(rate, full_at, 5000.0)[0] == 20


def test_many_tokens_at_once_count_like_many_single_ones() -> None:
    rate = Rate(10, 20)
    assert not rate.overdrawn(rate.spend(0.0, 50.0, 20), 50.0)
    assert rate.overdrawn(rate.spend(0.0, 50.0, 21), 50.0)


def test_how_long_until_enough_came_back() -> None:
    rate = Rate(10, 20)
    assert rate.wait(rate.spend(0.0, 50.0, 20), 50.0) == 0.0
    full_at = rate.spend(0.0, 50.0, 25)
    assert rate.wait(full_at, 50.0) == pytest.approx(0.5, abs=1e-5)
    assert rate.wait(full_at, 50.5) == pytest.approx(0.0, abs=1e-5)
    assert not rate.overdrawn(full_at, 50.0 + rate.wait(full_at, 50.0) + 1e-6)


@pytest.mark.parametrize(("per_second", "burst"), [(0, 1), (1, 0), (-1, 5)])
def test_figures_must_be_positive(per_second: float, burst: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Rate(per_second, burst)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 30)), max_size=50))
def test_it_agrees_with_a_bucket_that_is_counted(spends: list[tuple[float, int]]) -> None:
    rate = Rate(10, 20)
    now, full_at, tokens = 100.0, 0.0, 20.0
    for pause, amount in spends:
        now += pause
        tokens = min(20.0, tokens + 10 * pause) - amount
        full_at = rate.spend(full_at, now, amount)
        if abs(tokens) > 1e-3:
            assert rate.overdrawn(full_at, now) == (tokens < 0)
