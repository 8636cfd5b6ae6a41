"""The binding side against real frontends, bare DEALERs and strangers."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cluster.harness import LOCAL, Bare, Clock, Cluster, Wall, Worker, in_one_turn, up
from tests.support.logs import ExpectedLogs
from tests.support.timing import MS, PATIENCE, eventually
from zchat.cluster.envelope import (
    PROTOCOL,
    Call,
    Cast,
    Failure,
    Hello,
    Ping,
    Pong,
    Reply,
    Request,
    Stranger,
    Welcome,
    decode,
    pack,
)
from zchat.cluster.identity import LocalServer
from zchat.cluster.limits import Limits
from zchat.cluster.peer import UP
from zchat.cluster.rpc_server import RpcServer
from zchat.errors import ConfigError, RequestError, Unavailable


def hello(server_id: str = "connector-1", incarnation: str = "life", protocol: int = 1) -> Hello:
    return Hello(protocol, server_id, "connector", incarnation, 3)


def request(number: int = 1, body: bytes = b"body") -> Request:
    return Request(number, "chat.chatHandler.send", b"session", body, 5000, 0)


async def bare_dealer(
    cluster: Cluster, worker: Worker, routing_id: bytes = b"connector-1/life", **options: object
) -> Bare:
    """A bare DEALER that was welcomed."""
    dealer = Bare(cluster, zmq.DEALER, routing_id=routing_id, **options)
    dealer.socket.connect(worker.address)
    server_id, incarnation = routing_id.decode().split("/")
    dealer.say(hello(server_id, incarnation))
    (welcome,) = await dealer.envelopes()
    assert isinstance(welcome, Welcome)
    return dealer


async def test_hello_and_welcome(cluster: Cluster) -> None:
    worker = cluster.worker(incarnation="0123456789abcdef")
    worker.server.generation = 9
    dealer = Bare(cluster, zmq.DEALER, routing_id=b"connector-1/life")
    dealer.socket.connect(worker.address)
    dealer.say(hello(), request())
    expected = Welcome(PROTOCOL, "chat-1", "chat", "0123456789abcdef", 9)
    assert await dealer.envelopes() == [expected]
    (peer,) = worker.ups
    assert (peer.server_id, peer.server_type, peer.incarnation) == (
        "connector-1",
        "connector",
        "life",
    )
    assert (peer.generation, peer.alive) == (3, True)
    assert worker.server.peers == {"connector-1": peer}
    assert worker.requests == [(peer, request())]


async def test_replies_of_one_turn_are_one_message(cluster: Cluster) -> None:
    worker = cluster.worker()
    worker.on_request = worker.echo
    dealer = await bare_dealer(cluster, worker)
    dealer.say(*[request(number, b"%d" % number) for number in range(1, 101)])
    assert await dealer.envelopes() == [Reply(n, b"%d" % n) for n in range(1, 101)]
    worker.server.fail(worker.ups[0], 7, 403, "no", path="name")
    assert await dealer.envelopes() == [Failure(7, 403, "no", {"path": "name"})]


async def test_ping_and_pong(cluster: Cluster) -> None:
    worker = cluster.worker()
    dealer = await bare_dealer(cluster, worker)
    dealer.say(Ping(3))
    assert await dealer.envelopes() == [Pong(0)]
    dealer.say(Pong(4))
    await eventually(lambda: worker.generations == [4])


async def test_a_failure_that_cannot_be_encoded(cluster: Cluster) -> None:
    """What a client sent may stand in an error's text; it must not stop the batch."""
    worker = cluster.worker()
    dealer = await bare_dealer(cluster, worker)
    worker.server.reply(worker.ups[0], 1, b"one")
    worker.server.fail(worker.ups[0], 2, 400, "no \ud800", path=object())
    worker.server.reply(worker.ups[0], 3, b"three")
    assert await dealer.envelopes() == [
        Reply(1, b"one"),
        Failure(2, 400, "no ?", {}),
        Reply(3, b"three"),
    ]


async def test_an_answer_that_is_too_large(cluster: Cluster) -> None:
    worker = cluster.worker(limits=Limits(queue_bytes=10_000))
    dealer = await bare_dealer(cluster, worker)
    worker.server.reply(worker.ups[0], 1, bytes(6000))
    assert await dealer.envelopes() == [Failure(1, 500, "the answer is too large", {})]


# Strangers


async def test_who_says_no_hello_is_asked_for_it(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "refused 2 envelope.*no Hello from b'connector-1/life'")
    worker = cluster.worker()
    dealer = Bare(cluster, zmq.DEALER, routing_id=b"connector-1/life")
    dealer.socket.connect(worker.address)
    dealer.say(request(), Cast("m", b""))
    assert await dealer.envelopes() == [Stranger()]
    assert worker.server.refusals.counts == {"no Hello": 2}
    assert (worker.requests, worker.casts) == ([], [])
    dealer.say(hello())
    assert isinstance((await dealer.envelopes())[0], Welcome)


@pytest.mark.parametrize(
    ("routing_id", "said", "reason"),
    [
        (b"connector-2/life", hello(), "false name"),
        (b"connector-1/other", hello(), "false name"),
        (b"\xff\xfe", hello(), "false name"),
        (b"connector-1/life", hello(protocol=2), "other protocol"),
    ],
)
async def test_refused_hellos(
    cluster: Cluster, expected_logs: ExpectedLogs, routing_id: bytes, said: Hello, reason: str
) -> None:
    expected_logs("zchat.cluster", reason)
    worker = cluster.worker()
    dealer = Bare(cluster, zmq.DEALER, routing_id=routing_id)
    dealer.socket.connect(worker.address)
    dealer.say(said, request())
    await eventually(lambda: worker.server.refusals.counts == {reason: 2})
    assert worker.server.peers == {}
    assert worker.requests == []


async def test_a_peer_cannot_change_its_name(cluster: Cluster, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "false name")
    worker = cluster.worker()
    dealer = await bare_dealer(cluster, worker)
    dealer.say(hello("connector-2"))
    await eventually(lambda: worker.server.refusals.counts["false name"] == 1)
    assert list(worker.server.peers) == ["connector-1"]


async def test_too_many_peers(cluster: Cluster, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "too many peers")
    worker = cluster.worker(limits=Limits(peers=1))
    await bare_dealer(cluster, worker)
    other = Bare(cluster, zmq.DEALER, routing_id=b"connector-2/life")
    other.socket.connect(worker.address)
    other.say(hello("connector-2"))
    await eventually(lambda: worker.server.refusals.counts["too many peers"] == 1)
    assert list(worker.server.peers) == ["connector-1"]
    await bare_dealer(cluster, worker, b"connector-1/next")
    assert worker.server.peers["connector-1"].incarnation == "next"


async def test_unreadable_messages_and_envelopes(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "ROUTER of chat-1 refused 1 envelope")
    worker = cluster.worker()
    dealer = await bare_dealer(cluster, worker)
    counts = worker.server.refusals.counts
    dealer.socket.send(b"")
    dealer.socket.send(b"\x01")
    dealer.socket.send(b"\x01" + b"\x91" * 100_000)
    dealer.socket.send(b"\x01\xdd\xff\xff\xff\xff")
    dealer.socket.send(b"\x01\x92\x91\x63\x93\x07\xa1m\xc4\x00")
    await eventually(lambda: counts["unreadable"] == 5)
    assert [cast.method for _, cast in worker.casts] == ["m"]
    dealer.socket.send_multipart([b"connector-1/life", b"\x01\x90", b"\x01\x90"])
    await eventually(lambda: counts["several frames"] == 1)
    dealer.say(Stranger(), Welcome(1, "a", "b", "c", 0))
    await eventually(lambda: counts["misplaced"] == 2)
    dealer.say(request())
    await eventually(lambda: worker.requests)
    assert worker.server.refusals.total == 8


async def test_a_flood_of_junk_is_one_line_in_the_log(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "refused")
    clock = Clock()
    worker = cluster.worker(clock=clock)
    dealer = Bare(cluster, zmq.DEALER)
    dealer.socket.connect(worker.address)
    for _ in range(500):
        dealer.socket.send(b"junk")
    await eventually(lambda: worker.server.refusals.counts["unreadable"] == 500)
    assert len(expected_logs.records) == 1


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.lists(st.binary(max_size=60) | st.binary(max_size=60).map(b"\x01".__add__)))
def test_any_bytes_at_a_router(junk: list[bytes], expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "ROUTER of chat-1 refused")
    asyncio.run(_junk_at_a_router(junk))


async def _junk_at_a_router(junk: list[bytes]) -> None:
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    cluster = Cluster()
    worker = cluster.worker()
    dealer = await bare_dealer(cluster, worker)
    for frame in [b"", *junk]:
        dealer.socket.send(frame)
    dealer.socket.send_multipart([b"a", *junk, b"b"])
    dealer.say(Cast("after the junk", b""))
    await eventually(lambda: any(c.method == "after the junk" for _, c in worker.casts))
    assert faults == []
    await cluster.close()


async def test_bytes_that_are_no_zmq(cluster: Cluster) -> None:
    """A port scan or a browser: libzmq drops it, nobody notices."""
    worker, frontend = await cluster.pair()
    host, port = worker.address.removeprefix("tcp://").split(":")
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, b""):
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(junk)
    worker.on_request = worker.echo
    frontend.request()
    await eventually(lambda: frontend.answers)


async def test_a_message_beyond_the_limit_cuts_its_sender_off(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()
    dealer = await bare_dealer(cluster, worker, b"connector-2/life", reconnect_ivl=-1)
    dealer.socket.send(bytes(33 * 1024 * 1024))
    peer = worker.server.peers["connector-2"]

    def told() -> bool:
        worker.server.cast(peer, "still there?", [])
        return not peer.alive

    await eventually(told)
    assert worker.server.unreachable == 1
    worker.on_request = worker.echo
    frontend.request()
    await eventually(lambda: frontend.answers)


# Lives


async def test_a_newer_life_ends_the_older_at_once(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "replaced life from b'connector-1/old'")
    worker = cluster.worker()
    old = await bare_dealer(cluster, worker, b"connector-1/old")
    peer = worker.server.peers["connector-1"]
    call = asyncio.create_task(worker.server.call(peer, "m", [], 5.0))
    await old.envelopes()
    new = await bare_dealer(cluster, worker, b"connector-1/new")
    assert [lost.incarnation for lost in worker.losses] == ["old"]
    assert [up.incarnation for up in worker.ups] == ["old", "new"]
    with pytest.raises(Unavailable):
        await call
    assert not worker.server.reply(peer, 1, b"")
    assert worker.server.undelivered == 1
    with pytest.raises(Unavailable):
        await worker.server.call(peer, "m", [], 5.0)
    old.say(hello(incarnation="old"), request())
    await eventually(lambda: worker.server.refusals.counts["replaced life"] == 2)
    new.say(request())
    await eventually(lambda: worker.requests)
    assert worker.server.peers["connector-1"].incarnation == "new"


async def test_a_life_that_ended_before_a_newer_one_came_stays_ended(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    """It was silent for long, and what it said at last is read after its successor's Hello."""
    expected_logs("zchat.cluster", "replaced life from b'connector-1/old'")
    clock = Clock()
    worker = cluster.worker(clock=clock)
    old = await bare_dealer(cluster, worker, b"connector-1/old")
    for _ in range(8):  # in small steps: a long one would be our own sleep
        clock.now += 0.5
        worker.server.tick(clock())
    assert [lost.incarnation for lost in worker.losses] == ["old"]
    await bare_dealer(cluster, worker, b"connector-1/new")
    old.say(hello(incarnation="old"))
    await eventually(lambda: worker.server.refusals.counts["replaced life"] == 1)
    assert worker.server.peers["connector-1"].incarnation == "new"


async def test_the_list_of_replaced_lives_is_bounded(cluster: Cluster) -> None:
    worker = cluster.worker(limits=Limits(peers=3))
    for number in range(6):
        await bare_dealer(cluster, worker, b"connector-1/%d" % number)
    await bare_dealer(cluster, worker, b"connector-1/0")
    assert worker.server.peers["connector-1"].incarnation == "0"


async def test_a_peer_that_was_killed_is_noticed_by_its_link(cluster: Cluster) -> None:
    """Not by its silence alone: after 1.5 intervals it is probed, and libzmq has no link."""
    clock = Clock()
    worker, frontend = await cluster.pair(clock=clock)
    frontend.kill()

    def probed() -> bool:
        clock.now += 0.2
        worker.server.tick(clock())
        return bool(worker.losses)

    started = clock()
    await eventually(probed)
    assert clock() - started < 3.0
    assert worker.server.unreachable == 1
    assert worker.server.peers == {}


async def test_the_last_words_of_a_life_are_no_strangers(cluster: Cluster) -> None:
    """A write meets the end of a link before all was read: they are refused without a line."""
    worker = cluster.worker()
    dealer = await bare_dealer(cluster, worker)
    dealer.say(request(), Cast("m", b""))
    dealer.socket.close(linger=int(PATIENCE * 1000))
    deadline = time.monotonic() + PATIENCE
    while not worker.losses:  # the loop stands still, so that nothing is read meanwhile
        assert time.monotonic() < deadline
        worker.server.cast(worker.ups[0], "still there?", [])
        worker.server._flush()
    await eventually(lambda: worker.server.refusals.counts == {"last words": 2})
    assert (len(worker.losses), worker.requests) == (1, [])
    again = await bare_dealer(cluster, worker)
    again.say(request())
    await eventually(lambda: worker.requests)


async def test_a_silent_peer_is_lost(cluster: Cluster) -> None:
    clock = Clock()
    worker = cluster.worker(clock=clock)
    dealer = await bare_dealer(cluster, worker)
    for _ in range(6):
        clock.now += 0.5
        worker.server.tick(clock())
        await asyncio.sleep(0)
    assert worker.losses == []
    clock.now += 0.5
    worker.server.tick(clock())
    assert [peer.server_id for peer in worker.losses] == ["connector-1"]
    assert Ping(0) in await dealer.envelopes()
    dealer.say(hello())
    await eventually(lambda: len(worker.ups) == 2)
    assert worker.ups[0] is not worker.ups[1]


async def test_our_own_sleep_is_not_held_against_the_peers(cluster: Cluster) -> None:
    clock = Clock()
    worker, _ = await cluster.pair(clock=clock)
    clock.now += 60.0
    worker.server.tick(clock())
    assert worker.losses == []


async def test_a_new_link_takes_over_the_routing_id(cluster: Cluster) -> None:
    """The old link is still open for us when the same life comes back on a new one."""
    worker = cluster.worker()
    wall = Wall(worker.address)
    address = await wall.listen()
    first = Bare(cluster, zmq.DEALER, routing_id=b"connector-1/life", reconnect_ivl=-1)
    first.socket.connect(address)
    first.say(hello())
    await first.envelopes()
    wall.frozen = True
    second = await bare_dealer(cluster, worker)
    assert len(worker.ups) == 2
    assert worker.losses == []
    worker.on_request = worker.echo
    second.say(request())
    assert await second.envelopes() == [Reply(1, b"body")]
    await wall.close()


async def test_a_frontend_that_was_frozen_comes_back(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    """Lost for its silence while its link held: the answer to its next word makes it say Hello."""
    expected_logs("zchat.cluster", "no Hello")
    clock = Clock()
    worker = cluster.worker(clock=clock)
    frontend = cluster.frontend(worker.address)
    await up(frontend)
    for _ in range(8):
        clock.now += 0.5
        worker.server.tick(clock())
    await eventually(lambda: worker.losses)
    worker.on_request = worker.echo
    frontend.request()
    await eventually(lambda: len(worker.ups) == 2)
    await eventually(lambda: frontend.client.peers["chat-1"].state is UP)  # its Welcome is in
    frontend.request(b"heard")
    await eventually(lambda: frontend.answers)


async def test_calls_to_a_peer_time_out_and_are_bounded(cluster: Cluster) -> None:
    cluster.ticking()
    worker = cluster.worker(limits=Limits(queue_bytes=1000))
    dealer = await bare_dealer(cluster, worker)
    (peer,) = worker.ups
    with pytest.raises(RequestError) as late:
        await worker.server.call(peer, "m", [], 100 * MS)
    assert late.value.body() == {
        "code": 504,
        "error": "no answer in time from connector-1",
        "outcome": "unknown",
    }
    with pytest.raises(Unavailable, match="too much is waiting"):
        await worker.server.call(peer, "m", [bytes(2000)], 1.0)
    assert peer.pipe.refused == 1
    (call,) = await dealer.envelopes()
    assert isinstance(call, Call)
    dealer.say(Reply(call.id, pack(1)))
    await eventually(lambda: peer.pipe.late == 1)
    before = worker.server.counters
    assert (before["pipe_refused"], before["pipe_late"], before["router_refused"]) == (1, 1, 0)
    worker.server.close()
    assert worker.server.counters == before


async def test_a_peer_that_does_not_read_stalls_nobody_else(cluster: Cluster) -> None:
    """Its answers wait in its own bounded queue, then are dropped and counted."""
    worker = cluster.worker(limits=Limits(queue_bytes=2_000_000, batch_bytes=10_000))
    slow = await bare_dealer(cluster, worker, b"connector-1/life", rcvhwm=1, rcvbuf=4096)
    quick = await bare_dealer(cluster, worker, b"connector-2/life")
    peer, other = worker.ups
    number = 0
    while peer.pipe.dropped < 5:
        for _ in range(20):
            number += 1
            worker.server.cast(peer, f"{number}", [bytes(9_000)])
        assert worker.server.cast(other, "quick", [number])
        await asyncio.sleep(0)
        assert number < 20_000
    assert peer.queued_bytes <= 2_000_000
    await quick.envelopes()
    got: list[int] = []
    dropped = peer.pipe.dropped

    def reads() -> bool:
        while slow.socket.poll(0):
            got.extend(int(envelope.method) for envelope in decode_casts(slow.socket.recv()))
        return len(got) == number - dropped

    await eventually(reads)
    assert got == sorted(got)
    assert peer.queued_bytes == 0


def decode_casts(message: bytes) -> list[Cast]:
    return [envelope for envelope in decode(message) if isinstance(envelope, Cast)]


async def test_a_flush_that_eats_the_signal(cluster: Cluster) -> None:
    """What arrived between the loop's look at the FD and our send raises no signal any more."""
    worker = cluster.worker()
    dealer = await bare_dealer(cluster, worker)
    for number in range(1, 6):
        in_one_turn(lambda: dealer.say(Cast("m", b"")))
        worker.server.cast(worker.ups[0], "push", [])
        await dealer.envelopes()
        await eventually(lambda: len(worker.casts) == number)  # noqa: B023


# Binding and closing


async def test_a_taken_port(cluster: Cluster) -> None:
    worker = cluster.worker()
    other = RpcServer(cluster.context(), LocalServer("chat-2", "chat", "life"))
    with pytest.raises(OSError, match=f"cannot bind {worker.address}"):
        other.bind(worker.address)
    assert other.bind(LOCAL) != worker.address
    other.close()


async def test_an_open_address_without_keys(cluster: Cluster) -> None:
    server = RpcServer(cluster.context(), LocalServer("chat-2", "chat", "life"))
    with pytest.raises(ConfigError, match="reachable by other machines"):
        server.bind("tcp://0.0.0.0:0")


async def test_closing_twice_and_from_a_handler(cluster: Cluster) -> None:
    worker = cluster.worker()
    dealer = await bare_dealer(cluster, worker)
    worker.on_request = lambda peer, _: worker.server.close()
    dealer.say(request(1), request(2), Cast("m", b""))
    dealer.say(request(3))
    await eventually(lambda: worker.requests)
    await asyncio.sleep(0)
    worker.server.close()
    assert [heard.id for _, heard in worker.requests] == [1]
    assert worker.casts == []
    assert worker.losses == []
