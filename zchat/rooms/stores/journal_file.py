"""The journal's file: one SQLite database per machine, shared by its workers; see `schema`.

All that decides an append, the ring's generation and the channel's tail, is compared in its
transaction.

Everything here blocks; `sqlite.py` calls it from threads of its own.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

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
from zchat.rooms.stores.damage import JournalDamaged, advice, look_at
from zchat.rooms.stores.database import Database
from zchat.rooms.stores.era import begin_era
from zchat.rooms.stores.journal_options import JournalOptions
from zchat.rooms.stores.schema import check, meta, migrate, set_meta
from zchat.rooms.stream import Publication, StreamPosition

logger = logging.getLogger("zchat.cluster")

_CHECK = 2.0
"""Seconds that a start may spend on looking for damage; some 10 million publications."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Publication]).decode


class _Row(NamedTuple):
    """A channel's row."""

    id: int
    era: int
    end: StreamPosition
    base: int


class JournalFile:
    """One connection to the journal, for one thread.

    Args:
        path: the database; made when it is missing.
        options: the same for all who share it.

    Raises:
        ConfigError: this is no journal, it is damaged, or of a later version; the text says what
            to do. Nothing is ever emptied.
    """

    def __init__(self, path: Path, options: JournalOptions) -> None:
        self.path = path
        self._options = options
        self._grown: dict[str, None] = {}  # channels that a trim should look at
        if not Database.has_open(path):
            look_at(path)
        # The last that closes it takes the log away; who did not see one is the first.
        alone = not Path(f"{path}-wal").exists()
        try:
            self._db = Database(path, options.busy)
        except sqlite3.DatabaseError as error:
            raise ConfigError(advice(path, error)) from error
        try:
            self._prepare(alone)
        except (sqlite3.DatabaseError, JournalFull, JournalDamaged) as error:
            self._db.close()
            raise ConfigError(advice(path, error)) from error
        except ConfigError:
            self._db.close()
            raise

    # Channels

    def open(self, channel: str) -> StreamPosition:
        """Where a channel ends; made when it was never seen, in a new epoch in a new era."""
        with self._db.transaction():
            era = int(meta(self._db, "era"))
            row = self._row(channel)
            if row is not None and row.era == era:
                end, base = row.end, row.base
            else:
                base = row.end.offset if row else 0
                end = StreamPosition(self._options.new_epoch(), base)
            self._db.execute(
                "INSERT INTO channels (name, era, epoch, tail, base, used)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET era = excluded.era,"
                " epoch = excluded.epoch, base = excluded.base, used = max(used, excluded.used)",
                (channel, era, *end, base, self._options.clock()),
            )
            return end

    def append(self, generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        """Write runs in one transaction; see the contract."""
        with self._db.transaction():
            stands = int(meta(self._db, "generation"))
            if stands > generation:
                return [Fenced(stands)] * len(appends)
            outcomes = [self._advance(append) for append in appends]
            self._db.execute_many(
                "INSERT INTO batches SELECT id, ?, ?, used, ? FROM channels WHERE name = ?",
                [
                    _batch(append)
                    for append, outcome in zip(appends, outcomes, strict=True)
                    if isinstance(outcome, Stored)
                ],
            )
        return outcomes

    def _advance(self, append: Append) -> Outcome:
        """Move a channel's tail, if it is where the append begins."""
        # A clock that is set back must not make a later row older than an earlier one: a row that
        # goes before those in front of it would leave a hole. So `used` only grows, and is the
        # row's time.
        moved = self._db.execute(
            "UPDATE channels SET tail = ?, used = max(used, ?)"
            " WHERE name = ? AND epoch = ? AND tail = ?",
            (append.end.offset, append.publications[-1].ts, append.channel, *append.start),
        )
        if not moved.rowcount:
            row = self._row(append.channel)
            return Refused(row.end if row else StreamPosition("", 0))
        self._grown[append.channel] = None
        return Stored()

    def read(self, channel: str, after: int, limit: int) -> History:
        """At most `limit` publications above `after`, of the present epoch, oldest first."""
        with self._db.snapshot():
            row = self._row(channel)
            base, tail = (row.base, row.end.offset) if row else (0, 0)
            first = min(max(after, base), tail) + 1  # `after` may be more than SQLite can hold
            return self._history(channel, first, tail + 1, limit)

    def read_back(self, channel: str, before: int, limit: int) -> History:
        """The last `limit` publications below `before`, oldest first."""
        with self._db.snapshot():
            row = self._row(channel)
            end = max(min(before, row.end.offset + 1), 1) if row else 1
            return self._history(channel, max(end - limit, 1), end, limit)

    def _history(self, channel: str, first: int, end: int, limit: int) -> History:
        """Publications with offsets from `first` to before `end`, of what the retention keeps."""
        row = self._row(channel)
        if row is None:
            return History((), StreamPosition("", 0))
        first = max(first, row.end.offset + 1 - self._options.retention.count)
        found: list[Publication] = []
        rows = self._db.execute(
            "SELECT publications FROM batches WHERE channel = ?1 AND first >= coalesce("
            "(SELECT max(first) FROM batches WHERE channel = ?1 AND first <= ?2), 0)"
            " AND first < ?3 AND ts >= ?4 ORDER BY first",
            (row.id, first, end, self._oldest()),
        )
        for (blob,) in rows:
            found += [p for p in self._decoded(channel, blob) if first <= p.offset < end]
            if len(found) >= limit:
                break
        rows.close()
        return History(tuple(found[:limit]), row.end)

    def _decoded(self, channel: str, blob: bytes) -> list[Publication]:
        try:
            return _decode(blob)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            problem = ValueError(f"publications of {channel} cannot be read ({error})")
            raise JournalDamaged(advice(self.path, problem)) from error

    # The ring

    def ring(self) -> RingRow:
        """The workers that own channels now."""
        rows = dict(
            self._db.patiently("SELECT key, value FROM meta WHERE key IN ('generation', 'workers')")
        )
        return RingRow(int(rows["generation"]), frozenset(rows["workers"].split()))

    def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
        """Make the ring `workers` if it is still of `generation`; returns what stands now."""
        with self._db.transaction():
            stands = self.ring()
            if stands.generation != generation or stands.workers == workers:
                return stands
            set_meta(self._db, "generation", str(generation + 1))
            set_meta(self._db, "workers", " ".join(sorted(workers)))
            return RingRow(generation + 1, workers)

    # Keeping it small

    def trim(self, limit: int = 200) -> bool:
        """Forget what is past the retention, a few rows at a time; True when there may be more."""
        grown = list(islice(self._grown, limit))
        with self._db.transaction():
            aged = self._trim_old(limit)
            for channel in grown:
                self._trim_long(channel)
        for channel in grown:
            del self._grown[channel]
        return aged >= limit or bool(self._grown)

    def _trim_old(self, limit: int) -> int:
        """Rows are in the order of their writing, so the oldest are the first."""
        return self._db.execute(
            "DELETE FROM batches WHERE ts < ? AND rowid IN"
            " (SELECT rowid FROM batches ORDER BY rowid LIMIT ?)",
            (self._oldest(), limit),
        ).rowcount

    def _trim_long(self, channel: str) -> None:
        row = self._row(channel)
        if row is not None:
            self._db.execute(
                "DELETE FROM batches"
                " WHERE channel = ?1 AND first <= ?2 AND first + count - 1 <= ?2",
                (row.id, row.end.offset - self._options.retention.count),
            )

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the database, as far as nobody is disturbed."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._db.close()

    def _oldest(self) -> int:
        """The time before which nothing is kept."""
        return self._options.clock() - round(self._options.retention.age * 1000)

    # Lives

    def _prepare(self, alone: bool) -> None:
        check(self._db)
        self._db.prepare()
        # Synced whatever the options say: they say in which era, and how carefully, all that
        # follows was written.
        self._db.execute("PRAGMA synchronous = FULL")
        with self._db.transaction():
            migrate(self._db)
            known = meta(self._db, "boot")
        if known not in ("", self._options.boot):
            self._look_for_damage()
        with self._db.transaction():
            if begin_era(self._db, self._options.boot, self._options.sync) or alone:
                self._forget_unused()
        self._db.execute(f"PRAGMA synchronous = {self._options.sync.upper()}")

    def _look_for_damage(self) -> None:
        """After the machine has started again: a process that dies tears no page, a machine may.

        Not later, and not after the boot was noted down: as long as the file is not mended, no
        worker of this boot begins to write to it.
        """
        if not self._db.quick_check(_CHECK):
            logger.info("%s is large: looked for damage for %g seconds only", self.path, _CHECK)

    def _forget_unused(self) -> None:
        """Forget channels without publications, while no worker can have them open."""
        self._db.execute(
            "DELETE FROM channels WHERE used < ? AND id NOT IN (SELECT channel FROM batches)",
            (self._oldest(),),
        )

    # Rows

    def _row(self, channel: str) -> _Row | None:
        row = self._db.first(
            "SELECT id, era, epoch, tail, base FROM channels WHERE name = ?", (channel,)
        )
        return _Row(row[0], row[1], StreamPosition(row[2], row[3]), row[4]) if row else None


def _batch(append: Append) -> tuple[int, int, bytes, str]:
    run = append.publications
    return run[0].offset, len(run), _encode(run), append.channel
