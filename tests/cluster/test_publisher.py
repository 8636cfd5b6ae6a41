"""The publishing end against bare XSUBs."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cluster.harness import LOCAL, Bare, Cluster, in_one_turn
from tests.support.logs import ExpectedLogs
from tests.support.timing import eventually
from zchat.cluster.publisher import Publisher
from zchat.errors import ConfigError


class Tokens(list[bytes]):
    """What a publisher's owner heard."""


def publisher(cluster: Cluster, tokens: Tokens, high_water: int = 100_000) -> tuple[Publisher, str]:
    """A bound publisher and its address."""
    made = Publisher(cluster.context(), tokens.append, high_water)
    cluster.on_close(made.close)
    return made, made.bind(LOCAL)


async def bare_subscriber(
    cluster: Cluster, address: str, tokens: Tokens, *topics: str, **options: object
) -> Bare:
    """A bare XSUB whose subscriptions are at work."""
    bare = Bare(cluster, zmq.XSUB, sndhwm=0, **options)
    bare.socket.connect(address)
    for topic in topics:
        bare.socket.send(b"\x01" + topic.encode() + b"\0")
    before = len(tokens)
    # Sent until it arrives: before the link is up a bare XSUB would lose it.
    bare.socket.send(b"\x02ready")
    await eventually(lambda: len(tokens) > before)
    return bare


async def test_join_token_publication(cluster: Cluster) -> None:
    tokens = Tokens()
    made, address = publisher(cluster, tokens)
    bare = await bare_subscriber(cluster, address, tokens, "room1")
    assert tokens == [b"ready"]
    made.publish("room1", b"payload")
    assert await bare.receive() == [b"room1\0payload"]
    assert made.subscriptions == 1


async def test_only_the_topic_meant(cluster: Cluster) -> None:
    tokens = Tokens()
    made, address = publisher(cluster, tokens)
    bare = await bare_subscriber(cluster, address, tokens, "room1")
    made.publish("room10", b"other")
    made.publish("room", b"other")
    made.publish("room1", b"mine")
    assert await bare.receive() == [b"room1\0mine"]


async def test_unsubscribing(cluster: Cluster) -> None:
    tokens = Tokens()
    made, address = publisher(cluster, tokens)
    bare = await bare_subscriber(cluster, address, tokens, "room1", "room2")
    bare.socket.send(b"\x00room1\0")
    await eventually(lambda: made.subscriptions == 1)
    made.publish("room1", b"left")
    made.publish("room2", b"stayed")
    assert await bare.receive() == [b"room2\0stayed"]


async def test_tokens_are_read_while_publishing(cluster: Cluster) -> None:
    """A send eats the signal of what came meanwhile: 2,000 tokens against 2,000 publications."""
    tokens = Tokens()
    made, address = publisher(cluster, tokens)
    bare = await bare_subscriber(cluster, address, tokens, "room1")
    for number in range(2000):
        bare.socket.send(b"\x02%d" % number)
        made.publish("room1", b"")
        if number % 10 == 0:
            await asyncio.sleep(0)
    await eventually(lambda: len(tokens) == 2001)
    assert tokens[1:] == [b"%d" % number for number in range(2000)]


async def test_a_publication_that_eats_the_signal(cluster: Cluster) -> None:
    """What arrived between the loop's look at the FD and our send raises no signal any more."""
    tokens = Tokens()
    made, address = publisher(cluster, tokens)
    bare = await bare_subscriber(cluster, address, tokens, "room1")
    for number in range(2, 7):
        in_one_turn(lambda: bare.socket.send(b"\x02token"), lambda: made.publish("room1", b""))
        await eventually(lambda: len(tokens) == number)  # noqa: B023


async def test_a_stalled_subscriber_loses_alone(cluster: Cluster) -> None:
    """It stalls nobody, the memory stays bounded, and what it gets later has gaps."""
    tokens = Tokens()
    made, address = publisher(cluster, tokens, high_water=500)
    slow = await bare_subscriber(cluster, address, tokens, "room", rcvhwm=10, rcvbuf=4096)
    quick = await bare_subscriber(cluster, address, tokens, "room", rcvhwm=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total, got = 30_000, 0
    for number in range(total):
        made.publish("room", b"%06d" % number + bytes(2000))
        if number % 50 == 0:
            # In step with the good reader: it is the slow one that has to lose.
            await quick_reads(quick, number + 1 - got)
            got = number + 1
    await quick_reads(quick, total - got)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 30_000, f"{grown} KiB of the 60 MB that the slow reader left"
    kept = 0
    while slow.socket.poll(200):
        slow.socket.recv()
        kept += 1
    assert 0 < kept < total


async def quick_reads(quick: Bare, count: int) -> None:
    for _ in range(count):
        await quick.receive()


async def test_other_frames_are_refused(cluster: Cluster, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "XPUB refused 1 envelope")
    tokens = Tokens()
    made, address = publisher(cluster, tokens)
    bare = await bare_subscriber(cluster, address, tokens)
    bare.socket.send(b"\x03what")
    bare.socket.send(b"")
    bare.socket.send_multipart([b"\x02one", b"\x02two\0three"])
    await eventually(lambda: tokens[1:] == [b"one", b"two", b"three"])
    assert made.refusals.counts == {"unreadable": 2}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.lists(st.binary(max_size=40)))
def test_any_bytes_at_an_xpub(junk: list[bytes], expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "XPUB refused")
    asyncio.run(_junk_at_an_xpub([b"\x03", *junk]))


async def _junk_at_an_xpub(junk: list[bytes]) -> None:
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    cluster, tokens = Cluster(), Tokens()
    made, address = publisher(cluster, tokens)
    bare = await bare_subscriber(cluster, address, tokens)
    for frame in junk:
        bare.socket.send(frame)
    bare.socket.send_multipart(junk)
    bare.socket.send(b"\x01room\0")
    bare.socket.send(b"\x02after the junk")
    await eventually(lambda: tokens and tokens[-1] == b"after the junk")
    made.publish("room", b"still works")
    while await bare.receive() != [b"room\0still works"]:
        pass
    assert faults == []
    await cluster.close()


async def test_a_fault_in_taking_a_token(cluster: Cluster, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "token could not be taken")
    heard: list[bytes] = []

    def take(token: bytes) -> None:
        heard.append(token)
        raise RuntimeError("broken")

    made = Publisher(cluster.context(), take)
    cluster.on_close(made.close)
    bare = Bare(cluster, zmq.XSUB)
    bare.socket.connect(made.bind(LOCAL))
    bare.socket.send(b"\x021")
    bare.socket.send(b"\x022")
    await eventually(lambda: heard == [b"1", b"2"])


async def test_closing_from_a_token(cluster: Cluster) -> None:
    made = Publisher(cluster.context(), lambda _: made.close())
    bare = Bare(cluster, zmq.XSUB)
    bare.socket.connect(made.bind(LOCAL))
    bare.socket.send(b"\x021")
    bare.socket.send(b"\x022")
    await eventually(lambda: made._socket is None)
    made.close()
    with pytest.raises(RuntimeError, match="not bound"):
        made.publish("room", b"")


async def test_where_it_cannot_bind(cluster: Cluster) -> None:
    _, address = publisher(cluster, Tokens())
    made = Publisher(cluster.context(), lambda _: None)
    with pytest.raises(OSError, match="cannot bind"):
        made.bind(address)
    with pytest.raises(ConfigError):
        made.bind("tcp://0.0.0.0:0")
    with pytest.raises(RuntimeError, match="not bound"):
        made.publish("room", b"")


async def test_a_topic_with_a_nul(cluster: Cluster) -> None:
    made, _ = publisher(cluster, Tokens())
    with pytest.raises(ValueError, match="NUL"):
        made.publish("room\0", b"")
