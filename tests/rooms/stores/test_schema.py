"""Versions of the tables: made, brought up, refused."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.timing import MS
from zchat.errors import ConfigError
from zchat.rooms.stores.database import Database
from zchat.rooms.stores.schema import APPLICATION, STEPS, VERSION, check, meta, migrate, set_meta

NEXT = (*STEPS, "ALTER TABLE channels ADD COLUMN topic TEXT; INSERT INTO meta VALUES ('next', '1')")
"""A made-up later version."""

BROKEN = (*STEPS, "ALTER TABLE channels ADD COLUMN topic TEXT; INSERT INTO nowhere VALUES (1)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    db = Database(path, busy=5000 * MS)
    yield db
    db.close()


def bring_up(db: Database, steps: tuple[str, ...] = tuple(STEPS)) -> None:
    with db.transaction():
        migrate(db, steps)


def columns(db: Database) -> list[str]:
    return [row[1] for row in db.execute("PRAGMA table_info(channels)")]


def test_an_empty_file_gets_the_tables(db: Database) -> None:
    assert check(db) == 0
    bring_up(db)
    assert check(db) == VERSION == db.pragma("user_version")
    assert db.pragma("application_id") == APPLICATION
    assert (meta(db, "era"), meta(db, "generation"), meta(db, "nothing")) == ("1", "0", "")


@pytest.mark.parametrize("reads", [0, 1, 2])
def test_a_file_that_another_worker_makes_a_journal_meanwhile(path: Path, reads: int) -> None:
    class Late(Database):
        """The other one comes after so many reads."""

        left = reads

        def patiently(self, statement: str) -> sqlite3.Cursor:
            if self.left == 0:
                other = sqlite3.connect(path, isolation_level=None)
                other.executescript(f"CREATE TABLE meta (key); PRAGMA application_id={APPLICATION}")
                other.close()
            self.left -= 1
            return super().patiently(statement)

    late = Late(path, busy=5000 * MS)
    assert check(late) == 0
    late.close()


def test_a_file_that_another_worker_holds_for_a_moment(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    letting_go = threading.Timer(50 * MS, other.execute, ("COMMIT",))

    class Late(Database):
        """The other one takes the file after the first read."""

        def pragma(self, name: str) -> object:
            found = super().pragma(name)
            if name == "user_version":
                other.execute("BEGIN EXCLUSIVE")
                letting_go.start()
            return found

    late = Late(path, busy=5000 * MS)
    assert check(late) == 0
    letting_go.join()
    for db in (late, other):
        db.close()


def test_a_file_of_version_0_that_is_ours(db: Database) -> None:
    """As one is whose maker died before its first transaction."""
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    assert check(db) == 0
    bring_up(db)
    assert check(db) == VERSION


def test_a_file_of_an_earlier_version_is_brought_up(db: Database) -> None:
    bring_up(db)
    db.execute("INSERT INTO channels VALUES (1, 'room', 1, 'e1', 7, 1000, 0)")
    set_meta(db, "workers", "chat-1")
    bring_up(db, NEXT)
    assert check(db, len(NEXT)) == VERSION + 1
    assert columns(db)[-1] == "topic"
    assert db.first("SELECT name, epoch, tail, topic FROM channels") == ("room", "e1", 7, None)
    assert (meta(db, "workers"), meta(db, "next")) == ("chat-1", "1")


def test_each_step_is_made_once(db: Database, path: Path) -> None:
    """Of workers that start together, the second finds it done."""
    other = Database(path, busy=5000 * MS)
    for worker in (db, other, db):
        bring_up(worker, NEXT)
    assert columns(db).count("topic") == 1
    other.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(db: Database) -> None:
    bring_up(db)
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        bring_up(db, BROKEN)
    assert check(db) == VERSION
    assert "topic" not in columns(db)


def test_a_later_version_is_refused(db: Database, path: Path) -> None:
    bring_up(db, NEXT)
    for refuse in (lambda: check(db), lambda: bring_up(db)):
        with pytest.raises(ConfigError, match=rf"{path} .*later zchat \(schema {VERSION + 1}, "):
            refuse()
    assert columns(db)[-1] == "topic"


@pytest.mark.parametrize("version", [0, VERSION, 7])
def test_what_is_another_applications_is_refused(db: Database, version: int) -> None:
    db.execute("CREATE TABLE precious (a)")
    db.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(ConfigError, match="another application"):
        check(db)


def test_tables_that_are_not_what_the_version_says(db: Database) -> None:
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute("CREATE TABLE channels (precious)")
    with pytest.raises(sqlite3.OperationalError, match="channels already exists"):
        bring_up(db)
    assert columns(db) == ["precious"]
    assert db.first("SELECT name FROM sqlite_master WHERE name = 'meta'") is None


def test_what_it_says_of_itself(db: Database) -> None:
    bring_up(db)
    for text in ("a", "b"):
        set_meta(db, "boot", text)
        assert meta(db, "boot") == text
