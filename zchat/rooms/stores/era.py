"""Eras: what was written before the machine started again, and what after.

With sync other than `full`, the end of what the machine's last life wrote may be gone, and who saw
those offsets must not meet them again: every channel then begins a new epoch.
"""

from __future__ import annotations

from zchat.rooms.stores.database import Database
from zchat.rooms.stores.schema import meta, set_meta


def begin_era(db: Database, boot: str, sync: str) -> bool:
    """Note down who writes from now on, and begin a new era if the last one's end is in doubt.

    Called in a transaction that is synced. The most careless of a boot's workers counts.

    Args:
        boot: names this life of the machine.
        sync: how this worker will write.

    Returns:
        Whether it is the first worker of this boot.
    """
    known, written = meta(db, "boot"), meta(db, "sync")
    if known != boot:
        if known and written != "full":
            set_meta(db, "era", str(int(meta(db, "era")) + 1))
        set_meta(db, "boot", boot)
        set_meta(db, "sync", sync)
    elif sync != "full":
        set_meta(db, "sync", sync)
    return known != boot
