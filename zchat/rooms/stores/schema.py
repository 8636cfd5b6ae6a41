"""The journal's tables, and how a file of an earlier version becomes one of this version.

    meta      key, value           boot, sync, era, ring
    channels  id, name, era, epoch, tail, used, base
    batches   channel, first, count, ts, publications      indexed on (channel, first)

A channel's row says where it ends (`tail`), in which era its epoch began and after which offset
(`base`), and when it was last written to (`used`). A batch is one row: a run of publications as a
msgpack array.

The version is SQLite's `user_version`; an empty file is of version 0. To change the tables, append
a step: never change one that was released.
"""

from __future__ import annotations

from collections.abc import Sequence

from zchat.errors import ConfigError
from zchat.rooms.stores.database import Database

APPLICATION = 0x7A636874
"""Marks the file as ours ("zcht"), so that no other application's database is ever written to."""

STEPS: Sequence[str] = (
    """
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
    """,
    "ALTER TABLE channels ADD COLUMN base INTEGER NOT NULL DEFAULT 0",
)
"""Step n makes version n of version n - 1."""

VERSION = len(STEPS)


def check(db: Database, newest: int = VERSION) -> int:
    """The version of the file's schema; 0 when it has none.

    Raises:
        ConfigError: it is another application's, or of a later version than `newest`.
    """
    version: int = db.pragma("user_version")
    # Whose it is comes last: between two of these reads another worker may make a journal of it.
    used = version or db.patiently("SELECT 1 FROM sqlite_master").fetchone()
    if db.pragma("application_id") != APPLICATION:
        if used:
            raise ConfigError(f"{db.path} is the database of another application, no journal")
    elif version > newest:
        raise ConfigError(
            f"{db.path} was written by a later zchat (schema {version}, expected {newest} at"
            " most): start that one, or move the file away to begin an empty journal"
        )
    return version


def migrate(db: Database, steps: Sequence[str] = STEPS) -> None:
    """Bring the file to the version that `steps` end with.

    Called in a transaction: of workers that start together one does it, and a step that fails
    leaves the file as it was.

    Raises:
        ConfigError: see `check`.
        sqlite3.DatabaseError: the tables are not what their version says.
    """
    version = check(db, len(steps))
    if version == len(steps):
        return
    for step in steps[version:]:
        for statement in step.split(";"):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {len(steps)}")


def meta(db: Database, key: str) -> str:
    """What the file says of itself; empty when it does not."""
    row = db.first("SELECT value FROM meta WHERE key = ?", (key,))
    return row[0] if row else ""


def set_meta(db: Database, key: str, value: str) -> None:
    """Note down what the file says of itself."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
