"""The journal's file: lives of the machine, disks that fill, files that are none, what goes."""

from __future__ import annotations

import itertools
import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.store import KEPT, after, publications
from tests.support.timing import MS
from zchat.errors import ConfigError
from zchat.rooms.stores import database
from zchat.rooms.stores import journal_file as module
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
from zchat.rooms.stores.damage import JournalDamaged
from zchat.rooms.stores.journal_file import JournalFile
from zchat.rooms.stores.journal_options import JournalOptions, Retention
from zchat.rooms.stores.schema import VERSION
from zchat.rooms.stream import Publication, StreamPosition

AGE = 60.0
CHAT_1 = frozenset({"chat-1"})
_epochs = itertools.count(1)

Opener = Callable[..., JournalFile]


class Clock:
    """Milliseconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connect(path: Path, clock: Clock) -> Iterator[Opener]:
    """Opens the journal, once more each time; all are closed in the end."""
    opened: list[JournalFile] = []

    def connect(
        *,
        sync: str = "normal",
        boot: str = "boot1",
        count: int = KEPT,
        busy: float = 100 * MS,
        path: Path = path,
    ) -> JournalFile:
        options = JournalOptions(
            sync=sync,
            boot=boot,
            retention=Retention(count, AGE),
            new_epoch=lambda: f"epoch{next(_epochs)}",
            clock=clock,
            busy=busy,
            patience=busy + 1,
        )
        file = JournalFile(path, options)
        opened.append(file)
        return file

    yield connect
    for file in opened:
        file.close()


def at(tail: StreamPosition, ts: int, count: int = 1, channel: str = "room") -> Append:
    """An append whose publications are of `ts`."""
    first = tail.offset + 1
    return Append(
        channel,
        tail.epoch,
        [Publication(n, "onChat", b"{}", "u", "", ts) for n in range(first, first + count)],
    )


def write(file: JournalFile, append: Append, generation: int = 0) -> Outcome:
    (outcome,) = file.append(generation, [append])
    return outcome


def offsets(history: History) -> list[int]:
    return [publication.offset for publication in history.publications]


def raw(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """What somebody else's connection answers."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        return db.execute(statement).fetchall()
    finally:
        db.close()


def tree(path: Path) -> dict[str, bytes]:
    """All files of the journal's folder."""
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


# Lives


def test_what_was_written_is_there_when_it_is_opened_again(connect: Opener) -> None:
    file = connect()
    append = after(file.open("room"), 3)
    assert write(file, append) == Stored()
    file.change_ring(0, CHAT_1)
    file.close()
    file.close()
    again = connect()
    assert again.open("room") == append.end
    assert list(again.read("room", 0, 9).publications) == list(append.publications)
    assert again.ring() == RingRow(1, CHAT_1)


@pytest.mark.parametrize("folder", ["data", "data/deep"])
def test_missing_folders_are_made(path: Path, connect: Opener, folder: str) -> None:
    target = path.parent / folder / "journal.sqlite"
    options = JournalOptions(
        sync="normal",
        boot="b",
        retention=Retention(1, 1.0),
        new_epoch=lambda: "e",
        clock=lambda: 0,
    )
    JournalFile(target, options).close()
    assert target.exists()


@pytest.mark.parametrize("sync", ["normal", "off"])
def test_after_another_boot_epochs_are_new_and_offsets_go_on(connect: Opener, sync: str) -> None:
    """The last of them may be lost, and who saw their offsets must not meet them again."""
    file = connect(sync=sync)
    append = after(file.open("room"), 3)
    write(file, append)
    file.close()
    again = connect(sync=sync, boot="boot2")
    tail = again.open("room")
    assert tail.offset == 3
    assert tail.epoch != append.epoch
    assert write(again, after(append.end)) == Refused(tail)
    assert write(again, after(tail)) == Stored()
    assert offsets(again.read("room", 0, 9)) == [4], "what follows is of this epoch only"
    assert offsets(again.read_back("room", 5, 9)) == [1, 2, 3, 4]
    assert again.open("room") == StreamPosition(tail.epoch, 4), "once a boot is enough"


def test_in_full_sync_another_boot_changes_nothing(connect: Opener) -> None:
    file = connect(sync="full")
    append = after(file.open("room"), 3)
    write(file, append)
    file.close()
    assert connect(sync="full", boot="boot2").open("room") == append.end


@pytest.mark.parametrize(
    ("syncs", "goes_on"),
    [
        (["full", "normal"], False),
        (["normal", "full"], False),
        (["off", "full", "full"], False),
        (["full", "full"], True),
    ],
)
def test_the_most_careless_of_a_boots_workers_counts(
    connect: Opener, syncs: list[str], goes_on: bool
) -> None:
    for sync in syncs:
        connect(sync=sync).close()
    file = connect(sync=syncs[-1])
    tail = file.open("room")
    file.close()
    assert (connect(sync="full", boot="boot2").open("room") == tail) is goes_on


def test_each_boot_is_judged_by_its_own_workers(connect: Opener) -> None:
    connect(sync="normal").close()
    file = connect(sync="full", boot="boot2")
    tail = file.open("room")
    file.close()
    assert connect(sync="full", boot="boot3").open("room") == tail


def test_the_mode_is_what_sqlite_was_told(connect: Opener) -> None:
    for sync, number in (("off", 0), ("normal", 1), ("full", 2)):
        file = connect(sync=sync)
        assert file._db.pragma("synchronous") == number
        assert file._db.pragma("journal_mode") == "wal"


# Files that cannot be used


def refused(connect: Opener, path: Path, text: str) -> None:
    """It is refused with `text`, and no file is other than before."""
    before = tree(path)
    with pytest.raises(ConfigError, match=text) as caught:
        connect()
    assert str(path) in str(caught.value)
    assert {name: data for name, data in tree(path).items() if name in before} == before


def test_a_later_schema_is_refused(connect: Opener, path: Path) -> None:
    connect().close()
    raw(path, f"PRAGMA user_version = {VERSION + 1}")
    refused(connect, path, f"later zchat .schema {VERSION + 1}.*move")


@pytest.mark.parametrize("version", [0, VERSION, 7])
def test_the_database_of_another_application(connect: Opener, path: Path, version: int) -> None:
    raw(path, "CREATE TABLE precious (a)")
    raw(path, f"PRAGMA user_version = {version}")
    refused(connect, path, "another application")
    assert raw(path, "SELECT name FROM sqlite_master") == [("precious",)]


@pytest.mark.parametrize("content", [b"hello", b"x" * 10_000, b"SQLite format 2\0" + b"\0" * 5000])
def test_what_is_no_database(connect: Opener, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused(connect, path, r"not a database.*\.recover.*move")


def test_what_is_no_database_beside_a_log(connect: Opener, path: Path) -> None:
    """SQLite would work the log off into it."""
    connect()  # stays open, so the log stays too
    log = Path(f"{path}-wal").read_bytes()
    other = path.with_name("other.sqlite")
    other.write_bytes(b"garbage" * 1000)
    Path(f"{other}-wal").write_bytes(log)
    refused(lambda: connect(path=other), other, "not a database")


def test_a_torn_file(connect: Opener, path: Path) -> None:
    file = connect()
    tail = file.open("room")
    for _ in range(50):
        append = after(tail, 20)
        write(file, append)
        tail = append.end
    file.close()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(connect, path, r"malformed.*\.recover.*move")
    path.write_bytes(content)
    assert connect().open("room") == tail


def filled(connect: Opener) -> StreamPosition:
    """Write a few pages into a room and close the file; returns the tail."""
    file = connect()
    tail = file.open("room")
    for _ in range(50):
        append = after(tail, 20, "t" * 50)
        write(file, append)
        tail = append.end
    file.close()
    return tail


def flip(path: Path, start: int, count: int = 64) -> None:
    """Turn over some bytes, as a failing disk does."""
    content, end = bytearray(path.read_bytes()), start + count
    content[start:end] = bytes(255 - byte for byte in content[start:end])
    path.write_bytes(content)


def test_a_page_with_flipped_bytes_is_found_after_another_boot(connect: Opener, path: Path) -> None:
    """Before anything is written; and again, until it is mended."""
    filled(connect)
    ((page,),) = raw(path, "SELECT rootpage FROM sqlite_master WHERE name = 'batches'")
    flip(path, (page - 1) * 4096)
    for _ in range(2):
        before = path.read_bytes()
        with pytest.raises(ConfigError, match=r"journal.sqlite: .*\.recover.*move"):
            connect(boot="boot2")
        assert path.read_bytes() == before


def test_a_page_with_flipped_bytes_that_is_read(connect: Opener, path: Path) -> None:
    """Of the same boot it is not looked for; whoever meets it is told."""
    filled(connect)
    ((page,),) = raw(path, "SELECT rootpage FROM sqlite_master WHERE name = 'batches'")
    flip(path, (page - 1) * 4096)
    file = connect()
    tail = file.open("room")
    for call in (lambda: file.read("room", 0, 9), lambda: write(file, after(tail))):
        with pytest.raises(JournalDamaged, match=r"malformed.*\.recover"):
            call()
    assert file.open("room") == tail, "the table of channels is sound"


def test_publications_with_flipped_bytes(connect: Opener, path: Path) -> None:
    """SQLite has no checksums, but what is no array of publications is seen."""
    file = connect()
    tail = file.open("room")
    write(file, after(tail, 3, "text"))
    file.close()
    flip(path, path.read_bytes().index(b"onChat") - 1, 1)
    file = connect()
    with pytest.raises(JournalDamaged, match=r"publications of room cannot be read.*\.recover"):
        file.read("room", 0, 9)
    assert write(file, after(StreamPosition(tail.epoch, 3))) == Stored()


def test_how_long_it_is_looked_for_is_bounded(
    connect: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tail = filled(connect)
    monkeypatch.setattr(module, "_CHECK", -1.0)
    monkeypatch.setattr(database, "_STEPS", 1)
    caplog.set_level(logging.INFO, "zchat.cluster")
    assert connect(boot="boot2").open("room").offset == tail.offset
    assert "is large: looked for damage for -1 seconds only" in caplog.text


@contextmanager
def without_rights() -> Iterator[None]:
    """Root may write everywhere; somebody else may not."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(("folder", "file"), [(0o555, 0o444), (0o777, 0o444), (0o555, None)])
def test_where_nothing_may_be_written(clock: Clock, folder: int, file: int | None) -> None:
    with tempfile.TemporaryDirectory() as parent:
        path = Path(parent, "run", "journal.sqlite")
        options = JournalOptions(
            sync="normal",
            boot="boot1",
            retention=Retention(KEPT, AGE),
            new_epoch=lambda: "e1",
            clock=clock,
            busy=0.0,
        )
        JournalFile(path, options).close()
        if file is None:
            path.unlink()
        else:
            path.chmod(file)
        path.parent.chmod(folder)
        Path(parent).chmod(0o755)
        with without_rights(), pytest.raises(ConfigError, match="who may write there, then try"):
            JournalFile(path, options)
        path.parent.chmod(0o755)


def test_a_folder_in_its_place(connect: Opener, path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConfigError, match=str(path)):
        connect()


def test_an_empty_file_becomes_a_journal(connect: Opener, path: Path) -> None:
    path.touch()
    assert connect().open("room").offset == 0


# Full disks


def test_a_full_disk(connect: Opener, path: Path) -> None:
    file = connect()
    tail = file.open("room")
    file._db.execute(f"PRAGMA max_page_count = {file._db.pragma('page_count') + 2}")
    big = Append("room", tail.epoch, publications(1, 200, "x" * 500))
    with pytest.raises(JournalFull) as caught:
        write(file, big)
    assert caught.value.code == 507
    assert str(path) not in caught.value.message, "clients read it"
    assert str(path) in "".join(caught.value.__notes__)
    assert file.read("room", 0, 9) == History((), tail)
    assert write(file, after(tail)) == Stored(), "a small one still fits"
    with pytest.raises(JournalFull):
        file.open("long" * 5000)
    file._db.execute("PRAGMA max_page_count = 1000000")
    assert write(file, after(StreamPosition(tail.epoch, 1), 200, "x" * 500)) == Stored()
    assert file.open("room").offset == 201


def test_of_one_append_that_does_not_fit_nothing_is_written(connect: Opener) -> None:
    file = connect()
    tails = {name: file.open(name) for name in ("a", "b")}
    file._db.execute(f"PRAGMA max_page_count = {file._db.pragma('page_count') + 2}")
    small = after(tails["a"], channel="a")
    with pytest.raises(JournalFull):
        file.append(0, [small, after(tails["b"], 200, "x" * 500, channel="b")])
    assert file.open("a") == tails["a"]
    assert write(file, small) == Stored()


# Workers that share it


def test_workers_write_channels_of_their_own(connect: Opener) -> None:
    one, two = connect(), connect()
    for file, channel in ((one, "a"), (two, "b"), (one, "a"), (two, "b")):
        assert write(file, after(file.open(channel), 2, channel=channel)) == Stored()
    for file in (one, two):
        assert offsets(file.read("a", 0, 9)) == offsets(file.read("b", 0, 9)) == [1, 2, 3, 4]


def test_a_ring_changed_by_one_fences_the_other(connect: Opener) -> None:
    one, two = connect(), connect()
    append = after(one.open("room"))
    two.change_ring(0, CHAT_1)
    assert write(one, append) == Fenced(1)
    assert write(two, append, generation=1) == Stored()
    assert write(one, append, generation=one.ring().generation) == Refused(append.end)


def test_changes_by_all_at_once_lose_none(connect: Opener) -> None:
    """Each adds itself by compare-and-set, and tries again until it is in."""
    files = [connect(busy=5000 * MS) for _ in range(4)]
    rows: list[RingRow] = []

    def add(file: JournalFile, name: str) -> None:
        row = file.ring()
        while name not in row.workers:
            row = file.change_ring(row.generation, row.workers | {name})
            rows.append(row)

    threads = [
        threading.Thread(target=add, args=(file, f"chat-{n}")) for n, file in enumerate(files)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files[0].ring() == RingRow(4, frozenset(f"chat-{n}" for n in range(4)))
    assert len(set(rows)) == 4, "one ring for each generation"


def test_all_make_it_at_once(path: Path) -> None:
    """Switching to the log is the one step for which SQLite itself does not wait."""
    code = _WORKER + "print(connect(sys.argv[1]).open('room').epoch)"
    workers = [
        subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    epochs = {worker.communicate()[0] for worker in workers}
    assert [worker.returncode for worker in workers] == [0] * 3
    assert len(epochs) == 1


def test_another_that_holds_it_for_too_long(connect: Opener, path: Path) -> None:
    file = connect()
    append = after(file.open("room"))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    for call in (lambda: write(file, append), lambda: file.change_ring(0, CHAT_1), file.trim):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            call()
    with pytest.raises(ConfigError, match=r"locked.*try again"):
        connect()
    assert file.read("room", 0, 9) == History((), append.start), "reading needs nobody's leave"
    holder.execute("ROLLBACK")
    holder.close()
    assert write(file, append) == Stored()


def test_another_that_holds_it_for_a_moment(connect: Opener, path: Path) -> None:
    file = connect(busy=5000 * MS)
    append = after(file.open("room"))
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(50 * MS, holder.execute, ["ROLLBACK"])
    timer.start()
    assert write(file, append) == Stored()
    timer.join()
    holder.close()


def test_who_reads_sees_whole_appends(connect: Opener) -> None:
    """The tail and the publications are of one state, while another goes on writing."""
    writer, reader = connect(count=1000), connect(count=1000)
    tail = writer.open("room")

    def fill() -> None:
        end = tail
        for _ in range(100):
            append = after(end, 3)
            write(writer, append)
            end = append.end

    thread = threading.Thread(target=fill)
    thread.start()
    seen = 0
    while seen < 300:
        history = reader.read("room", 0, 1000)
        assert offsets(history) == list(range(1, history.tail.offset + 1))
        assert history.tail.offset % 3 == 0
        assert history.tail.offset >= seen
        seen = history.tail.offset
    thread.join()


# What goes


def test_rows_past_the_count_go(connect: Opener, path: Path) -> None:
    file = connect()
    tail = file.open("room")
    for count in (3, 4, 5, 6):
        append = after(tail, count)
        write(file, append)
        tail = append.end
    kept = file.read("room", 0, 99)
    assert file.trim() is False
    assert raw(path, "SELECT first FROM batches ORDER BY 1") == [(8,), (13,)]
    assert file.read("room", 0, 99) == kept
    assert offsets(kept) == list(range(9, 19))
    assert offsets(file.read("room", 2, 3)) == [9, 10, 11]
    assert offsets(file.read_back("room", 10, 5)) == [9]


def test_rows_past_the_age_go(connect: Opener, path: Path, clock: Clock) -> None:
    file = connect()
    tail = file.open("room")
    for second in range(5):
        write(file, at(StreamPosition(tail.epoch, second), second * 1000 + 1000))
    clock.now = 3000 + int(AGE * 1000)
    assert offsets(file.read("room", 0, 9)) == [3, 4, 5], "they are hidden before they go"
    file.trim()
    assert raw(path, "SELECT first FROM batches") == [(3,), (4,), (5,)]
    assert offsets(file.read("room", 0, 9)) == offsets(file.read_back("room", 9, 9)) == [3, 4, 5]
    clock.now += 10_000_000
    file.trim()
    assert raw(path, "SELECT first FROM batches") == []
    assert file.open("room") == StreamPosition(tail.epoch, 5)
    assert file.read_back("room", 9, 9) == History((), StreamPosition(tail.epoch, 5))


def test_what_goes_goes_in_small_steps(connect: Opener, path: Path, clock: Clock) -> None:
    file = connect()
    tail = file.open("room")
    for number in range(10):
        write(file, at(StreamPosition(tail.epoch, number), 1000))
    for channel in "abc":
        write(file, at(file.open(channel), 10_000_000, channel=channel))
    clock.now = 10_000_000
    steps = 1
    while file.trim(3):
        steps += 1
    assert steps == 4
    assert raw(path, "SELECT count(*) FROM batches") == [(3,)]


def test_a_clock_that_is_set_back_makes_no_hole(connect: Opener, clock: Clock) -> None:
    """What was written later goes later, whatever time it says."""
    file = connect()
    tail = file.open("room")
    for number, ts in enumerate((50_000, 1000, 60_000)):
        write(file, at(StreamPosition(tail.epoch, number), ts))
    clock.now = 10_000 + int(AGE * 1000)
    assert offsets(file.read("room", 0, 9)) == [1, 2, 3]
    file.trim()
    assert offsets(file.read("room", 0, 9)) == [1, 2, 3]
    clock.now = 55_000 + int(AGE * 1000)
    file.trim()
    assert offsets(file.read("room", 0, 9)) == [3]


def test_a_trim_that_failed_is_made_again(connect: Opener, path: Path) -> None:
    file = connect()
    tail = file.open("room")
    for number in range(KEPT + 5):
        write(file, after(StreamPosition(tail.epoch, number)))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        file.trim()
    holder.close()
    file.trim()
    assert raw(path, "SELECT count(*) FROM batches") == [(KEPT,)]


def test_channels_without_publications_are_forgotten_when_nobody_has_them_open(
    connect: Opener, path: Path, clock: Clock
) -> None:
    file = connect()
    old = file.open("old")
    kept = after(file.open("kept"), channel="kept")
    clock.now += int(AGE * 1000) + 1
    write(file, Append("kept", kept.epoch, at(kept.start, clock.now, channel="kept").publications))
    other = connect()
    assert other.open("old") == old, "the first worker has it open"
    assert write(file, after(old, channel="old")) == Stored()
    file.close()
    other.close()
    clock.now += int(AGE * 1000) + 1
    file = connect()
    file.trim()
    file.close()
    names = raw(path, "SELECT name FROM channels ORDER BY name")
    assert names == [("kept",), ("old",)], "they had publications when the file was opened"
    file = connect()
    assert raw(path, "SELECT name FROM channels") == []
    assert file.open("old").epoch != old.epoch


def test_a_checkpoint_moves_the_log_into_the_database(connect: Opener, path: Path) -> None:
    file = connect()
    before = path.stat().st_size
    write(file, after(file.open("room"), 200, "x" * 500))
    assert path.stat().st_size == before
    file.checkpoint()
    assert path.stat().st_size > before + 100_000


# Deaths

_WORKER = """
import sys
from pathlib import Path
from zchat.rooms.stores.base import Append, Stored
from zchat.rooms.stores.journal_file import JournalFile
from zchat.rooms.stores.journal_options import JournalOptions, Retention
from zchat.rooms.stream import Publication

def connect(path):
    options = JournalOptions(sync="normal", boot="boot1", retention=Retention(10**6, 1e9),
                             new_epoch=lambda: "e1", clock=lambda: 0, busy=5.0, patience=6.0)
    return JournalFile(Path(path), options)

def publication(offset):
    return Publication(offset, "onChat", b"{}", "u", str(offset), 0)
"""

_APPENDS = """
file = connect(sys.argv[1])
tail = file.open("room")
offset = tail.offset
while True:
    run = [publication(offset + 1), publication(offset + 2)]
    assert list(file.append(0, [Append("room", tail.epoch, run)])) == [Stored()]
    offset += 2
    print(offset, flush=True)
    if offset % 50 == 0:
        file.trim()
        file.checkpoint()
"""


def test_nothing_acknowledged_is_missing_after_a_kill(connect: Opener, path: Path) -> None:
    for _ in range(3):
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER + _APPENDS, path], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        acknowledged = [int(line) for line in itertools.islice(worker.stdout, 120)]
        worker.kill()
        acknowledged += [int(line) for line in worker.stdout if line.endswith("\n")]
        worker.stdout.close()
        worker.wait()
        file = connect(count=10**6)
        history = file.read("room", 0, 10**6)
        assert history.tail.offset in (acknowledged[-1], acknowledged[-1] + 2)
        assert offsets(history) == list(range(1, history.tail.offset + 1))
        assert [p.cid for p in history.publications] == [str(n) for n in offsets(history)]
        file.close()
