"""Latencies in little memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zchat.ops.load.histogram import Histogram, bucket, highest

HOUR = 3600 * 10**6
microseconds = st.integers(0, HOUR)


@given(microseconds)
def test_a_bucket_is_narrow(value: int) -> None:
    assert value <= highest(bucket(value)) <= value + value / 128


@given(microseconds)
def test_buckets_follow_each_other(value: int) -> None:
    top = highest(bucket(value))
    assert bucket(top + 1) == bucket(value) + 1


def test_it_stays_small() -> None:
    assert bucket(HOUR) < 4000


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_percentiles_are_those_of_the_values(values: list[int]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value / 1e6 + 1e-9)
    ordered = sorted(values)
    median = ordered[(len(ordered) + 1) // 2 - 1] / 1000
    assert median <= histogram.percentile(50) <= median * (1 + 1 / 128)
    assert ordered[-1] / 1000 <= histogram.percentile(100) <= ordered[-1] / 1000 * (1 + 1 / 128)
    mean = sum(values) / len(values) / 1000
    assert mean - 1e-9 <= histogram.mean() <= mean * (1 + 1 / 128) + 1e-9


def test_parts_are_merged() -> None:
    first, second = Histogram(), Histogram()
    first.add(0.001)
    second.add(0.001)
    second.add(-0.001)
    first.merge(second.counts)
    assert len(first) == 3
    assert list(first.steps()) == [(0.0, 1, 1), (highest(bucket(1000)) / 1000, 2, 3)]
    assert Histogram(first.counts).counts == first.counts


def test_of_nothing_there_are_no_percentiles() -> None:
    assert (Histogram().percentile(99), Histogram().mean()) == (0.0, 0.0)
