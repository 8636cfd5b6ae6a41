"""Options that would contradict each other are refused where they are made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zchat.rooms.stores.journal_options import SYNCS, JournalOptions, Retention

GOOD = JournalOptions(
    sync="normal",
    boot="boot1",
    retention=Retention(10, 60.0),
    new_epoch=lambda: "e",
    clock=lambda: 0,
)


@pytest.mark.parametrize("sync", SYNCS)
def test_modes(sync: str) -> None:
    assert replace(GOOD, sync=sync).sync == sync


@pytest.mark.parametrize("sync", ["", "FULL", "normal;", "extra"])
def test_a_mode_that_is_none(sync: str) -> None:
    with pytest.raises(ValueError, match="one of full, normal, off"):
        replace(GOOD, sync=sync)


def test_who_waits_for_another_worker_must_be_able_to_say_so() -> None:
    assert GOOD.busy < GOOD.patience
    with pytest.raises(ValueError, match="more than busy, 3"):
        replace(GOOD, busy=3.0)


def test_supervisord_waits_for_longer_than_a_disk_that_hangs() -> None:
    """An append, and the closing of a thread after it, fit between the drain and the kill."""
    assert GOOD.patience < 5
