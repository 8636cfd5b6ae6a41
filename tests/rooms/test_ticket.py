"""Who waits for a draft's place, and is told of it."""

from __future__ import annotations

import asyncio

import pytest

from zchat.errors import Unavailable
from zchat.rooms.stream import Draft, StreamPosition
from zchat.rooms.ticket import Ticket, Waiter

PLACE = StreamPosition("e", 1)


def waiters(count: int) -> list[Waiter]:
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


async def test_all_who_wait_are_told() -> None:
    first, second, gone = waiters(3)
    ticket = Ticket(Draft("r", b"{}", "alice", "c"), first)
    ticket.waiters += [second, gone]
    gone.cancel()
    ticket.settle(PLACE)
    assert (first.result(), second.result()) == (PLACE, PLACE)
    ticket.fail(Unavailable("too late"))
    assert first.result() == PLACE


async def test_all_who_wait_are_told_of_a_failure() -> None:
    first, gone = waiters(2)
    ticket = Ticket(Draft("r", b"{}", "alice", "c"), gone)
    ticket.waiters.append(first)
    gone.cancel()
    ticket.fail(Unavailable("gone"))
    with pytest.raises(Unavailable):
        first.result()


@pytest.mark.parametrize(("cid", "given_up"), [("", True), ("c", False)])
async def test_only_what_nobody_can_ask_for_again_is_given_up(cid: str, given_up: bool) -> None:
    [waiter] = waiters(1)
    ticket = Ticket(Draft("r", b"{}", "alice", cid), waiter)
    assert not ticket.given_up
    waiter.cancel()
    assert ticket.given_up is given_up
