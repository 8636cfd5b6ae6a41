"""Waiting for announces, with a clock of our own."""

from __future__ import annotations

import pytest

from zchat.framework.channels.taking import Taking

RING = "chat-1+chat-2"


@pytest.fixture
def taking() -> Taking:
    taking = Taking(window=1.0)
    taking.begin(RING, ["c1", "c2"], 100)
    return taking


def test_it_is_done_when_all_have_announced(taking: Taking) -> None:
    taking.announced("c1", RING)
    assert not taking.done(100.5)
    taking.announced("c2", RING)
    assert taking.done(100.5)


def test_it_is_done_when_the_window_is_over(taking: Taking) -> None:
    assert not taking.done(100.99)
    assert taking.done(101)


def test_an_announce_by_another_ring_does_not_count(taking: Taking) -> None:
    taking.announced("c1", RING)
    taking.announced("c2", "chat-1")
    assert not taking.done(100.5)
    taking.announced("c2", RING)
    assert taking.done(100.5)


def test_a_frontend_may_know_of_the_ring_before_us(taking: Taking) -> None:
    taking.announced("c1", "next")
    taking.announced("c2", "next")
    taking.begin("next", ["c1", "c2"], 200)
    assert taking.done(200)


def test_who_is_gone_is_not_waited_for(taking: Taking) -> None:
    taking.announced("c1", RING)
    taking.gone("c2")
    assert taking.done(100)


def test_who_was_gone_must_announce_to_the_next_ring(taking: Taking) -> None:
    taking.announced("c1", RING)
    taking.gone("c1")
    taking.begin(RING, ["c1"], 200)
    assert not taking.done(200)


def test_nobody_to_wait_for(taking: Taking) -> None:
    taking.begin(RING, [], 100)
    assert taking.done(100)
    taking.gone("never heard of")


def test_nothing_is_awaited_before_the_first_ring() -> None:
    assert Taking().done(0)
