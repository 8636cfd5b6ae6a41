"""How late a beat is."""

from __future__ import annotations

import pytest

from zchat.framework.server.lag import Lag


def test_a_beat_in_time_is_not_late() -> None:
    lag = Lag()
    for _ in range(5):
        lag.beat(0.0)
    assert lag.seconds == 0.0


def test_late_beats_add_up_smoothly_and_are_forgotten() -> None:
    lag = Lag()
    lag.beat(0.3)
    assert lag.seconds == pytest.approx(0.1)
    lag.beat(0.3)
    assert lag.seconds == pytest.approx(0.1 + 0.2 / 3)
    for _ in range(19):
        lag.beat(0.0)
    assert lag.seconds < 0.001
