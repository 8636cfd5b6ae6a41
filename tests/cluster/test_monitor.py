"""Links as libzmq tells of them."""

from __future__ import annotations

import zmq

from tests.cluster.harness import LOCAL, Cluster
from tests.support.timing import eventually
from zchat.cluster.monitor import LINKED, UNLINKED, Monitor


async def test_made_lost_and_made_again(cluster: Cluster) -> None:
    events: list[tuple[int, str]] = []
    context, peer = cluster.context(), cluster.context()
    server = peer.socket(zmq.ROUTER, send_high_water=1, receive_high_water=1)
    address = peer.bind(server, LOCAL)
    socket = context.socket(zmq.DEALER, send_high_water=1, receive_high_water=1)
    monitor = Monitor(socket, lambda event, endpoint: events.append((event, endpoint)))
    context.connect(socket, address, None)
    await eventually(lambda: events == [(LINKED, address)])
    peer.close()
    await eventually(lambda: events[1:] == [(UNLINKED, address)])
    peer = cluster.context()
    server = peer.socket(zmq.ROUTER, send_high_water=1, receive_high_water=1)
    peer.bind(server, address)
    await eventually(lambda: events[2:] == [(LINKED, address)])
    monitor.close()
    monitor.close()
    peer.close()
    socket.close()
    assert len(events) == 3


async def test_closing_from_an_event(cluster: Cluster) -> None:
    events: list[int] = []
    context = cluster.context()
    server = context.socket(zmq.ROUTER, send_high_water=1, receive_high_water=1)
    socket = context.socket(zmq.DEALER, send_high_water=1, receive_high_water=1)

    def heard(event: int, endpoint: str) -> None:
        events.append(event)
        monitor.close()

    monitor = Monitor(socket, heard)
    context.connect(socket, context.bind(server, LOCAL), None)
    await eventually(lambda: events == [LINKED])
    server.close()
    socket.close()
