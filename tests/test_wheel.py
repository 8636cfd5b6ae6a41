"""The timer wheel: never early, at most one slot late, nothing left behind."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zchat.wheel import Wheel


def test_an_item_is_due_once_and_not_before_its_deadline() -> None:
    wheel: Wheel[str] = Wheel(0.5)
    wheel.schedule("a", 10.2)
    assert wheel.expire(10.2) == []  # its slot ends at 10.5
    assert wheel.expire(10.49) == []
    assert wheel.expire(10.5) == ["a"]
    assert wheel.expire(99.0) == []
    assert len(wheel) == 0


def test_a_deadline_on_the_edge_of_a_slot_is_due_at_that_edge() -> None:
    wheel: Wheel[str] = Wheel(1.0)
    wheel.schedule("a", 3.0)
    assert wheel.expire(2.999) == []
    assert wheel.expire(3.0) == ["a"]


def test_a_deadline_in_the_past_is_due_at_the_next_look() -> None:
    wheel: Wheel[str] = Wheel(1.0)
    wheel.schedule("a", -5.0)
    assert wheel.expire(0.0) == ["a"]


def test_scheduling_again_replaces_the_deadline_in_both_directions() -> None:
    wheel: Wheel[str] = Wheel(1.0)
    wheel.schedule("a", 5.0)
    wheel.schedule("a", 9.0)
    assert wheel.expire(8.0) == []
    wheel.schedule("a", 8.5)
    assert wheel.expire(9.0) == ["a"]


def test_touch_moves_only_what_is_scheduled() -> None:
    wheel: Wheel[str] = Wheel(1.0)
    assert not wheel.touch("a", 5.0)
    assert "a" not in wheel
    wheel.schedule("a", 5.0)
    assert wheel.touch("a", 7.0)
    assert wheel.expire(6.0) == []
    assert wheel.expire(7.0) == ["a"]
    assert not wheel.touch("a", 9.0)


def test_cancel_forgets_the_item_and_does_not_mind_strangers() -> None:
    wheel: Wheel[str] = Wheel(1.0)
    wheel.schedule("a", 5.0)
    wheel.cancel("a")
    wheel.cancel("a")
    wheel.cancel("never seen")
    assert wheel.expire(99.0) == []


def test_items_come_out_in_the_order_of_their_slots_after_a_long_pause() -> None:
    wheel: Wheel[int] = Wheel(1.0)
    for item in (30, 10, 20):
        wheel.schedule(item, float(item))
    assert wheel.expire(1e6) == [10, 20, 30]


def test_a_million_touches_leave_no_trace() -> None:
    wheel: Wheel[int] = Wheel(1.0)
    for now in range(1000):
        for item in range(100):
            wheel.schedule(item, now + 60.0)
    assert len(wheel) == 100
    for item in range(100):
        wheel.cancel(item)
    assert len(wheel) == 0
    assert not wheel._slots  # what nobody can see from outside: emptied slots are gone too


@pytest.mark.parametrize("granularity", [0.0, -1.0, math.nan])
def test_a_granularity_must_be_positive(granularity: float) -> None:
    with pytest.raises(ValueError, match="granularity must be positive"):
        Wheel(granularity)


times = st.floats(0, 1000)


class AgainstAPlainDict(RuleBasedStateMachine):
    """The wheel gives what a dict of deadlines rounded up to slots would give."""

    GRANULARITY = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.wheel: Wheel[int] = Wheel(self.GRANULARITY)
        self.model: dict[int, int] = {}

    @rule(item=st.integers(0, 9), deadline=times)
    def schedule(self, item: int, deadline: float) -> None:
        self.wheel.schedule(item, deadline)
        self.model[item] = math.ceil(deadline / self.GRANULARITY)

    @rule(item=st.integers(0, 9))
    def cancel(self, item: int) -> None:
        self.wheel.cancel(item)
        self.model.pop(item, None)

    @rule(now=times)
    def expire(self, now: float) -> None:
        due = {i for i, slot in self.model.items() if slot * self.GRANULARITY <= now}
        expired = self.wheel.expire(now)
        assert sorted(expired) == sorted(due)
        for item in due:
            del self.model[item]

    @invariant()
    def same_items(self) -> None:
        assert len(self.wheel) == len(self.model)


TestAgainstAPlainDict = AgainstAPlainDict.TestCase


@given(deadline=times, granularity=st.floats(0.01, 10))
def test_an_item_is_late_by_at_most_one_slot(deadline: float, granularity: float) -> None:
    wheel: Wheel[str] = Wheel(granularity)
    wheel.schedule("a", deadline)
    slack = 1e-9 * max(1.0, deadline)  # the division is floating point
    assert wheel.expire(deadline - granularity * 1e-6 - slack) == []
    assert wheel.expire(deadline + granularity + slack) == ["a"]
