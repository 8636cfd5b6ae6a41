"""What a server is made of that can be wrapped or replaced: its journal and its publications' ends.

app.parts = replace(app.parts, store=lambda settings, folder: MyJournal(settings))
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zchat.cluster.context import Context
from zchat.cluster.publisher import Publisher
from zchat.cluster.subscriber import Subscriber, SubscriberHandlers
from zchat.config.settings import Settings
from zchat.rooms.stores.base import Store
from zchat.rooms.stores.journal_options import JournalOptions, Retention
from zchat.rooms.stores.memory import MemoryStore
from zchat.rooms.stores.sqlite import SqliteStore

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def open_store(settings: Settings, folder: Path) -> Store:
    """The journal that settings.toml names; in memory when it names none.

    Raises:
        ConfigError: the file cannot be used; the text says what to do.
    """
    rooms, journal = settings.rooms, settings.journal
    # An owner that takes a channel learns from the journal what is a repeat, so it keeps that much.
    kept = max(rooms.history, rooms.repeat_window)
    age = max(rooms.history_age, rooms.repeat_age)
    if not journal.path:
        return MemoryStore(_new_epoch, kept)
    options = JournalOptions(
        sync=journal.sync,
        boot=_BOOT.read_text().strip(),
        retention=Retention(kept, age),
        new_epoch=_new_epoch,
        clock=lambda: time.time_ns() // 1_000_000,
    )
    return SqliteStore(folder / journal.path, options)


def _new_epoch() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Parts:
    """How they are made."""

    store: Callable[[Settings, Path], Store] = open_store
    """The journal of a server that owns channels, from the settings and the project's folder."""

    publisher: Callable[[Context, Callable[[bytes], None]], Publisher] = Publisher
    """Its XPUB, and who hears of tokens."""

    subscriber: Callable[[Context, SubscriberHandlers], Subscriber] = Subscriber
    """A frontend's XSUB, and who hears what."""
