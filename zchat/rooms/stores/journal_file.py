"""The journal's file: one SQLite database per machine, shared by its workers.

    meta      key, value           schema version, boot, sync, era, ring
    channels  id, name, era, epoch, tail, used
    batches   channel, first, count, ts, publications      indexed on (channel, first)

A channel's row says where it ends (`tail`) and in which era its epoch began. A batch is one row: a
run of publications as a msgpack array. All that decides an append, the ring's generation and the
channel's tail, is compared in its transaction.

Everything here blocks; `sqlite.py` calls it from threads of its own.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from zchat.errors import ConfigError
from zchat.rooms.stores.base import (
    Append,
    Fenced,
    History,
    JournalFull,
    Outcome,
    Refused,
    RingRow,
    Stored,
)
from zchat.rooms.stream import Publication, StreamPosition

VERSION = 1

_APPLICATION = 0x7A636874
"""Marks the file as ours ("zcht"), so that no other application's database is ever written to."""

_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})

_PAUSE = 0.0005
"""Seconds between two tries to get what another process holds."""

_MAGIC = b"SQLite format 3\0"

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE channels (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, era INTEGER NOT NULL,
    epoch TEXT NOT NULL, tail INTEGER NOT NULL, used INTEGER NOT NULL
);
CREATE TABLE batches (
    channel INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
    ts INTEGER NOT NULL, publications BLOB NOT NULL
);
CREATE INDEX batches_by_offset ON batches (channel, first);
INSERT INTO meta VALUES ('era', '1'), ('generation', '0'), ('workers', '');
"""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Publication]).decode


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of each channel."""

    count: int
    """The last so many publications."""

    age: float
    """Those that are at most so many seconds old."""


class _Row(NamedTuple):
    """A channel's row."""

    id: int
    era: int
    end: StreamPosition
    used: int


class JournalFile:
    """One connection to the journal, for one thread.

    Args:
        path: the database; made when it is missing.
        sync: `full`, `normal` or `off`: what an append that returned survives, see
            docs/topics/delivery.md.
        boot: names this life of the machine: with sync other than `full`, what the last one wrote
            at its end may be gone, so a new era begins, with a new epoch for every channel.
        retention: what is kept of each channel.
        new_epoch: makes the name of a numbering's life; never the same twice.
        clock: milliseconds since 1970.
        busy: seconds to wait for another process's transaction.

    Raises:
        ConfigError: this is no journal, it is damaged, or of a later version; the text says what
            to do. Nothing is ever emptied.
    """

    def __init__(
        self,
        path: Path,
        *,
        sync: str,
        boot: str,
        retention: Retention,
        new_epoch: Callable[[], str],
        clock: Callable[[], int],
        busy: float = 2.0,
    ) -> None:
        self.path = path
        self._busy = busy
        self._retention = retention
        self._grown: dict[int, None] = {}  # channels that a trim should look at
        self._new_epoch = new_epoch
        self._clock = clock
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_magic(path)
        # The last that closes it takes the log away; who did not see one is the first.
        alone = not Path(f"{path}-wal").exists()
        try:
            self._db = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.DatabaseError as error:
            raise ConfigError(_advice(path, error)) from error
        try:
            self._prepare(sync, boot, alone)
        except (sqlite3.DatabaseError, JournalFull) as error:
            self._db.close()
            raise ConfigError(_advice(path, error)) from error
        except ConfigError:
            self._db.close()
            raise

    # Channels

    def open(self, channel: str) -> StreamPosition:
        """Where a channel ends; made when it was never seen, in a new epoch in a new era."""
        with self._transaction():
            era = int(self._meta("era"))
            row = self._row(channel)
            if row is not None and row.era == era:
                end = row.end
            else:
                end = StreamPosition(self._new_epoch(), row.end.offset if row else 0)
            self._db.execute(
                "INSERT INTO channels (name, era, epoch, tail, used) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET era = excluded.era, epoch = excluded.epoch,"
                " used = max(used, excluded.used)",
                (channel, era, *end, self._clock()),
            )
            return end

    def append(self, generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        """Write runs in one transaction; see the contract."""
        with self._transaction():
            stands = int(self._meta("generation"))
            if stands > generation:
                return [Fenced(stands)] * len(appends)
            return [self._append(append) for append in appends]

    def read(self, channel: str, after: int, limit: int) -> History:
        """At most `limit` publications above `after`, oldest first."""
        with self._snapshot():
            return self._history(channel, after + 1, 1 << 62, limit)

    def read_back(self, channel: str, before: int, limit: int) -> History:
        """The last `limit` publications below `before`, oldest first."""
        with self._snapshot():
            row = self._row(channel)
            end = min(before, row.end.offset + 1) if row else 1
            return self._history(channel, max(end - limit, 1), end, limit)

    def _append(self, append: Append) -> Outcome:
        row = self._row(append.channel)
        if row is None or append.start != row.end:
            return Refused(row.end if row else StreamPosition("", 0))
        publications = append.publications
        # A clock that is set back must not make a later row older than an earlier one: a row that
        # goes before those in front of it would leave a hole.
        ts = max(row.used, publications[-1].ts)
        self._db.execute(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?)",
            (row.id, publications[0].offset, len(publications), ts, _encode(publications)),
        )
        self._db.execute(
            "UPDATE channels SET tail = ?, used = ? WHERE id = ?", (append.end.offset, ts, row.id)
        )
        self._grown[row.id] = None
        return Stored()

    def _history(self, channel: str, first: int, end: int, limit: int) -> History:
        """Publications with offsets from `first` to before `end`, of what the retention keeps."""
        row = self._row(channel)
        if row is None:
            return History((), StreamPosition("", 0))
        first = max(first, row.end.offset + 1 - self._retention.count)
        oldest = self._clock() - round(self._retention.age * 1000)
        found: list[Publication] = []
        rows = self._db.execute(
            "SELECT publications FROM batches WHERE channel = ?1 AND first >= coalesce("
            "(SELECT max(first) FROM batches WHERE channel = ?1 AND first <= ?2), 0)"
            " AND first < ?3 AND ts >= ?4 ORDER BY first",
            (row.id, first, end, oldest),
        )
        for (blob,) in rows:
            found += [p for p in _decode(blob) if first <= p.offset < end]
            if len(found) >= limit:
                break
        rows.close()
        return History(tuple(found[:limit]), row.end)

    # The ring

    def ring(self) -> RingRow:
        """The workers that own channels now."""
        rows = dict(
            self._patiently("SELECT key, value FROM meta WHERE key IN ('generation', 'workers')")
        )
        return RingRow(int(rows["generation"]), frozenset(rows["workers"].split()))

    def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
        """Make the ring `workers` if it is still of `generation`; returns what stands now."""
        with self._transaction():
            stands = self.ring()
            if stands.generation != generation or stands.workers == workers:
                return stands
            self._set_meta("generation", str(generation + 1))
            self._set_meta("workers", " ".join(sorted(workers)))
            return RingRow(generation + 1, workers)

    # Keeping it small

    def trim(self, limit: int = 200) -> bool:
        """Forget what is past the retention, a few rows at a time; True when there may be more."""
        grown = list(islice(self._grown, limit))
        with self._transaction():
            aged = self._trim_old(limit)
            for channel in grown:
                self._trim_long(channel)
        for channel in grown:
            del self._grown[channel]
        return aged >= limit or bool(self._grown)

    def _trim_old(self, limit: int) -> int:
        """Rows are in the order of their writing, so the oldest are the first."""
        too_old = self._clock() - round(self._retention.age * 1000)
        return self._db.execute(
            "DELETE FROM batches WHERE ts < ? AND rowid IN"
            " (SELECT rowid FROM batches ORDER BY rowid LIMIT ?)",
            (too_old, limit),
        ).rowcount

    def _trim_long(self, channel: int) -> None:
        self._db.execute(
            "WITH gone (last) AS (SELECT tail - ?2 FROM channels WHERE id = ?1)"
            " DELETE FROM batches WHERE channel = ?1 AND first <= (SELECT last FROM gone)"
            " AND first + count - 1 <= (SELECT last FROM gone)",
            (channel, self._retention.count),
        )

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the database, as far as nobody is disturbed."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._db.close()

    # The database

    def _prepare(self, sync: str, boot: str, alone: bool) -> None:
        self._check_version()
        if self._pragma("journal_mode = WAL") != "wal":
            raise ConfigError(f"{self.path}: SQLite can keep no write-ahead log on this disk")
        # Synced whatever `sync` is: it says in which era, and how carefully, all that follows was
        # written.
        self._db.execute("PRAGMA synchronous = FULL")
        # Checkpoints are ours to make, in quiet moments: inside a commit they are what makes the
        # slowest one slow.
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        with self._transaction():
            if self._check_version() == 0:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {_APPLICATION}")
                self._db.execute(f"PRAGMA user_version = {VERSION}")
            if self._begin_era(sync, boot) or alone:
                self._forget_unused()
        self._db.execute(f"PRAGMA synchronous = {sync.upper()}")

    def _check_version(self) -> int:
        """The version of the schema; 0 when there is none yet."""
        version: int = self._pragma("user_version")
        if self._pragma("application_id") != _APPLICATION:
            if version or self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise ConfigError(f"{self.path} is the database of another application, no journal")
        elif version > VERSION:
            raise ConfigError(
                f"{self.path} was written by a later zchat (schema {version}, expected {VERSION} at"
                " most): start that one, or move the file away to begin an empty journal"
            )
        return version

    def _forget_unused(self) -> None:
        """Forget channels without publications, while no worker can have them open."""
        self._db.execute(
            "DELETE FROM channels WHERE used < ? AND id NOT IN (SELECT channel FROM batches)",
            (self._clock() - round(self._retention.age * 1000),),
        )

    def _begin_era(self, sync: str, boot: str) -> bool:
        """After another boot, numberings of a journal that was not synced fully begin anew.

        Returns:
            Whether this is the first worker since the machine's boot.
        """
        known, written = self._meta("boot"), self._meta("sync")
        if known != boot:
            if known and written != "full":
                self._set_meta("era", str(int(self._meta("era")) + 1))
            self._set_meta("boot", boot)
            self._set_meta("sync", sync)
        elif sync != "full":
            self._set_meta("sync", sync)
        return known != boot

    def _row(self, channel: str) -> _Row | None:
        row = self._db.execute(
            "SELECT id, era, epoch, tail, used FROM channels WHERE name = ?", (channel,)
        ).fetchone()
        return _Row(row[0], row[1], StreamPosition(row[2], row[3]), row[4]) if row else None

    def _pragma(self, name: str) -> Any:
        return self._patiently(f"PRAGMA {name}").fetchone()[0]

    def _patiently(self, statement: str) -> sqlite3.Cursor:
        """Execute what may have to wait for another process.

        SQLite's own waiting sleeps longer and longer, up to 100 ms, so that among busy workers one
        may never get its turn; and it does not wait at all where the log is switched on.
        """
        deadline = time.monotonic() + self._busy
        while True:
            try:
                return self._db.execute(statement)
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)

    def _meta(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def _set_meta(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Several reads that see one state."""
        self._db.execute("BEGIN")
        try:
            self._patiently("SELECT 1 FROM meta")  # what is read from here on is of this moment
            yield
        finally:
            self._roll_back()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing.

        Raises:
            JournalFull: the disk is full; nothing was written.
        """
        try:
            self._patiently("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode in _NO_ROOM:
                full = JournalFull("the journal's disk is full")
                full.add_note(f"{self.path}: {error}")
                raise full from error
            raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def _check_magic(path: Path) -> None:
    """Look at the file before SQLite does, which would also work off a log that lies beside it."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: no journal can be kept there") from error
    if start and start != _MAGIC:
        raise ConfigError(_advice(path, sqlite3.DatabaseError("file is not a database")))


def _advice(path: Path, error: Exception) -> str:
    if isinstance(error, JournalFull):
        return f"{path}: the disk is full: make room there"
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOTADB)
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return (
            f"{path}: {error}: see which process holds it and who may write there, then try again"
        )
    return (
        f"{path}: {error}. The journal is not touched: mend it (sqlite3 {path} .recover) or move it"
        " and its -wal and -shm files away to begin an empty one"
    )
