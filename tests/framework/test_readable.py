"""What a journal raises when it is read becomes an answer."""

from __future__ import annotations

import pytest

from tests.support.logs import ExpectedLogs
from zchat.errors import RequestError, Unavailable
from zchat.framework.readable import readable
from zchat.rooms.stores.base import History, JournalFull
from zchat.rooms.stream import StreamPosition

HISTORY = History((), StreamPosition("e1", 0))


async def read(error: Exception | None = None) -> History:
    if error is not None:
        raise error
    return HISTORY


async def test_what_is_read() -> None:
    assert await readable(read(), "room") is HISTORY


async def test_a_disk_that_fails_may_be_better_in_a_moment(expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "journal: room cannot be read")
    with pytest.raises(Unavailable) as caught:
        await readable(read(OSError("the disk")), "room")
    assert caught.value.fields == {"retry": True}


@pytest.mark.parametrize("error", [JournalFull("full"), RequestError("no", code=418)])
async def test_what_the_store_wants_to_be_answered(error: RequestError) -> None:
    with pytest.raises(RequestError) as caught:
        await readable(read(error), "room")
    assert caught.value is error
