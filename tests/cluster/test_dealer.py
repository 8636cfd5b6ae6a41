"""The DEALER alone, against a bare ROUTER."""

from __future__ import annotations

import pytest
import zmq

from tests.cluster.harness import Bare, Cluster
from tests.support.timing import eventually
from zchat.cluster.dealer import Dealer
from zchat.errors import ConfigError


class Owner:
    """Makes a dealer and notes what it hears."""

    def __init__(self, cluster: Cluster, address: str) -> None:
        self.messages: list[bytes] = []
        self.events: list[str] = []
        self.dealer = Dealer(
            cluster.context(),
            b"connector-1/life",
            address,
            None,
            self._take,
            lambda: self.events.append("wake"),
            lambda: self.events.append("linked"),
            lambda: self.events.append("unlinked"),
        )
        cluster.on_close(self.dealer.close)

    def _take(self, message: bytes) -> int:
        self.messages.append(message)
        return 1


async def test_both_ways(cluster: Cluster) -> None:
    router = Bare(cluster, zmq.ROUTER)
    owner = Owner(cluster, router.bind())
    await eventually(lambda: owner.dealer.linked)
    assert owner.dealer.write(b"hello")
    assert await router.receive() == [b"connector-1/life", b"hello"]
    router.socket.send_multipart([b"connector-1/life", b"a", b"b"])
    await eventually(lambda: owner.messages == [b"a", b"b"])
    assert "wake" in owner.events


async def test_nothing_is_written_without_a_link(cluster: Cluster) -> None:
    """Else a peer's next life would read, before our Hello, what was meant for the last one."""
    router = Bare(cluster, zmq.ROUTER)
    address = router.bind()
    owner = Owner(cluster, address)
    await eventually(lambda: owner.dealer.linked)
    router.close()
    await eventually(lambda: "unlinked" in owner.events)
    assert not owner.dealer.linked
    assert not owner.dealer.write(b"stale")
    again = Bare(cluster, zmq.ROUTER)
    again.socket.bind(address)
    await eventually(lambda: owner.dealer.linked)
    assert owner.dealer.write(b"fresh")
    assert await again.receive() == [b"connector-1/life", b"fresh"]


async def test_a_reader_that_stalls_blocks_and_wakes(cluster: Cluster) -> None:
    router = Bare(cluster, zmq.ROUTER, rcvhwm=1, rcvbuf=4096)
    owner = Owner(cluster, router.bind())
    await eventually(lambda: owner.dealer.linked)
    written = 0
    while owner.dealer.write(bytes(100_000)):
        written += 1
        assert written < 10_000
    owner.events.clear()
    for _ in range(written):
        await router.receive()
    await eventually(lambda: "wake" in owner.events)
    assert owner.dealer.write(b"on")


async def test_closing(cluster: Cluster) -> None:
    owner = Owner(cluster, "tcp://127.0.0.1:1")
    owner.dealer.close()
    owner.dealer.close()
    assert not owner.dealer.write(b"")
    owner.dealer.check()
    assert owner.events == []


async def test_a_wrong_address_leaves_nothing_open(cluster: Cluster) -> None:
    for address in ("tcp://127.0.0.1", "udp://x", "tcp://192.0.2.1:1"):
        with pytest.raises(ConfigError):
            Owner(cluster, address)
