"""The simulated journal keeps the contract, and fails as the contract allows."""

from __future__ import annotations

from random import Random

import pytest

from tests.contracts.store import KEPT, StoreContract, after, check_unknown_outcome, write
from tests.sim.journal import DiskError, SharedJournal, SimStore, Trouble
from tests.support.timing import eventually
from zchat.rooms.stores.base import Fenced, Refused, RingRow, Stored


def journal() -> SharedJournal:
    return SharedJournal(Random(1), KEPT)


class TestSimStore(StoreContract):
    shared = True

    async def make(self) -> SimStore:
        return SimStore(journal())


async def test_workers_share_it() -> None:
    shared = journal()
    one, two = SimStore(shared, "chat-1"), SimStore(shared, "chat-2")
    append = after(await one.open("room"), 2)
    assert await write(one, append) == [Stored()]
    assert await write(two, append) == [Refused(append.end)]
    assert await two.open("room") == append.end
    assert await two.change_ring(0, frozenset({"chat-2"})) == RingRow(1, frozenset({"chat-2"}))
    assert await write(one, after(append.end)) == [Fenced(1)]


@pytest.mark.parametrize(
    ("trouble", "done"),
    [(Trouble(fails_before=1.0), False), (Trouble(fails_after=1.0), True)],
)
async def test_the_outcome_of_a_failure_is_unknown(trouble: Trouble, done: bool) -> None:
    shared = journal()
    store = SimStore(shared)
    append = after(await store.open("room"), 2)
    shared.trouble = trouble
    with pytest.raises(DiskError):
        await store.append(0, [append])
    shared.trouble = Trouble()
    assert (await store.open("room") == append.end) is done
    await check_unknown_outcome(store, append)


async def test_what_reached_it_is_done_though_the_caller_has_given_up() -> None:
    shared = journal()
    store = SimStore(shared)
    append = after(await store.open("room"), 2)
    work = store.append(0, [append])
    work.send(None)
    work.close()
    assert shared.log("room").tail == append.start
    await eventually(lambda: shared.log("room").tail == append.end)
