"""Journal files that cannot be used: how that is seen, and what the operator is told to do.

Nothing here, and nothing that comes here, writes to the file or takes it away.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from zchat.errors import ConfigError, ZchatError
from zchat.rooms.stores.base import JournalFull

_MAGIC = b"SQLite format 3\0"
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_OUT_OF_REACH = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
)


class JournalDamaged(ZchatError):
    """The file's content is not what was written to it. The text says what to do."""


def code(error: Exception) -> int:
    """SQLite's extended code; 0 for what Python itself complains of."""
    found: int = getattr(error, "sqlite_errorcode", 0)
    return found


def is_damage(error: Exception) -> bool:
    """Whether SQLite found the content wrong, rather than having failed to get at it."""
    return code(error) & 0xFF in _DAMAGED


def advice(path: Path, error: Exception) -> str:
    """What is wrong with the file at `path`, and what to do about it."""
    if isinstance(error, JournalFull):
        return f"{path}: the disk is full: make room there"
    if isinstance(error, JournalDamaged):
        return str(error)
    if code(error) & 0xFF in _OUT_OF_REACH:
        return (
            f"{path}: {error}: see which process holds it and who may write there, then try again"
        )
    return (
        f"{path}: {error}. The journal is not touched: stop the workers, then mend it (sqlite3 "
        f'{path} ".recover" | sqlite3 mended.sqlite), or move it and its -wal and -shm files away '
        "to begin an empty one"
    )


def look_at(path: Path) -> None:
    """Look at the file before SQLite does, which would also work off a log that lies beside it.

    Not while this process has it open, see `Database.has_open`.

    Raises:
        ConfigError: it cannot be read, or is no database. A missing or empty one may become one.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: no journal can be kept there") from error
    if start and start != _MAGIC:
        raise ConfigError(advice(path, sqlite3.DatabaseError("file is not a database")))
