"""What a journal raises when it is read becomes an answer."""

from __future__ import annotations

from typing import cast

import pytest

from tests.support.logs import ExpectedLogs
from zchat.errors import RequestError, Unavailable
from zchat.framework.channels.readable import Readable
from zchat.rooms.stores.base import History, JournalFull, Store
from zchat.rooms.stream import StreamPosition


class Shelf:
    """A store that gives what was asked for, or what it was told to raise."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def read(self, channel: str, after: int, limit: int) -> History:
        return self._history(f"{channel} after {after}, {limit}")

    async def read_back(self, channel: str, before: int, limit: int) -> History:
        return self._history(f"{channel} before {before}, {limit}")

    def _history(self, asked: str) -> History:
        if self.error is not None:
            raise self.error
        return History((), StreamPosition(asked, 0))


def journal(error: Exception | None = None) -> Readable:
    return Readable(cast(Store, Shelf(error)))


async def test_what_is_read() -> None:
    assert (await journal().read("room", 3, 10)).tail.epoch == "room after 3, 10"
    assert (await journal().read_back("room", 7, 10)).tail.epoch == "room before 7, 10"


@pytest.mark.parametrize("method", ["read", "read_back"])
async def test_a_disk_that_fails_may_be_better_in_a_moment(
    expected_logs: ExpectedLogs, method: str
) -> None:
    expected_logs("zchat.cluster", "journal: room cannot be read")
    with pytest.raises(Unavailable) as caught:
        await getattr(journal(OSError("the disk")), method)("room", 1, 10)
    assert caught.value.fields == {"retry": True}


@pytest.mark.parametrize("error", [JournalFull("full"), RequestError("no", code=418)])
async def test_what_the_store_wants_to_be_answered(error: RequestError) -> None:
    with pytest.raises(RequestError) as caught:
        await journal(error).read("room", 1, 10)
    assert caught.value is error
