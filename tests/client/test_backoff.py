from __future__ import annotations

import pytest

from zchat.client.backoff import Backoff


def test_ceilings_double_up_to_the_cap() -> None:
    backoff = Backoff(base=0.5, cap=5.0, random=lambda: 1.0)
    assert [backoff.next() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_full_jitter() -> None:
    draws = iter([0.0, 0.25, 0.5, 0.999])
    backoff = Backoff(base=1.0, cap=100.0, random=lambda: next(draws))
    assert [backoff.next() for _ in range(4)] == [0.0, 0.5, 2.0, pytest.approx(7.992)]


def test_a_million_attempts_do_not_overflow() -> None:
    backoff = Backoff(cap=30.0, random=lambda: 1.0)
    assert {backoff.next() for _ in range(10_000)} >= {30.0}
    assert backoff.next() == 30.0


@pytest.mark.parametrize(("lasted", "delay"), [(0.0, 4.0), (4.99, 4.0), (5.0, 1.0), (60.0, 1.0)])
def test_only_a_steady_connection_starts_it_again(lasted: float, delay: float) -> None:
    backoff = Backoff(base=1.0, cap=30.0, steady=5.0, random=lambda: 1.0)
    backoff.next(), backoff.next()
    backoff.lasted(lasted)
    assert backoff.next() == delay


def test_default_jitter_stays_within() -> None:
    backoff = Backoff(base=1.0, cap=1.0)
    assert all(0.0 <= backoff.next() < 1.0 for _ in range(100))


def test_what_worked_restarts_it() -> None:
    backoff = Backoff(base=1.0, cap=8.0, random=lambda: 1.0)
    assert [backoff.next(), backoff.next()] == [1.0, 2.0]
    backoff.restart()
    assert backoff.next() == 1.0
