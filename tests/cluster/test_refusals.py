"""Counting what is refused, and how often the log hears of it."""

from __future__ import annotations

import logging

import pytest

from tests.cluster.harness import Clock
from zchat.cluster.envelope import Cast, Envelope, Ping, encode
from zchat.cluster.refusals import Refusals


def test_counts_all_and_logs_some(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "zchat.cluster")
    clock = Clock()
    refusals = Refusals("ROUTER of chat-1", clock, interval=10.0)
    refusals.refuse("unreadable", b"\xff", "x" * 5000)
    for _ in range(1000):
        refusals.refuse("no Hello", b"stranger", count=2)
    assert (refusals.total, refusals.counts["no Hello"]) == (2001, 2000)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(
        "ROUTER of chat-1 refused 1 envelope(s), last: unreadable from b'\\xff' xxx"
    )
    assert len(caplog.messages[0]) < 300
    clock.now += 10.0
    refusals.refuse("unreadable", "chat-2")
    assert "refused 2001 envelope(s), last: unreadable from 'chat-2'" in caplog.messages[1]


def test_what_was_to_be_expected_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals("ROUTER of chat-1", Clock())
    refusals.count("last words", 2)
    assert (refusals.total, refusals.counts) == (2, {"last words": 2})
    assert caplog.messages == []


def test_what_can_be_read_of_a_message_is_read(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals("ROUTER of chat-1", Clock())
    said: list[Envelope] = [Ping(1), Cast("m", b"x")]
    message = encode(said)
    assert refusals.read(message, "chat-2") == said
    assert refusals.total == 0
    assert refusals.read(b"\x00" + message, "chat-2") == []
    assert refusals.counts == {"unreadable": 1}
    assert "unreadable from 'chat-2'" in caplog.text
