"""The reference of the contract, and its bounds."""

from __future__ import annotations

import itertools

from tests.contracts.store import KEPT, StoreContract, after, check_unknown_outcome, write
from zchat.rooms.stores.base import Stored
from zchat.rooms.stores.memory import MemoryStore


def make(idle_limit: int = 100) -> MemoryStore:
    epochs = itertools.count(1)
    return MemoryStore(lambda: f"epoch{next(epochs)}", KEPT, idle_limit=idle_limit)


class TestMemoryStore(StoreContract):
    async def make(self) -> MemoryStore:
        return make()


async def test_of_idle_channels_the_one_longest_unused_is_forgotten() -> None:
    store = make(idle_limit=2)
    tails = {name: await store.open(name) for name in "abcd"}
    for name in "abc":
        store.let_go(name, moved=False)
    store.let_go("b", moved=False)  # again
    assert store.forgotten == 1
    assert await store.open("b") == tails["b"]
    assert await store.open("c") == tails["c"]
    assert (await store.open("a")).epoch not in {tail.epoch for tail in tails.values()}


async def test_channels_in_use_are_never_forgotten() -> None:
    store = make(idle_limit=1)
    tail = await store.open("used")
    for number in range(10):
        await store.open(f"room{number}")
        store.let_go(f"room{number}", moved=False)
    assert store.forgotten == 9
    assert await write(store, after(tail, channel="used")) == [Stored()]


async def test_looking_at_channels_that_nobody_opened_leaves_no_trace_for_ever() -> None:
    store = make(idle_limit=3)
    for number in range(20):
        await store.read(f"room{number}", 0, 5)
    assert len(store._logs) == len(store._idle) == 3


async def test_the_contracts_own_check_of_unknown_outcomes() -> None:
    """This store never fails; whoever did not hear its answer can find out all the same."""
    store = make()
    append = after(await store.open("room"), 3)
    await check_unknown_outcome(store, append)
    append = after(await store.open("room"), 3)
    await write(store, append)
    await check_unknown_outcome(store, append)
