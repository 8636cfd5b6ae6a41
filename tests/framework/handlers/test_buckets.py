"""Token buckets by session."""

from __future__ import annotations

from zchat.framework.handlers.buckets import Buckets
from zchat.frontend.sockets.rate import Rate
from zchat.rooms.presence import SessionRef


def ref(number: int) -> SessionRef:
    return SessionRef("connector-1", "life", number)


def test_so_many_at_once_and_then_one_by_one() -> None:
    buckets = Buckets(Rate(2, 3))
    assert [buckets.take(ref(1), 10.0) for _ in range(3)] == [0.0] * 3
    wait = buckets.take(ref(1), 10.0)
    assert 0.49 < wait <= 0.5
    assert buckets.take(ref(2), 10.0) == 0.0, "another session has its own"
    assert buckets.take(ref(1), 10.0) == wait, "what is refused costs nothing"
    assert buckets.take(ref(1), 10.0 + wait) == 0.0


def test_full_buckets_are_forgotten() -> None:
    buckets = Buckets(Rate(1, 1))
    for number in range(1024):
        buckets.take(ref(number), 0.0)
    assert len(buckets) == 1024
    buckets.take(ref(5000), 2.0)
    assert len(buckets) == 1


def test_those_that_are_not_full_are_kept() -> None:
    buckets = Buckets(Rate(0.001, 1))
    for number in range(3000):
        buckets.take(ref(number), 0.0)
    assert len(buckets) == 3000
    assert all(buckets.take(ref(number), 1.0) for number in range(3000))
