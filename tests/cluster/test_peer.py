"""What can be read of a server that is used."""

from __future__ import annotations

from tests.cluster.harness import Cluster
from zchat.cluster.peer import CONNECTING, LOST, UP


async def test_a_peer_from_first_to_last(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()
    peer = frontend.client.peers["chat-1"]
    assert (peer.state, peer.server_type, peer.address) == (UP, "chat", worker.address)
    assert len(peer.incarnation) == 16
    assert repr(peer) == "<Peer chat-1 UP>"
    frontend.request(bytes(1000))
    assert 1000 < peer.queued_bytes < 1200
    frontend.client.disconnect("chat-1")
    assert (peer.state, peer.queued_bytes) == (LOST, 0)
    again = frontend.client.connect("chat-1", worker.address)
    assert (again.state, again.server_type, again.incarnation) == (CONNECTING, "", "")
