"""Who adds whom to the row, who takes whom out, and that all end up with one ring."""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zchat.config.topology import Server, Topology
from zchat.framework.channels.journal_ring import JournalRing
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import RingRow, Store
from zchat.rooms.stores.journal_options import JournalOptions, Retention
from zchat.rooms.stores.memory import MemoryStore
from zchat.rooms.stores.sqlite import SqliteStore

CHAT = frozenset({"chat"})


def server(server_id: str) -> Server:
    server_type = server_id.partition("-")[0]
    return Server(
        server_id, server_type, "127.0.0.1", 1, 2, frontend=server_type in ("gate", "connector")
    )


def listing(*ids: str) -> Topology:
    return Topology("test", tuple(server(server_id) for server_id in ids))


def make_store() -> MemoryStore:
    epochs = itertools.count(1)
    return MemoryStore(lambda: f"e{next(epochs)}")


class Keeper(JournalRing):
    """Remembers what it told of."""

    def __init__(
        self, server_id: str, store: Store, *listed: str, types: frozenset[str] | None = CHAT
    ) -> None:
        self.changes: list[tuple[Ring, Ring]] = []
        super().__init__(server_id, types, store, lambda old, new: self.changes.append((old, new)))
        self.follow(listing(*listed))


@pytest.fixture
def store() -> MemoryStore:
    return make_store()


def names(*ids: str) -> frozenset[str]:
    return frozenset(ids)


# What the workers should be


@pytest.mark.parametrize(
    ("server_id", "listed", "workers", "expected"),
    [
        pytest.param("chat-1", ["chat-1"], [], ["chat-1"], id="adds itself"),
        pytest.param("chat-1", ["chat-1", "chat-2"], [], ["chat-1"], id="but nobody else"),
        pytest.param("chat-1", ["chat-1"], ["chat-1"], ["chat-1"], id="once"),
        pytest.param("chat-1", [], [], [], id="not when it is not listed"),
        pytest.param("chat-1", ["chat-2"], ["chat-2"], ["chat-2"], id="nor beside others"),
        pytest.param(
            "chat-1",
            ["chat-1", "chat-2"],
            ["chat-1", "chat-2"],
            ["chat-1", "chat-2"],
            id="those that are listed stay",
        ),
        pytest.param("gate-1", ["gate-1"], [], [], id="a frontend is no worker"),
        pytest.param("area-1", ["area-1"], [], [], id="nor is another type"),
    ],
)
def test_who_is_wanted(
    store: MemoryStore, server_id: str, listed: list[str], workers: list[str], expected: list[str]
) -> None:
    keeper = Keeper(server_id, store, *listed)
    assert keeper.wanted(names(*workers), 0.0) == names(*expected)


def test_without_types_every_backend_is_a_worker(store: MemoryStore) -> None:
    keeper = Keeper("area-1", store, "area-1", "gate-1", types=None)
    assert keeper.wanted(names(), 0.0) == {"area-1"}


def test_whose_line_it_saw_go_is_taken_out_at_once(store: MemoryStore) -> None:
    keeper = Keeper("chat-1", store, "chat-1", "chat-2", "chat-3")
    keeper.follow(listing("chat-1", "chat-3"))
    assert keeper.wanted(names("chat-1", "chat-2", "chat-3"), 0.0) == {"chat-1", "chat-3"}


def test_whose_own_line_goes_takes_itself_out(store: MemoryStore) -> None:
    keeper = Keeper("chat-1", store, "chat-1", "chat-2")
    keeper.follow(listing("chat-2"))
    assert keeper.wanted(names("chat-1", "chat-2"), 0.0) == {"chat-2"}
    assert keeper.wanted(names("chat-2"), 9.0) == {"chat-2"}


def test_a_line_that_comes_back(store: MemoryStore) -> None:
    keeper = Keeper("chat-1", store, "chat-1", "chat-2")
    keeper.follow(listing("chat-2"))
    keeper.follow(listing("chat-1", "chat-2"))
    assert keeper.wanted(names("chat-2"), 0.0) == {"chat-1", "chat-2"}


def test_strangers_have_two_seconds(store: MemoryStore) -> None:
    """Who reads a newer servers.json than ours may just have added them."""
    keeper = Keeper("chat-1", store, "chat-1")
    workers = names("chat-1", "chat-9")
    assert keeper.wanted(workers, 100.0) == workers
    assert keeper.wanted(workers, 101.9) == workers
    assert keeper.wanted(workers, 102.0) == {"chat-1"}


def test_each_stranger_has_its_own_time(store: MemoryStore) -> None:
    keeper = Keeper("chat-1", store, "chat-1")
    keeper.wanted(names("chat-1", "chat-8"), 0.0)
    both = names("chat-1", "chat-8", "chat-9")
    assert keeper.wanted(both, 1.5) == both
    assert keeper.wanted(both, 2.5) == {"chat-1", "chat-9"}
    assert keeper.wanted(both, 3.5) == {"chat-1"}


def test_a_stranger_that_comes_back_may_stay_twice_as_long(store: MemoryStore) -> None:
    """It is listed somewhere: we may be the one that is behind."""
    keeper, now = Keeper("chat-1", store, "chat-1"), 0.0
    alone, both = names("chat-1"), names("chat-1", "chat-9")
    for patience in (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0):
        assert keeper.wanted(both, now) == both
        assert keeper.wanted(both, now + patience - 0.1) == both
        assert keeper.wanted(both, now + patience) == alone
        assert keeper.wanted(alone, now + patience) == alone
        now += 100.0


def test_who_comes_back_after_its_line_went_is_let_be_at_first(store: MemoryStore) -> None:
    keeper = Keeper("chat-1", store, "chat-1", "chat-2")
    keeper.follow(listing("chat-1"))
    alone, both = names("chat-1"), names("chat-1", "chat-2")
    assert keeper.wanted(both, 0.0) == alone
    assert keeper.wanted(alone, 0.5) == alone
    assert keeper.wanted(both, 1.0) == both
    assert keeper.wanted(both, 4.9) == both
    assert keeper.wanted(both, 5.0) == alone, "its supervisord has stopped it meanwhile"


def test_with_another_servers_json_all_begins_anew(store: MemoryStore) -> None:
    keeper = Keeper("chat-1", store, "chat-1")
    both = names("chat-1", "chat-9")
    for now in (0.0, 10.0, 20.0):
        keeper.wanted(both, now)
        keeper.wanted(names("chat-1"), now + 5.0)
    keeper.follow(listing("chat-1"))
    assert keeper.wanted(both, 30.0) == both
    assert keeper.wanted(both, 40.0) == both, "read again, and the same: it has 16 seconds"
    keeper.follow(listing("chat-1", "chat-3"))
    assert keeper.wanted(both, 41.0) == both
    assert keeper.wanted(both, 43.0) == names("chat-1")


async def test_one_that_stays_behind_disturbs_less_and_less(store: MemoryStore) -> None:
    """A servers.json that one machine never gets: ten minutes of it are a dozen changes."""
    old = Keeper("chat-1", store, "chat-1")
    new = Keeper("chat-2", store, "chat-1", "chat-2")
    out = 0
    for step in range(1200):
        for keeper in (old, new):
            await keeper.keep(step / 2)
        out += "chat-2" not in (await store.ring()).workers
    assert out == 0, "it is out for half a second each time"
    assert (await store.ring()).generation <= 2 + 2 * 14


async def test_it_begins_with_an_empty_ring(store: MemoryStore) -> None:
    keeper = Keeper("chat-1", store, "chat-1")
    assert (keeper.ring.generation, keeper.ring.workers) == (0, frozenset())
    assert keeper.changes == []


async def test_what_it_adds_it_knows(store: MemoryStore) -> None:
    keeper = Keeper("chat-1", store, "chat-1")
    await keeper.keep(0.0)
    assert await store.ring() == RingRow(1, names("chat-1"))
    assert (keeper.ring.generation, keeper.ring.workers, keeper.ring.tag) == (
        1,
        names("chat-1"),
        "1",
    )
    ((old, new),) = keeper.changes
    assert (old.generation, new) == (0, keeper.ring)


async def test_keeping_what_is_right_changes_nothing(store: MemoryStore) -> None:
    keeper = Keeper("chat-1", store, "chat-1")
    for now in range(5):
        await keeper.keep(float(now))
    assert (await store.ring()).generation == len(keeper.changes) == 1


async def test_who_comes_back_finds_itself_there(store: MemoryStore) -> None:
    """A worker that died stays in; its next life takes over what it owned."""
    await Keeper("chat-1", store, "chat-1").keep(0.0)
    again = Keeper("chat-1", store, "chat-1")
    await again.keep(0.0)
    assert again.ring.generation == (await store.ring()).generation == 1


async def test_who_is_not_listed_only_follows(store: MemoryStore) -> None:
    await Keeper("chat-1", store, "chat-1").keep(0.0)
    keeper = Keeper("chat-2", store, "chat-1")
    await keeper.keep(0.0)
    assert keeper.ring.workers == {"chat-1"}
    assert (await store.ring()).generation == 1


async def test_two_that_keep_it_in_turn(store: MemoryStore) -> None:
    one, two = (Keeper(name, store, "chat-1", "chat-2") for name in ("chat-1", "chat-2"))
    await one.keep(0.0)
    await two.keep(0.0)
    await one.keep(0.5)
    assert await store.ring() == RingRow(2, names("chat-1", "chat-2"))
    assert [(k.ring.generation, k.ring.workers, k.ring.tag) for k in (one, two)] == [
        (2, names("chat-1", "chat-2"), "2")
    ] * 2
    assert [new.generation for _, new in one.changes] == [1, 2]
    assert [new.generation for _, new in two.changes] == [2], "only what it has seen"


async def test_who_loses_the_race_takes_what_stands(store: MemoryStore) -> None:
    class Raced(MemoryStore):
        async def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
            await super().change_ring(generation, names("chat-7"))
            return await super().change_ring(generation, workers)

    keeper = Keeper("chat-1", Raced(lambda: "e"), "chat-1", "chat-7")
    await keeper.keep(0.0)
    assert (keeper.ring.generation, keeper.ring.workers) == (1, names("chat-7"))


async def test_an_older_row_is_not_taken(store: MemoryStore) -> None:
    """Its answer was under way while a newer one was learned."""
    keeper = Keeper("chat-1", store, "chat-1")
    await keeper.keep(0.0)
    ring = keeper.ring
    for row in (RingRow(1, names("other")), RingRow(0, names())):
        keeper._adopt(row)
    assert keeper.ring is ring
    assert len(keeper.changes) == 1


async def test_told_of_a_newer_one_it_reads_the_row(store: MemoryStore) -> None:
    keeper = Keeper("chat-1", store, "chat-1", "chat-2")
    await keeper.keep(0.0)
    await store.change_ring(1, names("chat-1", "chat-2"))
    for generation in (0, 1):
        await keeper.told("chat-2", generation)
        assert keeper.ring.generation == 1
    await keeper.told("chat-2", 2)
    assert (keeper.ring.generation, keeper.ring.workers) == (2, names("chat-1", "chat-2"))
    await keeper.told("liar", 99)
    assert keeper.ring.generation == 2


async def test_learning_reads_the_row_and_changes_nothing(store: MemoryStore) -> None:
    await store.change_ring(0, names("chat-9"))
    keeper = Keeper("chat-1", store, "chat-1")
    await keeper.learn()
    assert keeper.ring.workers == {"chat-9"}
    assert (await store.ring()).generation == 1
    keeper.heard("chat-1")
    assert keeper.ring.workers == {"chat-9"}


async def test_a_row_that_cannot_be_read_changes_nothing(store: MemoryStore) -> None:
    class Broken(MemoryStore):
        async def ring(self) -> RingRow:
            raise OSError("disk on fire")

    keeper = Keeper("chat-1", Broken(lambda: "e"), "chat-1")
    for call in (keeper.keep(0.0), keeper.learn(), keeper.told("chat-2", 5)):
        with pytest.raises(OSError, match="fire"):
            await call
    assert keeper.ring.generation == 0


async def test_two_with_servers_json_of_different_moments(store: MemoryStore) -> None:
    """The one that is behind takes the other out only when it stays behind for two seconds."""
    new = Keeper("chat-2", store, "chat-1", "chat-2")
    old = Keeper("chat-1", store, "chat-1")
    for now in (0.0, 0.5, 1.0, 1.5):
        await old.keep(now)
        await new.keep(now)
    assert await store.ring() == RingRow(2, names("chat-1", "chat-2"))
    old.follow(listing("chat-1", "chat-2"))
    for now in (2.0, 2.5, 9.0):
        await old.keep(now)
    assert await store.ring() == RingRow(2, names("chat-1", "chat-2"))


async def test_many_start_at_once_on_one_file(tmp_path: Path) -> None:
    ids = [f"chat-{number}" for number in range(4)]
    options = JournalOptions(
        sync="off",
        boot="b",
        retention=Retention(10, 60.0),
        new_epoch=lambda: "e",
        clock=lambda: 0,
    )
    stores = [SqliteStore(tmp_path / "journal.sqlite", options) for _ in ids]
    keepers = [Keeper(name, store, *ids) for name, store in zip(ids, stores, strict=True)]
    for now in range(len(ids) + 1):
        await asyncio.gather(*(keeper.keep(float(now)) for keeper in keepers))
    assert await stores[0].ring() == RingRow(4, frozenset(ids))
    assert [keeper.ring.generation for keeper in keepers] == [4] * 4
    for store in stores:
        await store.close()


IDS = [f"chat-{number}" for number in range(4)]


@settings(max_examples=60)
@given(
    st.integers(0, 10_000),
    st.lists(st.sets(st.sampled_from(IDS)), min_size=1, max_size=4),
)
def test_whatever_they_read_and_when_they_end_with_one_ring(
    seed: int, files: list[set[str]]
) -> None:
    """Each generation has one set of workers, everyone's go up, and the last file is what counts.

    A worker that is not listed is still there for a moment, as supervisord stops it later.
    """

    async def go() -> None:
        chance, store = random.Random(seed), make_store()
        keepers = [Keeper(name, store) for name in IDS]
        told: dict[int, frozenset[str]] = {}
        now = 0.0
        for file in files:
            for keeper in chance.sample(keepers, len(keepers)):
                keeper.follow(listing(*file))
                for other in chance.choices(keepers, k=3):
                    now += 0.1
                    await other.keep(now)
        for _ in range(6):
            now += 1.0
            for keeper in chance.sample(keepers, len(keepers)):
                await keeper.keep(now)
        row = await store.ring()
        assert row.workers == files[-1]
        for keeper in keepers:
            generations = [new.generation for _, new in keeper.changes]
            assert generations == sorted(set(generations))
            for _, ring in keeper.changes:
                assert told.setdefault(ring.generation, ring.workers) == ring.workers
            assert (keeper.ring.generation, keeper.ring.workers) == (row.generation, row.workers)

    asyncio.run(go())
