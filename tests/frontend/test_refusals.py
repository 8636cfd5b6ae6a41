"""Requests that were refused, remembered for a while."""

from __future__ import annotations

from tests.frontend.audience import Stage
from zchat.frontend.refusals import Refusals


def test_a_request_that_was_refused_is_known() -> None:
    stage, refusals = Stage(), Refusals()
    alice, bob = stage.open(), stage.open()
    refusals.add(alice, 7)
    assert refusals.has(alice, 7)
    assert not refusals.has(alice, 8)
    assert not refusals.has(bob, 7)


def test_an_id_that_is_used_again_is_another_request() -> None:
    alice, refusals = Stage().open(), Refusals()
    refusals.add(alice, 7)
    alice.in_flight = {7}
    assert not refusals.has(alice, 7)


def test_when_full_the_oldest_is_forgotten() -> None:
    alice, refusals = Stage().open(), Refusals(limit=2)
    for request in (1, 2, 3):
        refusals.add(alice, request)
    assert [refusals.has(alice, request) for request in (1, 2, 3)] == [False, True, True]
