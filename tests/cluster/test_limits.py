"""The bounds."""

from __future__ import annotations

import pytest

from zchat.cluster.envelope import MAX_MESSAGE
from zchat.cluster.limits import Limits
from zchat.errors import ConfigError


def test_defaults() -> None:
    assert Limits().liveness == 3.0
    assert Limits().queue_bytes == 16 * 1024 * 1024


def test_what_is_queued_fits_a_message() -> None:
    assert Limits(queue_bytes=MAX_MESSAGE // 2).queue_bytes == MAX_MESSAGE // 2
    with pytest.raises(ConfigError, match="at most 16777216"):
        Limits(queue_bytes=MAX_MESSAGE // 2 + 1)
