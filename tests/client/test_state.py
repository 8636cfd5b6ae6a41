from __future__ import annotations

from tests.client.fake_server import FakeServer
from zchat.client import State, StateChange, connect


async def test_watchers_can_leave(server: FakeServer) -> None:
    client = connect(server.url)
    seen: list[StateChange] = []
    off = client.on_state(seen.append)
    await client.start()
    off()
    await client.close()
    assert seen == [StateChange(State.CONNECTING), StateChange(State.ONLINE)]
