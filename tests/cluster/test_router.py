"""The ROUTER alone, against bare DEALERs."""

from __future__ import annotations

import pytest
import zmq

from tests.cluster.harness import LOCAL, Bare, Clock, Cluster, Wall
from tests.support.timing import eventually
from zchat.cluster.refusals import Refusals
from zchat.cluster.router import Router, UnreachableError
from zchat.errors import ConfigError


class Owner:
    """Makes a router and notes what it hears."""

    def __init__(self, cluster: Cluster, address: str = LOCAL) -> None:
        self.messages: list[tuple[bytes, bytes]] = []
        self.wakes = 0
        self.unlinked = 0
        self.router = Router(
            cluster.context(),
            address,
            Refusals("ROUTER", Clock()),
            self._take,
            self._wake,
            self._unlink,
        )
        cluster.on_close(self.router.close)

    def _take(self, identity: bytes, message: bytes) -> int:
        self.messages.append((identity, message))
        return 1

    def _wake(self) -> None:
        self.wakes += 1

    def _unlink(self) -> None:
        self.unlinked += 1


async def test_both_ways(cluster: Cluster) -> None:
    owner = Owner(cluster)
    dealer = Bare(cluster, zmq.DEALER, routing_id=b"a")
    dealer.socket.connect(owner.router.address)
    dealer.socket.send(b"1")
    await eventually(lambda: owner.messages == [(b"a", b"1")])
    assert owner.router.write(b"a", b"2")
    owner.router.check()
    assert await dealer.receive() == [b"2"]


async def test_nobody_there(cluster: Cluster) -> None:
    with pytest.raises(UnreachableError):
        Owner(cluster).router.write(b"nobody", b"")


async def test_a_reader_that_stalls_blocks_and_wakes(cluster: Cluster) -> None:
    owner = Owner(cluster)
    dealer = Bare(cluster, zmq.DEALER, routing_id=b"a", rcvhwm=1, rcvbuf=4096)
    dealer.socket.connect(owner.router.address)
    dealer.socket.send(b"1")
    await eventually(lambda: owner.messages)
    written = 0
    while owner.router.write(b"a", bytes(100_000)):
        written += 1
        assert written < 10_000
    owner.wakes = 0
    for _ in range(written):
        await dealer.receive()
    await eventually(lambda: owner.wakes)
    assert owner.router.write(b"a", b"on")


async def test_closing(cluster: Cluster) -> None:
    owner = Owner(cluster)
    owner.router.close()
    owner.router.close()
    assert not owner.router.write(b"a", b"")
    owner.router.check()


async def test_where_it_cannot_bind(cluster: Cluster) -> None:
    owner = Owner(cluster)
    with pytest.raises(OSError, match="cannot bind"):
        Owner(cluster, owner.router.address)
    with pytest.raises(ConfigError):
        Owner(cluster, "tcp://0.0.0.0:0")


async def test_a_broken_link_is_told(cluster: Cluster) -> None:
    owner = Owner(cluster)
    wall = Wall(owner.router.address)
    dealer = Bare(cluster, zmq.DEALER, routing_id=b"a")
    dealer.socket.connect(await wall.listen())
    dealer.socket.send(b"1")
    await eventually(lambda: owner.messages == [(b"a", b"1")])
    assert owner.unlinked == 0
    wall.cut()
    await eventually(lambda: owner.unlinked == 1)
    await wall.close()
