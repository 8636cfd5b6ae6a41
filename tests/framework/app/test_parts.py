"""What a server is made of, and that an application may replace it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from zchat.chat.app import app as chat
from zchat.cluster.context import Context
from zchat.cluster.publisher import Publisher
from zchat.config.settings import Settings
from zchat.framework.app.parts import open_store
from zchat.rooms.stores.base import Append
from zchat.rooms.stores.memory import MemoryStore
from zchat.rooms.stores.sqlite import SqliteStore
from zchat.rooms.stream import Draft


class Counting(Publisher):
    """Counts what is published in rooms."""

    def __init__(self, context: Context, on_token: Callable[[bytes], None]) -> None:
        super().__init__(context, on_token)
        self.topics: list[str] = []

    def publish(self, topic: str, payload: bytes) -> None:
        self.topics.append(topic)
        super().publish(topic, payload)


async def test_the_journal_is_a_file_that_the_settings_name(tmp_path: Path) -> None:
    settings = Settings()
    store = open_store(settings, tmp_path)
    try:
        assert isinstance(store, SqliteStore)
        assert (tmp_path / settings.journal.path).exists()
    finally:
        await store.close()


def test_without_a_path_it_is_in_memory(tmp_path: Path) -> None:
    settings = replace(Settings(), journal=replace(Settings().journal, path=""))
    assert isinstance(open_store(settings, tmp_path), MemoryStore)


@pytest.mark.parametrize("path", ["", "journal.sqlite"])
async def test_as_much_is_kept_as_repeats_are_recognized_in(tmp_path: Path, path: str) -> None:
    """A worker that starts again knows them from the journal alone."""
    rooms = replace(Settings().rooms, history=1, history_age=0.0, repeat_window=3)
    journal = replace(Settings().journal, path=path)
    store = open_store(replace(Settings(), rooms=rooms, journal=journal), tmp_path)
    try:
        epoch, _ = await store.open("room")
        now = time.time_ns() // 1_000_000
        run = [Draft("onChat", b"{}", "alice", f"c{n}").at(n, now - 1000) for n in range(1, 6)]
        await store.append(0, [Append("room", epoch, run)])
        back = await store.read_back("room", 6, 9)
        assert [p.cid for p in back.publications] == ["c3", "c4", "c5"]
    finally:
        await store.close()


async def test_an_application_may_wrap_its_parts(tmp_path: Path) -> None:
    made: list[Counting] = []

    def publisher(context: Context, on_token: Callable[[bytes], None]) -> Publisher:
        made.append(Counting(context, on_token))
        return made[-1]

    app = copy.copy(chat)
    app.parts = replace(chat.parts, publisher=publisher)
    async with Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 1}, app=app) as cluster:
        ann = await cluster.enter("ann", "pier")
        await ann.say("hello")
        await ann.expect("onChat")
    assert [part.topics.count("pier") for part in made] == [2]  # ann came, and what she said
