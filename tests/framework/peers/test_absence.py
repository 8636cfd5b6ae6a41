"""Calls to servers that are away."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.timing import MS
from zchat.errors import Unavailable
from zchat.framework.peers.absence import Absence


async def test_who_stays_away_is_named() -> None:
    with pytest.raises(Unavailable, match="chat-1 is gone"):
        await Absence(10 * MS).bear("chat-1", asyncio.Event().wait())


async def test_who_comes_back_has_the_calls_own_time() -> None:
    absence, answered = Absence(100 * MS), asyncio.Event()
    call = asyncio.ensure_future(absence.bear("chat-1", answered.wait()))
    other = asyncio.ensure_future(absence.bear("chat-2", asyncio.Event().wait()))
    await asyncio.sleep(0)
    absence.end("chat-1")
    with pytest.raises(Unavailable):  # by then the moment of both has passed
        await other
    assert not call.done()
    answered.set()
    assert await call


async def test_the_calls_own_time_out_is_not_ours() -> None:
    async def late() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await Absence(1.0).bear("chat-1", late())


async def test_a_return_after_the_end_changes_nothing() -> None:
    absence = Absence(10 * MS)
    with pytest.raises(Unavailable):
        await absence.bear("chat-1", asyncio.Event().wait())
    absence.end("chat-1")
    absence.end("chat-1")
