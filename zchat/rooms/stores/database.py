"""One connection to an SQLite file that several processes write: how it waits, and how it fails."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zchat.rooms.stores.base import JournalFull
from zchat.rooms.stores.damage import JournalDamaged, advice, code, is_damage

_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})

_PAUSE = 0.0005
"""Seconds between two tries to get what another process holds."""

_LOG_BYTES = 16 * 1024 * 1024
"""What a log that was worked off may keep of the disk."""

_open: list[Path] = []
"""The files that this process has open, one entry a connection."""

_STEPS = 1000
"""SQLite's own steps between two looks at the clock."""


class Database:
    """A connection, for one thread. It blocks.

    Args:
        path: the file; made when it is missing.
        busy: seconds to wait for another process's transaction.

    Raises:
        sqlite3.DatabaseError: it cannot be opened.
    """

    def __init__(self, path: Path, busy: float) -> None:
        self.path = path
        self._busy = busy
        # We wait ourselves, see `patiently`; transactions are begun by us; and a connection is
        # made in the loop's thread for one that uses it from then on.
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        self._entry: Path | None = path.resolve()
        _open.append(path.resolve())
        self.execute = self._db.execute
        self.execute_many = self._db.executemany

    @staticmethod
    def has_open(path: Path) -> bool:
        """Whether this process has a connection to the file.

        Then it may open the file in no other way. POSIX takes all of a process's locks on a file
        away when the process closes any descriptor of it: other processes would take us for gone,
        and the next that ends would take away the log that we write to.
        """
        return path.resolve() in _open

    def prepare(self) -> None:
        """Set what holds for every connection.

        - `journal_mode = WAL`: readers and the writer never wait for each other, and a commit is
          one append to the log.
        - `wal_autocheckpoint = 0`: checkpoints are ours to make, in quiet moments; inside a commit
          they are what makes the slowest one slow.
        - `journal_size_limit`: the log that a busy hour made long is cut when it was worked off.
        - `cell_size_check = ON`: a damaged page is noticed when it is read, not when what is wrong
          in it was believed. It costs nothing that can be measured.

        Raises:
            sqlite3.OperationalError: there can be no log on this disk.
        """
        if self.pragma("journal_mode = WAL") != "wal":
            raise sqlite3.OperationalError("SQLite can keep no write-ahead log on this disk")
        self.execute("PRAGMA wal_autocheckpoint = 0")
        self.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        self.execute("PRAGMA cell_size_check = ON")

    def first(self, statement: str, parameters: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row of an answer."""
        row: tuple[Any, ...] | None = self.execute(statement, parameters).fetchone()
        return row

    def pragma(self, name: str) -> Any:
        """Ask for a setting, or make one and get what it is then."""
        return self.patiently(f"PRAGMA {name}").fetchone()[0]

    def patiently(self, statement: str) -> sqlite3.Cursor:
        """Execute what may have to wait for another process.

        SQLite's own waiting sleeps longer and longer, up to 100 ms, so that among busy workers one
        may never get its turn; and it does not wait at all where the log is switched on.

        Raises:
            sqlite3.OperationalError: the other one took too long.
        """
        deadline = time.monotonic() + self._busy
        while True:
            try:
                return self._db.execute(statement)
            except sqlite3.OperationalError as error:
                if code(error) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing.

        Raises:
            JournalFull: the disk is full; nothing was written.
            JournalDamaged: the file is.
        """
        with self._failing():
            self.patiently("BEGIN IMMEDIATE")
            yield
            self.execute("COMMIT")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads that see one state.

        Raises:
            JournalDamaged: the file is.
        """
        with self._failing():
            self.execute("BEGIN")
            self.patiently("SELECT 1 FROM meta")  # what is read from here on is of this moment
            yield

    def quick_check(self, seconds: float) -> bool:
        """Read through the file in search of damage, for at most so long.

        Returns:
            Whether all of it was read.

        Raises:
            JournalDamaged: it is.
        """
        deadline = time.monotonic() + seconds
        self._db.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            (found,) = self.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if code(error) != sqlite3.SQLITE_INTERRUPT:
                raise
            return False
        finally:
            self._db.set_progress_handler(None, 0)
        if found != "ok":
            problem = sqlite3.DatabaseError(" ".join(found.split()))
            raise JournalDamaged(advice(self.path, problem))
        return True

    def close(self) -> None:
        """Close the file; the last to do so takes the log away. Idempotent."""
        self._db.close()
        if self._entry is not None:
            _open.remove(self._entry)
            self._entry = None

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Roll back in the end whatever was not committed, and name what went wrong."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if code(error) in _NO_ROOM:
                full = JournalFull("the journal's disk is full")
                full.add_note(f"{self.path}: {error}")
                raise full from error
            if is_damage(error):
                raise JournalDamaged(advice(self.path, error)) from error
            raise
        finally:
            if self._db.in_transaction:
                self.execute("ROLLBACK")
