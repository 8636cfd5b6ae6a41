"""The connecting side against real workers, bare ROUTERs and broken links."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cluster.harness import Bare, Clock, Cluster, Frontend, Wall, in_one_turn, life, up
from tests.support.leaks import open_files
from tests.support.logs import ExpectedLogs
from tests.support.timing import MS, PATIENCE, eventually
from zchat.cluster.envelope import (
    IDEMPOTENT,
    NOTIFY,
    PROTOCOL,
    Answer,
    Call,
    Cast,
    Envelope,
    Failure,
    Hello,
    Ping,
    Reply,
    Request,
    Stranger,
    Welcome,
    pack,
    unpack,
)
from zchat.cluster.limits import Limits
from zchat.cluster.peer import CONNECTING, LOST, UP, PeerState
from zchat.cluster.rpc_client import RpcClient
from zchat.errors import RequestError, TimedOut, Unavailable

BRISK = Limits(liveness_interval=100 * MS)


def welcome(incarnation: str = "life", server_id: str = "chat-1", generation: int = 0) -> Welcome:
    return Welcome(PROTOCOL, server_id, "chat", incarnation, generation)


def state_of(frontend: Frontend) -> PeerState:
    return frontend.client.peers["chat-1"].state


async def bare_router(cluster: Cluster, frontend: Frontend) -> tuple[Bare, bytes]:
    """A bare ROUTER that said Welcome, and the routing id of the frontend."""
    router = Bare(cluster, zmq.ROUTER)
    frontend.client.connect("chat-1", router.bind())
    routing_id, _ = await router.receive()
    router.say(welcome(), to=routing_id)
    await up(frontend)
    return router, routing_id


async def test_request_and_reply(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()
    worker.on_request = worker.echo
    number = frontend.request(b"hello")
    await eventually(lambda: frontend.answers)
    assert frontend.answers == [Reply(number, b"hello")]
    _, request = worker.requests[0]
    assert (request.route, request.session) == ("chat.chatHandler.send", b"session")
    assert frontend.client.peers["chat-1"].queued_bytes == 0


async def test_hello_comes_first_and_names_us(cluster: Cluster) -> None:
    router = Bare(cluster, zmq.ROUTER)
    frontend = cluster.frontend(router.bind(), incarnation="00ff00ff00ff00ff")
    frontend.request(b"early")
    routing_id, _ = frames = await router.receive()
    assert frames[0] == b"connector-1/00ff00ff00ff00ff"
    router.say(welcome(), to=routing_id)
    (request,) = await router.envelopes()
    assert isinstance(request, Request)
    assert request.body == b"early"


async def test_one_turn_is_one_message(cluster: Cluster) -> None:
    frontend = cluster.frontend()
    router, _ = await bare_router(cluster, frontend)
    for number in range(100):
        frontend.request(b"%d" % number)
    frontend.client.cast("chat-1", "method", [1])
    batch = await router.envelopes()
    assert len(batch) == 101
    requests = [envelope for envelope in batch if isinstance(envelope, Request)]
    assert [request.body for request in requests] == [b"%d" % n for n in range(100)]
    assert batch[100] == Cast("method", pack([1]))


async def test_a_batch_is_cut_at_its_size(cluster: Cluster) -> None:
    frontend = cluster.frontend(limits=Limits(batch_bytes=10_000))
    router, _ = await bare_router(cluster, frontend)
    for _ in range(20):
        frontend.request(bytes(1000))
    sizes = [len(await router.envelopes()) for _ in range(3)]
    assert sizes == [9, 9, 2]


async def test_call_and_failures(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()

    def answer(peer: Any, call: Any) -> None:
        if call.method == "add":
            worker.server.reply(peer, call.id, pack(sum(unpack(call.args))))
        elif call.method == "refuse":
            worker.server.fail(peer, call.id, 409, "taken", name="Ann", code_of="x")
        elif call.method == "garbled":
            worker.server.reply(peer, call.id, b"\xc1")
        else:
            raise RuntimeError("no such method")

    worker.on_call = answer
    call = frontend.client.call
    assert await call("chat-1", "add", [1, 2, 3], 5.0, b"origin") == 6
    assert worker.calls[0][1].origin == b"origin"
    with pytest.raises(RequestError) as refused:
        await call("chat-1", "refuse", [], 5.0)
    assert refused.value.body() == {"code": 409, "error": "taken", "name": "Ann", "code_of": "x"}
    with pytest.raises(RequestError, match="unreadable result of garbled"):
        await call("chat-1", "garbled", [], 5.0)
    with pytest.raises(Unavailable, match="no server chat-9"):
        await call("chat-9", "add", [], 5.0)
    with pytest.raises(TypeError):
        await call("chat-1", "add", object(), 5.0)


async def test_a_fault_of_the_callee_is_a_500_without_detail(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "handler failed")
    expected_logs("zchat.cluster", "request 2 of .* failed")
    worker, frontend = await cluster.pair()

    def fault(*_: object) -> None:
        raise RuntimeError("secret")

    worker.on_call = worker.on_request = fault
    with pytest.raises(RequestError) as failed:
        await frontend.client.call("chat-1", "any", [], 5.0)
    assert failed.value.body() == {"code": 500, "error": "internal error"}
    frontend.request()
    await eventually(lambda: frontend.answers)
    assert frontend.answers == [Failure(2, 500, "internal error", {})]


async def test_a_cancelled_call_leaves_nothing(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()
    task = asyncio.create_task(frontend.client.call("chat-1", "slow", [], 5.0))
    await eventually(lambda: worker.calls)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    peer, call = worker.calls[0]
    assert frontend.client.peers["chat-1"].queued_bytes == 0
    worker.server.reply(peer, call.id, pack(None))
    await eventually(lambda: frontend.client.peers["chat-1"].pipe.late == 1)


async def test_calls_come_the_other_way_too(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()

    def answer(peer: Any, call: Any) -> None:
        if call.method == "refuse":
            frontend.client.fail(peer, call.id, 404, "nobody", uid="Ann")
        else:
            frontend.client.reply(peer, call.id, pack([call.method, unpack(call.args)]))

    frontend.on_call = answer
    (remote,) = worker.server.peers.values()
    assert await worker.server.call(remote, "join", {"room": "1"}, 5.0) == ["join", {"room": "1"}]
    with pytest.raises(RequestError) as refused:
        await worker.server.call(remote, "refuse", {}, 5.0)
    assert refused.value.body() == {"code": 404, "error": "nobody", "uid": "Ann"}


async def test_casts_both_ways(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()
    (remote,) = worker.server.peers.values()
    assert worker.server.cast(remote, "push", ["a"])
    assert frontend.client.cast("chat-1", "left", ["b"])
    await eventually(lambda: frontend.casts and worker.casts)
    assert frontend.casts[0][1] == Cast("push", pack(["a"]))
    assert worker.casts[0][1] == Cast("left", pack(["b"]))
    assert not frontend.client.cast("chat-9", "left", [])


async def test_a_cast_to_a_peer_that_is_away_is_dropped(cluster: Cluster) -> None:
    frontend = cluster.frontend("tcp://127.0.0.1:1")
    assert state_of(frontend) is CONNECTING
    assert not frontend.client.cast("chat-1", "left", [])
    assert frontend.client.peers["chat-1"].pipe.dropped == 1


async def test_a_notify_holds_nothing_once_written(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()
    frontend.request(kind=NOTIFY)
    await eventually(lambda: worker.requests)
    assert frontend.client.peers["chat-1"].queued_bytes == 0
    assert frontend.answers == []


async def test_generations_are_heard(cluster: Cluster) -> None:
    cluster.ticking()
    worker, frontend = await cluster.pair(limits=BRISK)
    frontend.client.generation = 7
    await eventually(lambda: worker.generations == [7])
    worker.server.generation = 8
    await eventually(lambda: frontend.generations == [8])
    assert frontend.client.peers["chat-1"].generation == 8


# Deadlines


async def test_the_budget_travels_and_shrinks_while_it_waits(cluster: Cluster) -> None:
    clock = Clock()
    frontend = cluster.frontend(clock=clock)
    router = Bare(cluster, zmq.ROUTER)
    frontend.client.connect("chat-1", router.bind())
    frontend.request(budget=5.0)
    routing_id, _ = await router.receive()
    clock.now += 2.0
    router.say(welcome(), to=routing_id)
    (request,) = await router.envelopes()
    assert isinstance(request, Request)
    assert request.budget_ms == 3000


async def test_never_written_within_its_budget(cluster: Cluster) -> None:
    clock = Clock()
    frontend = cluster.frontend("tcp://127.0.0.1:1", clock=clock)
    number = frontend.request(budget=1.0)
    frontend.client.tick(clock() + 0.5)
    assert frontend.answers == []
    frontend.client.tick(clock() + 1.2)
    text = "could not reach chat-1"
    assert frontend.answers == [Failure(number, 503, text, {"retry": True})]
    assert frontend.client.peers["chat-1"].queued_bytes == 0
    assert not frontend.client.peers["chat-1"].pipe.waiting


async def test_written_and_never_answered(cluster: Cluster) -> None:
    clock = Clock()
    worker, frontend = await cluster.pair(clock=clock)
    number = frontend.request(budget=1.0)
    await eventually(lambda: worker.requests)
    clock.now += 1.2
    frontend.client.tick(clock())
    text = "no answer in time from chat-1"
    assert frontend.answers == [Failure(number, 504, text, {"outcome": "unknown"})]
    worker.echo(*worker.requests[0])
    await eventually(lambda: frontend.client.peers["chat-1"].pipe.late == 1)
    assert len(frontend.answers) == 1


async def test_a_call_that_is_not_answered_times_out(cluster: Cluster) -> None:
    cluster.ticking()
    _, frontend = await cluster.pair()
    with pytest.raises(TimedOut):
        await frontend.client.call("chat-1", "slow", [], 200 * MS)


# Bounds


async def test_a_full_pipe_answers_at_once(cluster: Cluster) -> None:
    frontend = cluster.frontend("tcp://127.0.0.1:1", limits=Limits(queue_bytes=10_000))
    for _ in range(9):
        frontend.request(bytes(1000))
    assert frontend.answers == []
    number = frontend.request(bytes(1000))
    text = "too much is waiting for chat-1"
    assert frontend.answers == [Failure(number, 503, text, {"retry": True})]
    peer = frontend.client.peers["chat-1"]
    assert peer.pipe.refused == 1
    assert peer.queued_bytes <= 10_000
    frontend.request(bytes(100))
    assert len(frontend.answers) == 1


async def test_unanswered_requests_count_too(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair(limits=Limits(queue_bytes=10_000))
    for _ in range(9):
        frontend.request(bytes(1000))
    await eventually(lambda: len(worker.requests) == 9)
    frontend.request(bytes(1000))
    assert [type(answer) for answer in frontend.answers] == [Failure]
    worker.echo(*worker.requests[0])
    await eventually(lambda: len(frontend.answers) == 2)
    frontend.request(bytes(1000))
    assert len(frontend.answers) == 2


async def test_what_a_peer_begins_later_is_bounded_in_bytes_only(cluster: Cluster) -> None:
    """A restart lasts for seconds: so many requests wait for it that a live peer would not get."""
    frontend = cluster.frontend(limits=Limits(requests=2))
    router, routing_id = await bare_router(cluster, frontend)
    client, peer = frontend.client, frontend.client.peers["chat-1"]

    def refused() -> bool:
        before = peer.pipe.refused
        frontend.request(kind=IDEMPOTENT)
        return peer.pipe.refused > before

    assert [refused() for _ in range(3)] == [False, False, True]
    client.hear_stopping("chat-2", "life")
    client.hear_stopping("chat-1", "another life")
    assert refused()
    client.hear_stopping("chat-1", "life")
    assert not refused()
    router.say(Stranger(), to=routing_id)
    await eventually(lambda: peer.state is LOST)
    assert not refused()
    router.say(welcome(), to=routing_id)
    await up(frontend)
    assert not refused()
    router.say(welcome("next life"), to=routing_id)
    await eventually(lambda: peer.incarnation == "next life")
    assert refused()
    router.socket.close()
    await eventually(lambda: peer.state is LOST)
    assert not refused()
    assert peer.pipe.unanswered == 6


async def test_the_log_says_every_ten_seconds_what_was_refused(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    expected_logs(
        "zchat.cluster", "^[21] requests refused: 0 unanswered, 0 bytes wait for other servers"
    )
    frontend = cluster.frontend("tcp://127.0.0.1:1", limits=Limits(queue_bytes=10))
    lines = []
    now = asyncio.get_running_loop().time()
    for passed, asked in ((0.0, 0), (0.1, 2), (0.2, 1), (10.0, 0), (10.2, 0), (30.0, 0)):
        for _ in range(asked):
            frontend.request(bytes(1000))
        frontend.client.tick(now + passed)
        lines.append(len(expected_logs.records))
    assert lines == [0, 1, 1, 1, 2, 2]


async def test_a_peer_that_does_not_read_is_bounded(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    """Behind a frozen link the pipe fills up, answers 503, and gets on when the link thaws."""
    expected_logs(
        "zchat.cluster", ". requests refused: .* unanswered, .* bytes wait for other servers"
    )
    worker = cluster.worker()
    wall = Wall(worker.address)
    frontend = cluster.frontend(await wall.listen(), limits=Limits(queue_bytes=4_000_000))
    await up(frontend)
    worker.on_request = worker.echo
    wall.frozen = True
    for _ in range(100):
        frontend.request(bytes(50_000), budget=60.0)
        await asyncio.sleep(0)
    peer = frontend.client.peers["chat-1"]
    refused = len(frontend.answers)
    assert refused == peer.pipe.refused > 10
    assert peer.queued_bytes <= 4_000_000
    wall.cut()
    wall.frozen = False
    cluster.ticking()
    await up(frontend)
    await wall.close()


async def test_an_unknown_peer(cluster: Cluster) -> None:
    frontend = cluster.frontend()
    number = frontend.request()
    assert frontend.answers == [Failure(number, 503, "no server chat-1", {"retry": True})]


# Lives and links


async def test_a_restart_sends_idempotent_requests_again(cluster: Cluster) -> None:
    first, frontend = await cluster.pair()
    once = frontend.request(b"once")
    again = frontend.request(b"again", kind=IDEMPOTENT)
    call = asyncio.create_task(frontend.client.call("chat-1", "read", [], 10.0, idempotent=True))
    await eventually(lambda: len(first.requests) == 2 and first.calls)
    first.kill()
    await eventually(lambda: state_of(frontend) is LOST)
    later = frontend.request(b"later")
    second = cluster.worker(first.address)
    second.on_request = second.echo

    def answer(peer: Any, call: Call) -> None:
        second.server.reply(peer, call.id, pack("new"))

    second.on_call = answer
    await eventually(lambda: len(frontend.answers) == 3)
    lost = {"retry": False, "outcome": "unknown"}
    assert frontend.answers == [
        Failure(once, 503, "lost the link to chat-1", lost),
        Reply(again, b"again"),
        Reply(later, b"later"),
    ]
    assert [request.body for _, request in second.requests] == [b"again", b"later"]
    assert await call == "new"
    assert frontend.losses == ["chat-1"]
    assert len(set(frontend.ups)) == 2
    assert frontend.client.peers["chat-1"].pipe.resent == 2


async def test_a_broken_link_to_the_same_life(cluster: Cluster) -> None:
    """What was written may still be under way there: only what is idempotent is repeated."""
    clock = Clock()
    worker = cluster.worker()
    wall = Wall(worker.address)
    frontend = cluster.frontend(await wall.listen(), clock=clock)
    await up(frontend)
    once = frontend.request(b"once", budget=5.0)
    again = frontend.request(b"again", budget=5.0, kind=IDEMPOTENT)
    await eventually(lambda: len(worker.requests) == 2)
    wall.cut()
    await eventually(lambda: frontend.losses == ["chat-1"])
    await up(frontend)
    await eventually(lambda: len(worker.requests) == 3)
    assert worker.requests[2][1].body == b"again"
    assert worker.losses == []
    assert len(worker.ups) == 2
    assert worker.ups[0] is worker.ups[1]
    for peer, request in worker.requests[1:]:
        worker.echo(peer, request)
    await eventually(lambda: frontend.answers == [Reply(again, b"again")])
    assert frontend.client.peers["chat-1"].pipe.unanswered == 1
    worker.echo(*worker.requests[0])
    await eventually(lambda: frontend.answers[1:] == [Reply(once, b"once")])
    await wall.close()


async def test_a_frozen_peer_is_lost_and_found(cluster: Cluster) -> None:
    """Nothing breaks, nothing is heard: only the silence shows it."""
    clock = Clock()
    frontend = cluster.frontend(clock=clock)
    router, routing_id = await bare_router(cluster, frontend)
    number = frontend.request(b"again", budget=60.0, kind=IDEMPOTENT)
    frontend.request(b"once", budget=4.0)
    assert len(await router.envelopes()) == 2
    for _ in range(7):
        clock.now += 0.5
        frontend.client.tick(clock())
    assert frontend.losses == ["chat-1"]
    assert frontend.answers == []
    for _ in range(2):
        clock.now += 0.5
        frontend.client.tick(clock())
    lost = {"retry": False, "outcome": "unknown"}
    assert frontend.answers == [Failure(2, 503, "lost the link to chat-1", lost)]
    router.say(welcome("life"), to=routing_id)
    await up(frontend)
    messages: list[Envelope] = []
    while not any(isinstance(envelope, Request) for envelope in messages):
        messages += await router.envelopes()
    assert [envelope.id for envelope in messages if isinstance(envelope, Request)] == [number]
    assert {type(envelope) for envelope in messages} == {Ping, Hello, Request}


async def test_any_traffic_counts_as_life(cluster: Cluster) -> None:
    clock = Clock()
    frontend = cluster.frontend(clock=clock)
    router, routing_id = await bare_router(cluster, frontend)
    for number in range(10):
        router.say(Cast("m", b""), to=routing_id)
        await eventually(lambda: len(frontend.casts) == number + 1)  # noqa: B023
        clock.now += 0.9
        frontend.client.tick(clock())
    assert frontend.losses == []


async def test_our_own_sleep_is_not_held_against_the_peer(cluster: Cluster) -> None:
    clock = Clock()
    _, frontend = await cluster.pair(clock=clock)
    clock.now += 60.0
    frontend.client.tick(clock())
    assert state_of(frontend) is UP


async def test_a_peer_that_is_gone_for_good(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()
    number = frontend.request(kind=IDEMPOTENT)
    await eventually(lambda: worker.requests)
    call = asyncio.create_task(frontend.client.call("chat-1", "read", [], 5.0))
    await asyncio.sleep(0)
    frontend.client.disconnect("chat-1")
    lost = {"retry": False, "outcome": "unknown"}
    assert frontend.answers == [Failure(number, 503, "lost the link to chat-1", lost)]
    with pytest.raises(Unavailable):
        await call
    assert frontend.losses == []
    frontend.client.disconnect("chat-1")


async def test_who_fails_for_good_is_no_peer_any_more(cluster: Cluster) -> None:
    """What asks again elsewhere must be able to tell this from a lost link."""
    frontend = cluster.frontend("tcp://127.0.0.1:1")
    peers: list[list[str]] = []

    def failed(answer: Answer) -> None:
        peers.append(list(frontend.client.peers))

    frontend.client.request("chat-1", "a.b.c", b"", b"", 5.0, IDEMPOTENT, failed)
    frontend.client.disconnect("chat-1")
    frontend.client.request("chat-1", "a.b.c", b"", b"", 5.0, IDEMPOTENT, failed)
    assert peers == [[], []]


async def test_counters_outlive_their_peers(cluster: Cluster) -> None:
    frontend = cluster.frontend("tcp://127.0.0.1:1", limits=Limits(queue_bytes=1000))
    frontend.request(bytes(2000))
    frontend.client.cast("chat-1", "m", [])
    before = frontend.client.counters
    assert (before["pipe_refused"], before["pipe_dropped"], before["dealer_refused"]) == (1, 1, 0)
    frontend.client.disconnect("chat-1")
    assert frontend.client.counters == before


async def test_another_address_for_a_known_peer(cluster: Cluster) -> None:
    _, frontend = await cluster.pair()
    other = cluster.worker()
    old = frontend.client.peers["chat-1"]
    assert frontend.client.connect("chat-1", old.address) is old
    assert frontend.client.connect("chat-1", other.address) is not old
    await up(frontend)
    assert len(other.ups) == 1


async def test_a_link_made_anew_while_we_were_busy_begins_with_hello(cluster: Cluster) -> None:
    """A loop that stands still learns of neither the loss nor the new link before it writes."""
    worker, frontend = await cluster.pair()
    worker.kill()
    router = Bare(cluster, zmq.ROUTER)
    made = router.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    router.socket.bind(worker.address)
    limit = int(PATIENCE * 1000)
    assert made.poll(limit)
    assert frontend.client.peers["chat-1"].dealer._socket.poll(limit, zmq.POLLOUT)
    assert state_of(frontend) is UP
    number = frontend.request(kind=IDEMPOTENT)
    (hello,) = await router.envelopes()
    assert isinstance(hello, Hello)
    assert frontend.losses == ["chat-1"]
    router.say(welcome(), to=frontend.client._local.routing_id)
    (request,) = await router.envelopes()
    assert isinstance(request, Request)
    assert request.id == number


async def test_a_stranger_says_hello_again(cluster: Cluster) -> None:
    frontend = cluster.frontend()
    router, routing_id = await bare_router(cluster, frontend)
    router.say(Stranger(), to=routing_id)
    (hello,) = await router.envelopes()
    assert isinstance(hello, Hello)


async def test_who_was_forgotten_begins_anew(cluster: Cluster) -> None:
    """The peer has given this life of us up: what it knew of us must be told again."""
    frontend = cluster.frontend()
    router, routing_id = await bare_router(cluster, frontend)
    router.say(Stranger(), Stranger(), to=routing_id)
    await router.envelopes()
    assert frontend.losses == ["chat-1"]
    router.say(welcome("life"), welcome("life"), to=routing_id)
    await eventually(lambda: frontend.ups == ["life", "life"])
    assert frontend.losses == ["chat-1"]


async def test_a_restart_that_was_not_seen(cluster: Cluster) -> None:
    """A Welcome of another life while UP: the loss is told before the new life."""
    frontend = cluster.frontend()
    router, routing_id = await bare_router(cluster, frontend)
    number = frontend.request()
    await router.envelopes()
    router.say(welcome("other"), to=routing_id)
    await eventually(lambda: frontend.ups == ["life", "other"])
    assert frontend.losses == ["chat-1"]
    assert [answer.id for answer in frontend.answers] == [number]
    router.say(welcome("other"), to=routing_id)
    router.say(Reply(number, b""), to=routing_id)
    await eventually(lambda: frontend.client.peers["chat-1"].pipe.late == 1)
    assert len(frontend.ups) == 2


# Hostile peers


async def test_another_server_than_expected(cluster: Cluster, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "wrong server from 'chat-1' chat-2")
    router = Bare(cluster, zmq.ROUTER)
    frontend = cluster.frontend(router.bind())
    routing_id, _ = await router.receive()
    router.say(welcome(server_id="chat-2"), to=routing_id)
    await eventually(lambda: frontend.client.refusals.counts["wrong server"] == 1)
    assert state_of(frontend) is CONNECTING


async def test_misplaced_and_unreadable_envelopes(
    cluster: Cluster, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "DEALER of connector-1 refused 1 envelope")
    frontend = cluster.frontend()
    router, routing_id = await bare_router(cluster, frontend)
    router.say(Request(1, "r", b"", b"", 1, 0), Cast("after", b""), to=routing_id)
    router.socket.send_multipart([routing_id, b"\x01\xc1"])
    router.socket.send_multipart([routing_id, b"\x02\x90"])
    router.socket.send_multipart([routing_id, b"\x01\x92\x92\x07\x01\x93\x07\xa1m\xc4\x00"])
    router.socket.send_multipart([routing_id, b"", b"\x01\x90", b"\x01\x91\x01"])
    await eventually(lambda: frontend.client.refusals.counts["unreadable"] == 5)
    assert frontend.client.refusals.counts["misplaced"] == 1
    assert [cast.method for _, cast in frontend.casts] == ["after", "m"]
    number = frontend.request()
    (request,) = await router.envelopes()
    assert isinstance(request, Request)
    assert request.id == number


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.lists(st.binary(max_size=60) | st.binary(max_size=60).map(b"\x01".__add__)))
def test_any_bytes_at_a_dealer(junk: list[bytes], expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "DEALER of connector-1 refused")
    asyncio.run(_junk_at_a_dealer(junk))


async def _junk_at_a_dealer(junk: list[bytes]) -> None:
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    cluster = Cluster()
    frontend = cluster.frontend()
    router, routing_id = await bare_router(cluster, frontend)
    router.socket.send_multipart([routing_id, *junk, b""])
    router.say(Cast("after the junk", b""), to=routing_id)
    await eventually(lambda: any(c.method == "after the junk" for _, c in frontend.casts))
    assert faults == []
    await cluster.close()


async def test_a_handler_may_disconnect_in_the_middle_of_a_batch(cluster: Cluster) -> None:
    frontend = cluster.frontend()
    router, routing_id = await bare_router(cluster, frontend)
    frontend.on_call = lambda peer, call: frontend.client.disconnect("chat-1")
    router.say(Call(1, "m", b"", 1, b""), Cast("m", b""), welcome("other"), to=routing_id)
    await eventually(lambda: frontend.calls)
    assert frontend.casts == []
    assert frontend.client.peers == {}
    assert frontend.ups == ["life"]


async def test_a_fault_in_taking_an_answer(cluster: Cluster, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "answer 1 of chat-1 could not be taken")
    worker, frontend = await cluster.pair()
    worker.on_request = worker.echo

    def fault(answer: Answer) -> None:
        raise RuntimeError("broken")

    frontend.client.request("chat-1", "r", b"", b"", 5.0, 0, fault)
    number = frontend.request(b"next")
    await eventually(lambda: frontend.answers == [Reply(number, b"next")])


# Traffic


async def test_two_way_traffic_never_stalls(cluster: Cluster) -> None:
    """The FD tells of changes only: 10,000 requests, each sent while answers come in."""
    worker, frontend = await cluster.pair()
    worker.on_request = worker.echo
    total = 10_000
    sent = 0

    def next_request(answer: Answer) -> None:
        nonlocal sent
        frontend.answers.append(answer)
        if sent < total:
            sent += 1
            frontend.client.request("chat-1", "r", b"", b"x", 30.0, 0, next_request)

    for _ in range(20):
        sent += 1
        frontend.client.request("chat-1", "r", b"", b"x", 30.0, 0, next_request)
    await eventually(lambda: len(frontend.answers) == total, 20_000 * MS)
    assert all(isinstance(answer, Reply) for answer in frontend.answers)


async def test_a_flush_that_eats_the_signal(cluster: Cluster) -> None:
    """What arrived between the loop's look at the FD and our send raises no signal any more."""
    frontend = cluster.frontend()
    router, routing_id = await bare_router(cluster, frontend)
    for number in range(1, 6):
        in_one_turn(lambda: router.say(Cast("m", b""), to=routing_id))
        frontend.client.cast("chat-1", "m", [])
        await router.envelopes()
        await eventually(lambda: len(frontend.casts) == number)  # noqa: B023


async def test_order_is_kept(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair(limits=Limits(batch_bytes=500))
    for number in range(2000):
        frontend.request(b"%d" % number)
        if number % 7 == 0:
            await asyncio.sleep(0)
    await eventually(lambda: len(worker.requests) == 2000)
    assert [int(request.body) for _, request in worker.requests] == list(range(2000))


async def test_nothing_is_left_after_close(cluster: Cluster) -> None:
    gc.collect()
    before = len(open_files())
    for _ in range(3):
        worker, frontend = await cluster.pair()
        frontend.request()
        frontend.kill()
        frontend.kill()
        worker.kill()
        worker.kill()
    assert len(open_files()) == before


async def test_closing_writes_what_waits(cluster: Cluster) -> None:
    worker, frontend = await cluster.pair()
    frontend.client.cast("chat-1", "bye", [])
    frontend.kill()
    await eventually(lambda: worker.casts)


async def test_an_unused_client_is_closed_too(cluster: Cluster) -> None:
    client: RpcClient = cluster.frontend().client
    client.close()
    assert client.peers == {}
    assert life() != life()
