"""Whose request the running code works for."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from zchat.framework.peers.context import NOBODY, Origin, current, decode_origin, encode_origin


def test_origins_travel() -> None:
    origin = Origin("connector-1", 7, 42)
    assert decode_origin(encode_origin(origin)) == origin
    assert decode_origin(b"") == NOBODY
    assert decode_origin(encode_origin(NOBODY)) == NOBODY


@pytest.mark.parametrize("data", [b"\xc1", b"\x93\x01\x02\x03", b"\x80"])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_origin(data)


async def test_each_task_has_its_own() -> None:
    async def work(session: int) -> Origin:
        current.set(Origin("c1", session, 1))
        await asyncio.sleep(0)
        return await asyncio.create_task(asyncio.sleep(0, current.get()))

    assert current.get() == NOBODY
    found = await asyncio.gather(*(asyncio.create_task(work(n)) for n in (1, 2)))
    assert [origin.session for origin in found] == [1, 2]
    assert current.get() == NOBODY
