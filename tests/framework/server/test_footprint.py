"""What a process has used."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from zchat.framework.server import footprint


def test_it_grows_with_what_is_done() -> None:
    before = footprint.footprint()
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    after = footprint.footprint()
    assert after["cpu"] >= before["cpu"] + 0.02
    assert after["memory"] > 1_000_000


def test_another_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "_PAGES", Path("/nowhere"))
    assert footprint.footprint().keys() == {"cpu"}
