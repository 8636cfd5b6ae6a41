"""All connections of a frontend: their table, and how they are told to go. Over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.frontend.wire import Peer, door, until
from zchat.frontend.sockets.disconnect import SERVER_STOPPING
from zchat.frontend.sockets.frames import CLOSE, payloads


async def test_no_more_are_let_in_than_there_is_room_for() -> None:
    async with door() as opened:
        full = []
        opened.connections.capacity = 1
        full.append(opened.connections.full)
        peer = await opened.working()
        full.append(opened.connections.full)
        peer.close()
        await until(lambda: not opened.connections.full)
        assert full == [False, True]


async def test_packages_are_taken_out_of_their_frames_once_for_all() -> None:
    async with door() as opened:
        frames = b"\x82\x03one\x82\x03two"
        bare = opened.connections.unframed(frames)
        assert bare == payloads(frames)
        assert opened.connections.unframed(frames) is bare
        assert opened.connections.unframed(b"\x82\x05three") == b"three"


async def test_tables_may_be_walked_while_connections_end() -> None:
    async with door() as opened:
        for _ in range(5):
            await opened.working()
        table = dict.fromkeys(opened.opened)
        opened.connections.on_close = lambda connection, why: table.pop(connection)
        for connection in table:
            connection.close(SERVER_STOPPING)
        await until(lambda: not table)


async def goodbyes(peers: Sequence[Peer]) -> list[int]:
    codes = []
    for peer in peers:
        codes.append((await peer.goodbye())[0])
        peer.close()
    return codes


async def test_a_drain_tells_all_and_waits_for_them() -> None:
    async with door() as opened:
        peers = [await opened.working() for _ in range(20)]
        draining = asyncio.create_task(opened.connections.drain(pace=1000, seconds=10))
        assert await goodbyes(peers) == [1001] * 20
        await draining
        assert not opened.connections.sockets
        assert len(opened.closed) == 20
        assert opened.counters == {"server_stopping": 20}


async def test_a_drain_keeps_its_pace() -> None:
    async with door() as opened:
        for _ in range(10):
            await opened.working()
        draining = asyncio.create_task(opened.connections.drain(pace=20, seconds=60))
        await until(lambda: opened.closed)
        assert len(opened.closed) == 1  # one every 50 ms at 20 per second
        await until(lambda: len(opened.closed) == 3)
        draining.cancel()


async def test_a_drain_drops_who_does_not_go_in_time() -> None:
    async with door() as opened:
        peer = await opened.working()
        await until(lambda: opened.opened)
        await opened.connections.drain(pace=1000, seconds=0)
        assert not opened.connections.sockets
        assert len(opened.closed) == 1
        opcode, _ = await peer.frame()  # told all the same
        assert opcode == CLOSE
