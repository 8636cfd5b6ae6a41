"""One connection: what it waits for, how it fails, and what it finds in a damaged file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.timing import MS
from zchat.rooms.stores.base import JournalFull
from zchat.rooms.stores.damage import JournalDamaged
from zchat.rooms.stores.database import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    db = Database(path, busy=100 * MS)
    db.prepare()
    db.execute("CREATE TABLE meta (value)")
    db.execute("INSERT INTO meta VALUES (1)")
    yield db
    db.close()


def value(db: Database) -> object:
    row = db.first("SELECT max(value) FROM meta")
    assert row is not None
    return row[0]


def hold(path: Path) -> sqlite3.Connection:
    """Another process in the middle of a transaction."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_what_holds_for_every_connection(db: Database) -> None:
    settings = ("journal_mode", "wal_autocheckpoint", "journal_size_limit", "cell_size_check")
    assert [db.pragma(name) for name in settings] == ["wal", 0, 16 * 1024 * 1024, 1]


def test_a_disk_without_logs() -> None:
    """SQLite's own memory is one."""
    db = Database(Path(":memory:"), busy=0.0)
    with pytest.raises(sqlite3.OperationalError, match="no write-ahead log"):
        db.prepare()
    db.close()


def test_the_first_row(db: Database) -> None:
    assert db.first("SELECT value + ? FROM meta", (2,)) == (3,)
    assert db.first("SELECT value FROM meta WHERE value > 5") is None


def test_a_transaction_is_all_or_nothing(db: Database) -> None:
    with db.transaction():
        db.execute("UPDATE meta SET value = 2")
    with pytest.raises(sqlite3.OperationalError, match="syntax"), db.transaction():
        db.execute_many("UPDATE meta SET value = ?", [(3,)]).execute("NONSENSE")
    assert value(db) == 2


def test_a_snapshot_sees_one_state(db: Database, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    with db.snapshot():
        other.execute("UPDATE meta SET value = 2")
        assert value(db) == 1
    assert value(db) == 2
    other.close()


def test_it_waits_for_a_moment(db: Database, path: Path) -> None:
    patient = Database(path, busy=5000 * MS)
    other = hold(path)
    timer = threading.Timer(30 * MS, other.execute, ["ROLLBACK"])
    timer.start()
    with patient.transaction():
        patient.execute("UPDATE meta SET value = 2")
    timer.join()
    other.close()
    patient.close()
    assert value(db) == 2


def test_it_does_not_wait_for_ever(db: Database, path: Path) -> None:
    other = hold(path)
    with pytest.raises(sqlite3.OperationalError, match="locked"), db.transaction():
        pytest.fail("another one is in its transaction")
    other.close()


def test_other_errors_are_not_waited_for(db: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        db.patiently("NONSENSE")


def test_a_full_disk(db: Database, path: Path) -> None:
    db.execute(f"PRAGMA max_page_count = {db.pragma('page_count')}")
    with pytest.raises(JournalFull) as caught, db.transaction():
        db.execute("INSERT INTO meta VALUES (?)", ("x" * 100_000,))
    assert str(path) in "".join(caught.value.__notes__)
    assert value(db) == 1


def test_a_sound_file_is_read_through(db: Database) -> None:
    assert db.quick_check(60.0) is True


def test_the_check_ends_when_its_time_is_up(db: Database) -> None:
    """And leaves the connection as it was."""
    with db.transaction():
        db.execute_many("INSERT INTO meta VALUES (?)", ((n,) for n in range(20_000)))
    assert db.quick_check(0.0) is False
    assert db.quick_check(60.0) is True
    assert value(db) == 19_999


def test_a_page_with_flipped_bytes(db: Database, path: Path) -> None:
    """Whichever way it is noticed, the file's name and what to do are said."""
    db.execute("CREATE TABLE damaged (value)")
    with db.transaction():
        db.execute_many("INSERT INTO damaged VALUES (?)", (("x" * 100,) for _ in range(2000)))
    (page,) = db.first("SELECT rootpage FROM sqlite_master WHERE name = 'damaged'") or (0,)
    size = db.pragma("page_size")
    db.close()
    content = bytearray(path.read_bytes())
    start = (page - 1) * size
    content[start : start + 64] = bytes(255 - byte for byte in content[start : start + 64])
    path.write_bytes(content)
    again = Database(path, busy=0.0)
    with pytest.raises(JournalDamaged, match=r"journal.sqlite: .*\.recover"):
        again.quick_check(60.0)
    with pytest.raises(JournalDamaged, match=r"malformed.*\.recover"), again.snapshot():
        again.execute("SELECT count(value) FROM damaged").fetchone()
    assert value(again) == 1, "what is sound can be read"
    again.close()
    assert path.read_bytes() == bytes(content), "it is not touched"


def test_closing_twice(db: Database, path: Path) -> None:
    db.close()
    db.close()
    assert not Path(f"{path}-wal").exists()


def test_it_is_known_which_files_are_open(db: Database, path: Path) -> None:
    other = Database(path, busy=0.0)
    assert Database.has_open(path)
    assert Database.has_open(path.parent / "." / path.name)
    assert not Database.has_open(path.parent / "other.sqlite")
    for connection in (db, db):
        connection.close()
        assert Database.has_open(path)
    other.close()
    assert not Database.has_open(path)
