"""The entry handler answers clients."""

from zchat.testing import Cluster


async def test_entry(cluster: Cluster) -> None:
    client = await cluster.connect("ann")
    answer = await client.expect_response("connector.entryHandler.entry")
    assert answer == {"code": 200, "msg": "game server is ok."}
