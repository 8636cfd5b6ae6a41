"""Files that are no journal, and what their operator reads."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from zchat.errors import ConfigError
from zchat.rooms.stores.base import JournalFull
from zchat.rooms.stores.damage import JournalDamaged, advice, code, is_damage, look_at

PATH = Path("run/journal.sqlite")


def failure(number: int, text: str = "failed") -> sqlite3.DatabaseError:
    """An error as SQLite raises it."""
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = number
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (JournalFull("full"), "make room there"),
        (failure(sqlite3.SQLITE_BUSY, "database is locked"), "locked: see which process holds it"),
        (failure(sqlite3.SQLITE_READONLY), "who may write there"),
        (failure(sqlite3.SQLITE_CANTOPEN), "try again"),
        (failure(sqlite3.SQLITE_CORRUPT, "malformed"), 'malformed.*".recover".*move it and its'),
        (sqlite3.DatabaseError("no code"), "no code.*not touched.*stop the workers"),
    ],
)
def test_each_has_its_advice(error: Exception, expected: str) -> None:
    assert str(PATH) in advice(PATH, error)
    with pytest.raises(ConfigError, match=expected):
        raise ConfigError(advice(PATH, error))


def test_advice_is_given_once() -> None:
    damaged = JournalDamaged(advice(PATH, failure(sqlite3.SQLITE_CORRUPT)))
    assert advice(PATH, damaged) == str(damaged)


@pytest.mark.parametrize(
    ("number", "verdict"),
    [
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_CORRUPT_INDEX, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_IOERR_READ, False),
        (sqlite3.SQLITE_BUSY, False),
    ],
)
def test_damage_is_what_was_read_and_not_that_it_could_not_be_read(
    number: int, verdict: bool
) -> None:
    assert code(failure(number)) == number
    assert is_damage(failure(number)) is verdict


def test_an_error_that_sqlite_did_not_raise_has_no_code() -> None:
    assert code(ValueError()) == 0
    assert not is_damage(ValueError())


def test_folders_are_made_for_a_missing_file(tmp_path: Path) -> None:
    look_at(tmp_path / "data" / "deep" / "journal.sqlite")
    assert (tmp_path / "data" / "deep").is_dir()


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0 and more"])
def test_what_may_be_or_become_a_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(content)
    look_at(path)
    assert path.read_bytes() == content


def test_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"hello")
    with pytest.raises(ConfigError, match=r"journal\.sqlite: file is not a database"):
        look_at(path)


def test_a_file_where_its_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match=r"run/journal.sqlite: .*no journal can be kept there"):
        look_at(tmp_path / "run" / "journal.sqlite")
