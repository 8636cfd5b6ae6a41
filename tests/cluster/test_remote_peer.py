"""What can be read of a server that uses us."""

from __future__ import annotations

from tests.cluster.harness import Cluster


async def test_a_life_from_first_to_last(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()
    (peer,) = worker.ups
    assert (peer.server_id, peer.server_type, peer.alive) == ("connector-1", "connector", True)
    assert repr(peer) == f"<RemotePeer connector-1/{peer.incarnation}>"
    assert peer.identity == f"connector-1/{peer.incarnation}".encode()
    worker.server.cast(peer, "push", [bytes(1000)])
    assert 1000 < peer.queued_bytes < 1200
    worker.server.close()
    assert (peer.alive, peer.queued_bytes) == (False, 0)
    assert worker.server.peers == {}
    assert frontend.casts == []
