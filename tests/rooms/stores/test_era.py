"""Which starts of the machine begin a new era; what that does is tested with the journal file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zchat.rooms.stores.database import Database
from zchat.rooms.stores.era import begin_era
from zchat.rooms.stores.schema import meta, migrate


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(tmp_path / "journal.sqlite", busy=0.0)
    migrate(db)
    yield db
    db.close()


def test_the_first_worker_of_a_boot_is_told(db: Database) -> None:
    assert [begin_era(db, boot, "full") for boot in ("b1", "b1", "b2", "b2")] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("workers", "era"),
    [
        (["b1 normal"], 1),
        (["b1 normal", "b1 normal"], 1),
        (["b1 full", "b2 full"], 1),
        (["b1 normal", "b2 full"], 2),
        (["b1 off", "b2 off", "b3 off"], 3),
        (["b1 full", "b1 normal", "b2 full"], 2),
        (["b1 normal", "b1 full", "b2 full"], 2),
        (["b1 normal", "b2 full", "b3 full"], 2),
    ],
)
def test_eras(db: Database, workers: list[str], era: int) -> None:
    for worker in workers:
        begin_era(db, *worker.split())
    assert int(meta(db, "era")) == era
