"""The subscribing end against publishers that come, go and misbehave."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cluster.harness import LOCAL, Bare, Cluster, Wall
from tests.support.logs import ExpectedLogs
from tests.support.sources import ROOT
from tests.support.timing import MS, eventually
from zchat.cluster.context import Context
from zchat.cluster.drain import Drain
from zchat.cluster.publisher import Publisher
from zchat.cluster.subscriber import Subscriber, SubscriberHandlers
from zchat.errors import ConfigError


class Hub:
    """A subscriber that notes what it hears."""

    def __init__(self, cluster: Cluster, high_water: int = 100_000) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.links: list[str] = []
        self.unlinks: list[str] = []
        self.token: bytes | None = None
        handlers = SubscriberHandlers(
            on_message=lambda topic, payload: self.messages.append((topic, payload)),
            on_link=self._on_link,
            on_unlink=self.unlinks.append,
        )
        self.subscriber = Subscriber(cluster.context(), handlers, high_water)
        cluster.on_close(self.subscriber.close)

    def _on_link(self, server_id: str) -> None:
        self.links.append(server_id)
        if self.token is not None:
            self.subscriber.send_token(self.token)


class Worker:
    """A publisher in a context of its own, as if it were a process, and the tokens it saw."""

    def __init__(self, cluster: Cluster, address: str = LOCAL) -> None:
        self.tokens: list[bytes] = []
        self._context: Context = cluster.context()
        self.publisher = Publisher(self._context, self.tokens.append)
        self.address = self.publisher.bind(address)
        cluster.on_close(self.kill)

    def kill(self) -> None:
        self.publisher.close()
        self._context.close()


async def linked(cluster: Cluster, *topics: str) -> tuple[Worker, Hub]:
    """A worker and a hub whose subscriptions are at work there."""
    worker, hub = Worker(cluster), Hub(cluster)
    hub.subscriber.connect("chat-1", worker.address)
    for topic in topics:
        hub.subscriber.subscribe(topic)
    hub.subscriber.send_token(b"ready")
    await eventually(lambda: worker.tokens)
    return worker, hub


async def test_subscribe_token_publication(cluster: Cluster) -> None:
    worker, hub = await linked(cluster, "room1")
    assert worker.tokens == [b"ready"]
    worker.publisher.publish("room1", b"with \0 inside")
    worker.publisher.publish("room10", b"another")
    worker.publisher.publish("room", b"another")
    worker.publisher.publish("room1", b"")
    await eventually(lambda: len(hub.messages) == 2)
    assert hub.messages == [("room1", b"with \0 inside"), ("room1", b"")]
    assert hub.subscriber.topics == {"room1"}
    await eventually(lambda: hub.subscriber.linked == {"chat-1"})
    assert hub.links == ["chat-1"]


async def test_subscribing_twice_is_subscribing_once(cluster: Cluster) -> None:
    worker, hub = await linked(cluster, "room", "room")
    assert worker.publisher.subscriptions == 1
    hub.subscriber.unsubscribe("room")
    hub.subscriber.unsubscribe("room")
    hub.subscriber.unsubscribe("never")
    await eventually(lambda: worker.publisher.subscriptions == 0)
    with pytest.raises(ValueError, match="NUL"):
        hub.subscriber.subscribe("room\0")


async def test_what_comes_after_leaving_is_dropped(cluster: Cluster) -> None:
    """An XSUB does not filter: what was under way when we left still comes."""
    worker, hub = await linked(cluster, "room1", "room2")
    worker.publisher.publish("room1", b"late")
    worker.publisher.publish("room2", b"good")
    hub.subscriber.unsubscribe("room1")
    await eventually(lambda: hub.messages)
    assert hub.messages == [("room2", b"good")]
    assert hub.subscriber.left == 1


async def test_subscriptions_made_before_any_link(cluster: Cluster) -> None:
    worker, hub = Worker(cluster), Hub(cluster)
    hub.subscriber.subscribe("room")
    hub.subscriber.send_token(b"nobody is there")
    hub.token = b"linked"
    hub.subscriber.connect("chat-1", worker.address)
    await eventually(lambda: worker.tokens == [b"linked"])
    worker.publisher.publish("room", b"")
    await eventually(lambda: hub.messages)


async def test_tokens_of_a_turn_go_out_together_behind_its_subscriptions(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, hub = await linked(cluster)
    frames = []
    take = worker.publisher._take

    def noted(frame: bytes) -> None:
        frames.append(frame)
        take(frame)

    monkeypatch.setattr(worker.publisher, "_take", noted)
    hub.subscriber.send_token(b"one")
    hub.subscriber.subscribe("room")
    hub.subscriber.send_token(b"two")
    await eventually(lambda: worker.tokens[-2:] == [b"one", b"two"])
    assert frames == [b"\x01room\0", b"\x02one\0two"]
    hub.subscriber.send_token(b"three")
    await eventually(lambda: worker.tokens[-1] == b"three")


async def test_a_token_without_nul(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="NUL"):
        Hub(cluster).subscriber.send_token(b"one\0two")


async def test_several_publishers(cluster: Cluster) -> None:
    one, hub = await linked(cluster, "room")
    two = Worker(cluster)
    hub.subscriber.connect("chat-2", two.address)
    await eventually(lambda: hub.links == ["chat-1", "chat-2"])
    hub.subscriber.send_token(b"both")
    await eventually(lambda: b"both" in one.tokens and b"both" in two.tokens)
    two.publisher.publish("room", b"two")
    await eventually(lambda: hub.messages == [("room", b"two")])
    hub.subscriber.disconnect("chat-2")
    hub.subscriber.disconnect("chat-2")
    await eventually(lambda: two.publisher.subscriptions == 0)
    assert hub.unlinks == []
    hub.subscriber.connect("chat-1", one.address)
    hub.subscriber.connect("chat-1", two.address)
    hub.subscriber.send_token(b"moved")
    await eventually(lambda: b"moved" in two.tokens)
    assert b"moved" not in one.tokens


# Links


async def test_5000_subscriptions_survive_a_restart(cluster: Cluster) -> None:
    """With the default mark of libzmq only 1,000 would, without an error."""
    topics = [f"room{number}" for number in range(5000)]
    first, hub = await linked(cluster, *topics)
    await eventually(lambda: first.publisher.subscriptions == 5000)
    first.kill()
    await eventually(lambda: hub.unlinks == ["chat-1"])
    hub.token = b"again"
    second = Worker(cluster, first.address)
    await eventually(lambda: second.tokens == [b"again"])
    for topic in topics:
        second.publisher.publish(topic, topic.encode())
    await eventually(lambda: len(hub.messages) == 5000)
    assert [topic for topic, _ in hub.messages] == topics


async def test_20000_subscriptions_in_a_burst(cluster: Cluster) -> None:
    worker, hub = await linked(cluster)
    topics = [f"room{number}" for number in range(20_000)]
    for topic in topics:
        hub.subscriber.subscribe(topic)
    hub.subscriber.send_token(b"all")
    await eventually(lambda: worker.tokens[-1] == b"all", 20_000 * MS)
    assert worker.publisher.subscriptions == 20_000
    for topic in topics:
        worker.publisher.publish(topic, b"")
    await eventually(lambda: len(hub.messages) == 20_000, 20_000 * MS)


async def test_an_idle_subscriber_resubscribes(cluster: Cluster) -> None:
    """libzmq does that in our thread, at a wake-up without a message."""
    first, hub = await linked(cluster, "room")
    first.kill()
    second = Worker(cluster, first.address)
    await eventually(lambda: second.publisher.subscriptions == 1)
    assert hub.messages == []


async def test_a_token_lost_with_its_link_is_repeated(cluster: Cluster) -> None:
    worker, hub = Worker(cluster), Hub(cluster)
    wall = Wall(worker.address)
    hub.subscriber.connect("chat-1", await wall.listen())
    hub.subscriber.subscribe("room")
    await eventually(lambda: worker.publisher.subscriptions == 1)
    wall.frozen = True
    hub.token = b"join 1"
    hub.subscriber.send_token(hub.token)
    await eventually(lambda: hub.links == ["chat-1"])
    await asyncio.sleep(20 * MS)  # the token is in the wire, which is the point of this test
    wall.cut()
    wall.frozen = False
    await eventually(lambda: hub.links == ["chat-1", "chat-1"])
    await eventually(lambda: worker.tokens == [b"join 1"])
    assert hub.unlinks == ["chat-1"]
    worker.publisher.publish("room", b"first")
    await eventually(lambda: hub.messages == [("room", b"first")])
    await wall.close()


async def test_a_host_name(cluster: Cluster) -> None:
    """After a reconnect libzmq calls the link by its number."""
    first, hub = Worker(cluster), Hub(cluster)
    hub.subscriber.connect("chat-1", first.address.replace("127.0.0.1", "localhost"))
    await eventually(lambda: hub.links == ["chat-1"])
    first.kill()
    await eventually(lambda: hub.unlinks == ["chat-1"])
    second = Worker(cluster, first.address)
    await eventually(lambda: hub.links == ["chat-1"] * 2)
    second.kill()
    await eventually(lambda: hub.unlinks == ["chat-1"] * 2)


async def test_what_waits_for_an_absent_publisher_is_bounded(cluster: Cluster) -> None:
    first, hub = await linked(cluster, "stays")
    first.kill()
    await eventually(lambda: hub.unlinks == ["chat-1"])
    for number in range(12_000):
        hub.subscriber.subscribe(f"room{number}")
        hub.subscriber.unsubscribe(f"room{number}")
    hub.subscriber.subscribe("new")
    assert hub.subscriber.renewed == 2
    hub.token = b"back"
    second = Worker(cluster, first.address)
    await eventually(lambda: second.tokens == [b"back"])
    assert second.publisher.subscriptions == 2
    second.publisher.publish("stays", b"")
    second.publisher.publish("new", b"")
    await eventually(lambda: [topic for topic, _ in hub.messages] == ["stays", "new"])


async def test_no_join_loses_its_first_publication(cluster: Cluster) -> None:
    """2,000 joins at a publisher in another process: it publishes the moment the token is seen."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.cluster.publisher_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    router, address = (await process.stdout.readline()).decode().split()
    hub = Hub(cluster)
    hub.subscriber.connect("chat-1", address)
    await eventually(lambda: hub.links)
    dealer = Bare(cluster, zmq.DEALER)
    dealer.socket.connect(router)
    joined: list[bytes] = []

    def burst(_: int) -> bool:
        while dealer.socket.poll(0):
            joined.append(dealer.socket.recv())
        return False

    drain = Drain(dealer.socket, burst)
    for number in range(2000):
        hub.subscriber.subscribe(f"room{number}")
        hub.subscriber.send_token(b"%d" % number)
        dealer.socket.send_multipart([b"room%d" % number, b"%d" % number])
        drain.check()
        if number % 10 == 9:
            await eventually(lambda: len(joined) >= number - 20)  # noqa: B023
    await eventually(lambda: len(joined) == 2000)
    await eventually(lambda: len(hub.messages) == 2000)
    assert sorted(topic for topic, _ in hub.messages) == sorted(f"room{n}" for n in range(2000))
    drain.close()
    process.stdin.close()
    assert await process.wait() == 0


# Hostile publishers


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.lists(st.binary(max_size=40)))
def test_any_bytes_at_an_xsub(junk: list[bytes], expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "XSUB refused")
    asyncio.run(_junk_at_an_xsub([b"no topic", *junk]))


async def _junk_at_an_xsub(junk: list[bytes]) -> None:
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    cluster = Cluster()
    hub, bare = Hub(cluster), Bare(cluster, zmq.XPUB)
    hub.subscriber.connect("chat-1", bare.bind())
    hub.subscriber.subscribe("room")
    assert await bare.receive() == [b"\x01room\0"]
    # As XPUB sends only what is subscribed to, the junk comes behind a first frame that is.
    bare.socket.send_multipart([b"room\0first", *junk])
    bare.socket.send(b"room\0last")
    await eventually(lambda: ("room", b"last") in hub.messages)
    assert hub.subscriber.refusals.total >= 1
    assert faults == []
    await cluster.close()


async def test_a_fault_in_taking_a_publication(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "publication of 'room' could not be taken")
    heard: list[bytes] = []

    def take(topic: str, payload: bytes) -> None:
        heard.append(payload)
        raise RuntimeError("broken")

    worker = Worker(cluster)
    subscriber = Subscriber(cluster.context(), SubscriberHandlers(on_message=take))
    cluster.on_close(subscriber.close)
    subscriber.connect("chat-1", worker.address)
    subscriber.subscribe("room")
    await eventually(lambda: worker.publisher.subscriptions)
    worker.publisher.publish("room", b"1")
    worker.publisher.publish("room", b"2")
    await eventually(lambda: heard == [b"1", b"2"])


async def test_closing(cluster: Cluster) -> None:
    worker, hub = await linked(cluster, "room")
    subscriber = hub.subscriber
    subscriber.close()
    subscriber.close()
    subscriber.disconnect("chat-1")
    subscriber.unsubscribe("room")
    subscriber.send_token(b"")
    assert subscriber.linked == frozenset()
    assert worker.tokens == [b"ready"]


async def test_addresses_it_refuses(cluster: Cluster) -> None:
    hub = Hub(cluster)
    with pytest.raises(ConfigError, match="reachable by other machines"):
        hub.subscriber.connect("chat-1", "tcp://192.0.2.1:5000")
    with pytest.raises(ConfigError, match="cannot connect"):
        hub.subscriber.connect("chat-1", "tcp://127.0.0.1:port")
    assert hub.subscriber.linked == frozenset()
