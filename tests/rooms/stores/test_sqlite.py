"""SQLite under the contract of all journals, and what its threads add to the file."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.store import KEPT, StoreContract, after, check_unknown_outcome, write
from tests.support.logs import ExpectedLogs
from tests.support.timing import MS, PATIENCE, eventually
from zchat.errors import ConfigError, TimedOut
from zchat.rooms.broker import Broker
from zchat.rooms.owned_stream import OwnedStream
from zchat.rooms.stores import sqlite as module
from zchat.rooms.stores.base import Append, Fenced, JournalFull, Outcome, Refused, RingRow, Stored
from zchat.rooms.stores.journal_file import JournalFile
from zchat.rooms.stores.journal_options import JournalOptions, Retention
from zchat.rooms.stores.journal_thread import JournalStalled
from zchat.rooms.stores.sqlite import SqliteStore
from zchat.rooms.stream import Draft, StreamPosition

_epochs = itertools.count(1)


def make(
    path: Path, *, boot: str = "boot1", busy: float = 200 * MS, patience: float = 10_000 * MS
) -> SqliteStore:
    options = JournalOptions(
        sync="normal",
        boot=boot,
        retention=Retention(KEPT, 3600.0),
        new_epoch=lambda: f"epoch{next(_epochs)}",
        clock=lambda: 2000,
        busy=busy,
        patience=patience,
    )
    return SqliteStore(path, options)


class TestSqliteStore(StoreContract):
    shared = True

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def make(self) -> SqliteStore:
        return make(self.folder / "journal.sqlite")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = make(path)
    yield store
    await store.close()


@pytest.fixture
async def rival(store: SqliteStore, path: Path) -> AsyncIterator[SqliteStore]:
    """Another worker's store on the same file."""
    rival = make(path, busy=5000 * MS)
    yield rival
    await rival.close()


def threads_of(store: SqliteStore) -> list[threading.Thread]:
    """Those of its threads that have not ended."""
    threads = (store._reader._thread, store._writer._thread)
    return [thread for thread in threads if thread.is_alive()]


def rows(path: Path) -> int:
    """How many there are on the disk."""
    db = sqlite3.connect(path)
    try:
        (count,) = db.execute("SELECT count(*) FROM batches").fetchone()
    finally:
        db.close()
    assert isinstance(count, int)
    return count


def has_log(path: Path) -> bool:
    """Whether the write-ahead log is there, as it is while anybody has the file open."""
    return Path(f"{path}-wal").exists()


async def fill(store: SqliteStore, channel: str, count: int) -> StreamPosition:
    """Append one publication after the other; returns the tail."""
    tail = await store.open(channel)
    for _ in range(count):
        append = after(tail, channel=channel)
        assert await write(store, append) == [Stored()]
        tail = append.end
    return tail


async def test_workers_write_at_the_same_time(store: SqliteStore, rival: SqliteStore) -> None:
    tails = await asyncio.gather(fill(store, "a", 30), fill(rival, "b", 30))
    for reader in (store, rival):
        for channel, tail in zip("ab", tails, strict=True):
            history = await reader.read(channel, 0, 99)
            assert [p.offset for p in history.publications] == list(range(21, 31))
            assert history.tail == tail


async def test_of_two_workers_one_gets_each_offset(store: SqliteStore, rival: SqliteStore) -> None:
    tail = await store.open("room")
    for _ in range(10):
        append = after(tail)
        both = await asyncio.gather(write(store, append), write(rival, append))
        assert sorted(both, key=repr) == [[Refused(append.end)], [Stored()]]
        tail = append.end


async def test_a_worker_that_is_behind_is_fenced(store: SqliteStore, rival: SqliteStore) -> None:
    """However its append and the change of the ring meet, none comes after the change."""
    tail = await store.open("room")
    outcomes: list[list[Outcome]] = []

    async def go_on() -> None:
        end = tail
        while True:
            append = after(end)
            outcomes.append(await write(store, append))
            if outcomes[-1] != [Stored()]:
                return
            end = append.end

    writing = asyncio.create_task(go_on())
    await eventually(lambda: len(outcomes) > 5)
    row = await rival.change_ring(0, frozenset({"chat-2"}))
    end = await rival.open("room")
    await writing
    assert outcomes[-1] == [Fenced(1)]
    assert end.offset == len(outcomes) - 1
    assert await store.ring() == row == RingRow(1, frozenset({"chat-2"}))
    assert await write(rival, after(end), generation=1) == [Stored()]


async def test_another_that_holds_the_file(store: SqliteStore, path: Path) -> None:
    """A worker stopped inside a transaction costs the others `busy` seconds, and no offset."""
    append = after(await store.open("room"))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        await write(store, append)
    assert loop.time() - begun >= 150 * MS, "it waited"
    assert list((await store.read("room", 0, 9)).publications) == []
    holder.execute("ROLLBACK")
    holder.close()
    await check_unknown_outcome(store, append)


_STOPPED = """
import os, signal, sys
from pathlib import Path
from zchat.rooms.stores.database import Database

db = Database(Path(sys.argv[1]), busy=5.0)
with db.transaction():
    db.execute("UPDATE meta SET value = value")
    print("inside", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
print("committed", flush=True)
"""


async def test_a_worker_that_is_stopped_inside_a_transaction(path: Path) -> None:
    """Appends of the others fail after `busy` seconds each, reading goes on; then all is well."""
    store = make(path, busy=300 * MS)
    append = after(await store.open("room"))
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _STOPPED, path, stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"inside\n"
    await eventually(lambda: " T " in Path(f"/proc/{worker.pid}/stat").read_text())
    loop = asyncio.get_running_loop()
    for _ in range(2):
        begun = loop.time()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await write(store, append)
        assert 200 * MS < loop.time() - begun < 2000 * MS
        assert (await store.read("room", 0, 9)).tail == append.start
    worker.send_signal(signal.SIGCONT)
    assert (await worker.communicate())[0] == b"committed\n"
    await check_unknown_outcome(store, append)
    await store.close()


_GUEST = """
import asyncio, sys
from pathlib import Path
from zchat.rooms.stores.journal_options import JournalOptions, Retention
from zchat.rooms.stores.sqlite import SqliteStore

async def main():
    options = JournalOptions(sync="normal", boot="boot1", retention=Retention(10, 3600.0),
                             new_epoch=lambda: "e", clock=lambda: 2000)
    store = SqliteStore(Path(sys.argv[1]), options)
    print(*await store.open("room"))
    await store.close()

asyncio.run(main())
"""


async def test_a_worker_that_comes_and_goes_leaves_the_others_their_log(
    store: SqliteStore, path: Path
) -> None:
    """It is not the last: what they write afterwards is seen by the next worker."""

    async def guest() -> StreamPosition:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _GUEST, path, stdout=subprocess.PIPE
        )
        said, _ = await worker.communicate()
        epoch, offset = said.decode().split()
        return StreamPosition(epoch, int(offset))

    tail = await store.open("room")
    for _ in range(3):
        assert await guest() == tail
        assert has_log(path)
        append = after(tail)
        assert await write(store, append) == [Stored()]
        tail = append.end
    assert await guest() == tail


class Hanging:
    """A disk that takes an append and does not answer, until it is told to."""

    def __init__(self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        append = store._writing.append

        def hang(generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
            assert self.answers.wait(10_000 * MS)
            return append(generation, appends)

        monkeypatch.setattr(store._writing, "append", hang)


async def test_a_disk_that_hangs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its append has an unknown outcome, and no tail can be read before it has one."""
    store = make(path, busy=10 * MS, patience=100 * MS)
    append = after(await store.open("room"), 2)
    disk = Hanging(store, monkeypatch)
    with pytest.raises(JournalStalled, match="no answer in"):
        await write(store, append)
    for call in (
        store.read("room", 0, 9),
        store.read_back("room", 9, 9),
        store.open("room"),
        write(store, append),
    ):
        with pytest.raises(JournalStalled, match="hangs"):
            await call
    disk.answers.set()
    await eventually(lambda: not store._writer.stalled)
    assert (await store.read("room", 0, 9)).tail == append.end
    await check_unknown_outcome(store, append)
    await store.close()


async def test_a_worker_ends_though_its_disk_hangs(
    path: Path, monkeypatch: pytest.MonkeyPatch, expected_logs: ExpectedLogs
) -> None:
    """Its broker's senders are told that nobody knows, and both close in bounded time."""
    expected_logs("zchat.cluster", "append of 1 batches failed")
    expected_logs("zchat.cluster", "room cannot be read")
    store = make(path, busy=10 * MS, patience=100 * MS)
    stream = OwnedStream("room", await store.open("room"))
    disk = Hanging(store, monkeypatch)

    async def fenced() -> None:
        pytest.fail("the ring does not change")

    broker = Broker(store, lambda *published: None, lambda: 2000, lambda: 0, fenced)
    answer = broker.offer(stream, Draft("onChat", b"{}"))
    async with asyncio.timeout(5000 * MS):
        await broker.close()
        await store.close()
    with pytest.raises(TimedOut):
        await answer
    disk.answers.set()
    await eventually(lambda: not threads_of(store))


async def test_the_loop_turns_while_an_append_waits(store: SqliteStore, path: Path) -> None:
    append = after(await store.open("room"))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(write(store, append))
    for _ in range(20):
        assert (await store.read("room", 0, 9)).tail == append.start
    assert not writing.done()
    holder.execute("ROLLBACK")
    holder.close()
    assert await writing == [Stored()]


async def test_a_full_disk_heals(store: SqliteStore) -> None:
    tail = await store.open("room")
    await store._writer.run(store._writing._db.execute, "PRAGMA max_page_count = 1")
    big = after(tail, 300, "x" * 500)
    with pytest.raises(JournalFull):
        await write(store, big)
    assert await store.read("room", 0, 9) == await store.read_back("room", 9, 9)
    assert (await store.read("room", 0, 9)).tail == tail
    await store._writer.run(store._writing._db.execute, "PRAGMA max_page_count = 100000")
    assert await write(store, big) == [Stored()]


async def test_who_gave_up_waiting_has_written_all_the_same(store: SqliteStore) -> None:
    append = after(await store.open("room"), 3)
    writing = asyncio.create_task(write(store, append))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await check_unknown_outcome(store, append)


async def test_in_a_quiet_moment_it_is_tidied_up(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET", 20 * MS)
    await fill(store, "room", KEPT * 3)
    await eventually(lambda: rows(path) == KEPT)
    await eventually(lambda: path.stat().st_size > 3 * 4096)  # the log was worked off
    assert len((await store.read("room", 0, 99)).publications) == KEPT


async def test_it_is_tidied_up_when_it_never_gets_quiet(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET", 3600.0)
    monkeypatch.setattr(module, "_RESTLESS", 20 * MS)
    tail = await fill(store, "room", KEPT * 3)
    async with asyncio.timeout(PATIENCE):
        while rows(path) > KEPT + 5:
            append = after(tail)
            await write(store, append)
            tail = append.end
    assert (await store.open("room")) == tail


async def test_tidying_up_that_fails_is_logged(
    store: SqliteStore,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    expected_logs: ExpectedLogs,
) -> None:
    expected_logs("zchat.cluster", "tidying up failed: database is locked")
    monkeypatch.setattr(module, "_QUIET", 1 * MS)
    tail = await fill(store, "room", 1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    await eventually(lambda: expected_logs.records)
    holder.close()
    assert await write(store, after(tail)) == [Stored()]


async def test_an_append_under_way_when_it_closes(store: SqliteStore, path: Path) -> None:
    """It is finished, and leaves nothing behind that would use the closed file."""
    writing = asyncio.create_task(write(store, after(await store.open("room"))))
    await asyncio.sleep(0)
    await store.close()
    assert await writing == [Stored()]
    assert store._quiet is None
    assert rows(path) == 1


async def test_closing_leaves_one_file_and_no_thread(path: Path) -> None:
    store = make(path)
    await fill(store, "room", 3)
    await store.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert not threads_of(store)


async def test_closing_that_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads end all the same, and the file is closed."""
    store = make(path)
    await fill(store, "room", 3)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await eventually(lambda: not threads_of(store))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_a_file_that_only_one_of_its_connections_can_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[JournalFile] = []

    def second_fails(*args: Any, **options: Any) -> JournalFile:
        if opened:
            raise ConfigError("no more")
        opened.append(JournalFile(*args, **options))
        return opened[0]

    monkeypatch.setattr(module, "JournalFile", second_fails)
    with pytest.raises(ConfigError, match="no more"):
        make(path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].ring()


async def test_after_another_boot(store: SqliteStore, path: Path) -> None:
    append = after(await store.open("room"), 2)
    await write(store, append)
    await store.close()
    again = make(path, boot="boot2")
    tail = await again.open("room")
    assert (tail.epoch != append.epoch, tail.offset) == (True, 2)
    assert [p.offset for p in (await again.read_back("room", 3, 9)).publications] == [1, 2]
    await again.close()
