"""A chat worker from its peers' side: bare ZeroMQ sockets at its ROUTER and its XPUB."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.cluster.harness import Wall
from tests.support.bare import (
    CALL,
    CAST,
    FAILURE,
    HELLO,
    PING,
    PONG,
    PRESENCE,
    PUBLISHED,
    REPLY,
    REQUEST,
    STRANGER,
    VERSION,
    WELCOME,
    BareConnector,
    encode,
    token_of,
)
from tests.support.cluster import FAST, Cluster
from tests.support.logs import ExpectedLogs
from tests.support.processes import Processes
from tests.support.timing import MS, PATIENCE, eventually
from zchat.chat.app import app as chat
from zchat.cluster.publisher import Publisher
from zchat.config.servers import ServersFile, load
from zchat.config.topology import Server
from zchat.framework.server.running import Running

WORKER = "chat-server-1"
SEND = "chat.chatHandler.send"
NOTIFY = 1
"""The flag of a request without an answer."""

BEHIND = 20_000
"""By how many publications a subscriber that reads may be behind."""

POSITION = slice(4, 6)
"""Epoch and offset among the arguments of `hub.joined`."""

PATIENT = replace(FAST, cluster=replace(FAST.cluster, liveness_interval=20))
"""Bare sockets send no pings."""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """One worker; no connector is listed, so it waits for nobody's announce."""
    async with Cluster(tmp_path, {"chat": 1}, settings=PATIENT) as cluster:
        yield cluster


@pytest.fixture
def worker(cluster: Cluster) -> Running:
    return cluster.running[WORKER]


class Dial(Protocol):
    """Makes a BareConnector at the worker; it is closed after the test."""

    def __call__(self, *args: Any, **options: Any) -> BareConnector: ...


@pytest.fixture
def dial(worker: Running) -> Iterator[Dial]:
    with ExitStack() as stack:

        def dial(*args: Any, **options: Any) -> BareConnector:
            return stack.enter_context(BareConnector(worker.server, *args, **options))

        yield dial


@pytest.fixture
async def bare(dial: Dial) -> BareConnector:
    """A connector that the worker knows."""
    connector = dial()
    await connector.greet()
    return connector


def publisher(worker: Running) -> Publisher:
    """A worker's XPUB."""
    assert worker.owner is not None
    return worker.owner._publisher


def texts(frames: list[Any]) -> list[str]:
    """What was said in payloads from an XPUB."""
    return [said(item[0])["msg"] for frame in frames if frame[0] == PUBLISHED for item in frame[3]]


async def next_text(bare: BareConnector) -> str:
    """What is said next."""
    _, frame = await bare.publication(PUBLISHED)
    (text,) = texts([frame])
    return text


def said(package: bytes) -> dict[str, Any]:
    """The body of an onChat push, from the complete package of the clients' wire."""
    header, push = package[:4], package[4:]
    assert header == bytes([4]) + len(push).to_bytes(3, "big")
    assert push[:8] == b"\x06\x06onChat"
    body: dict[str, Any] = json.loads(push[8:])
    return body


async def is_fine(bare: BareConnector) -> None:
    """The worker still answers."""
    answer = await bare.answer(bare.ask("server.status"))
    assert answer[0] == REPLY
    assert msgspec.msgpack.decode(answer[2])["id"] == WORKER


# Links


async def test_hello_and_welcome(worker: Running, dial: Dial) -> None:
    bare = dial()
    life = worker.node.incarnation
    assert await bare.greet() == [WELCOME, 1, WORKER, "chat", life, 1]
    bare.tell([PING, 0])
    assert await bare.hear(lambda envelope: envelope[0] == PONG) == [PONG, 1]


async def test_who_says_no_hello_is_asked_for_it(dial: Dial, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "no Hello")
    bare = dial()
    number = bare.ask("server.status")
    assert await bare.hear(lambda envelope: True) == [STRANGER]
    await bare.greet()
    assert not any(envelope[:2] == [REPLY, number] for envelope in bare.heard)
    await is_fine(bare)


async def test_a_restart_is_noticed(
    cluster: Cluster, bare: BareConnector, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "no Hello")
    await bare.join("alice", "lobby")
    before = cluster.running[WORKER].node.incarnation
    await cluster.kill(WORKER)
    after = (await cluster.start(WORKER)).node.incarnation
    bare.tell([PING, 0])
    assert await bare.hear(lambda envelope: True) == [STRANGER]
    welcome = await bare.greet()
    assert welcome[4] == after != before
    joined = await bare.join("alice", "lobby")  # it knows nobody any more
    assert joined[POSITION][1] == 0


async def test_an_older_life_is_not_heard_any_more(
    worker: Running, bare: BareConnector, dial: Dial, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "replaced life")
    watcher = dial("connector-server-2")
    await watcher.greet()
    await watcher.join("bob", "lobby")
    await bare.join("alice", "lobby")
    newer = dial(incarnation="00000000000000a2")
    await newer.greet()
    bare.say("alice", "lobby", "from the dead")
    refused = worker.node.rpc_server.refusals.counts
    await eventually(lambda: refused["replaced life"] == 1)
    changes = [(await watcher.publication(PRESENCE))[1] for _ in range(3)]
    assert [change[3:5] for change in changes] == [["bob", True], ["alice", True], ["alice", False]]
    bare.listen()
    assert bare.heard == []
    await watcher.answer(watcher.say("bob", "lobby", "is she gone?"))
    assert await next_text(watcher) == "is she gone?"
    await is_fine(newer)


# Requests and calls


async def test_request_and_reply(bare: BareConnector) -> None:
    await bare.join("alice", "lobby")
    number = bare.say("alice", "lobby", "hello")
    replied, _, answer = await bare.answer(number)
    topic, (kind, epoch, first, items) = await bare.publication(PUBLISHED)
    assert (replied, json.loads(answer)) == (REPLY, {"epoch": epoch, "offset": 1})
    assert (topic, kind, first) == ("lobby", PUBLISHED, 1)
    ((package, audience),) = items
    assert audience is None
    body = said(package)
    assert (body["msg"], body["from"], body["target"]) == ("hello", "alice", "*")
    assert (body["epoch"], body["offset"]) == (epoch, 1)


async def test_a_batch_is_answered_in_a_batch(bare: BareConnector) -> None:
    session, body = bare.session("alice", "lobby"), b'{"content":"x","target":"*"}'
    bare.tell(*([REQUEST, number, SEND, session, body, 5000, 0, number] for number in range(50)))
    for number in range(50):
        kind, _, answer = await bare.answer(number)
        assert (kind, json.loads(answer)["offset"]) == (REPLY, number + 1)


async def test_a_notify_is_not_answered(bare: BareConnector) -> None:
    await bare.join("alice", "lobby")
    body = b'{"content":"psst","target":"*"}'
    bare.request(SEND, bare.session("alice", "lobby"), body, kind=NOTIFY)
    assert await next_text(bare) == "psst"
    await is_fine(bare)
    assert bare.heard == []


async def test_a_handlers_refusal_is_an_answer_too(bare: BareConnector) -> None:
    for body, code in ((b'{"target":"*"}', 400), (b'{"content":"x","target":"bob"}', 404)):
        number = bare.request(SEND, bare.session("alice", "lobby"), body)
        kind, _, answer = await bare.answer(number)
        assert kind == REPLY
        assert json.loads(answer)["code"] == code


async def test_no_time_left(bare: BareConnector) -> None:
    """What can be done at once may still be; nothing is waited for."""
    body = b'{"content":"x","target":"*"}'
    number = bare.request(SEND, bare.session("alice", "lobby"), body, budget=0)
    kind, _, answer = await bare.answer(number)
    assert kind == REPLY
    assert json.loads(answer)["code"] == 504
    ref = (bare.name, bare.incarnation, 1)
    number = bare.ask("remote.chat.chatRemote.add", "alice", ref, "lobby", {}, budget=0)
    assert (await bare.answer(number))[:3] == [FAILURE, number, 504]
    await is_fine(bare)


async def test_time_runs_out_while_it_waits(bare: BareConnector) -> None:
    """The token of this join never comes."""
    ref = (bare.name, bare.incarnation, 1)
    number = bare.ask("remote.chat.chatRemote.add", "alice", ref, "lobby", {}, budget=100)
    await bare.order("hub.join")
    answer = await bare.answer(number)
    assert answer[:3] == [FAILURE, number, 504]
    assert (await bare.order("hub.undo"))[:2] == [1, "lobby"]
    members = await bare.answer(bare.ask("channel.members", "lobby"))
    assert members[2] == encode([])


async def test_an_unknown_method(bare: BareConnector) -> None:
    number = bare.ask("channel.explode", "lobby")
    assert (await bare.answer(number))[:3] == [FAILURE, number, 500]
    number = bare.request("chat.chatHandler.__init__", bare.session("alice", "lobby"), b"{}")
    assert json.loads((await bare.answer(number))[2])["code"] == 500
    await is_fine(bare)


async def test_an_unknown_cast(bare: BareConnector, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "no cast")
    bare.tell([CAST, "channel.destroy", encode(["lobby"])])
    await is_fine(bare)


# Joins


async def test_the_order_of_a_join(bare: BareConnector) -> None:
    call = bare.enter("alice", "lobby")
    order = await bare.order("hub.join")
    assert order[:3] == [1, "lobby", "alice"]
    bare.subscribe("lobby")
    await is_fine(bare)
    assert bare.heard == []  # nobody is a member before the token
    bare.send_token(token_of(order))
    await eventually(lambda: len(bare.listen()) == 2)
    assert [envelope[:2] for envelope in bare.heard] == [[CAST, "hub.joined"], [REPLY, call]]
    assert msgspec.msgpack.decode(bare.heard[1][2])["users"] == ["alice"]
    assert (await bare.order("hub.joined"))[:3] == [1, "lobby", "alice"]


async def test_nothing_is_lost_right_after_a_join(bare: BareConnector, dial: Dial) -> None:
    speaker = dial("connector-server-2")
    await speaker.greet()
    for number in range(200):
        room = f"room{number}"
        call = bare.enter("alice", room)
        token = token_of(await bare.order("hub.join"))
        # Some of these come before the token and some after it.
        requests = [speaker.say("bob", room, f"{index}") for index in range(3)]
        bare.subscribe(room)
        bare.send_token(token)
        requests += [speaker.say("bob", room, f"{index}") for index in range(3, 6)]
        joined = await bare.order("hub.joined")
        requests.append(bare.say("alice", room, "6"))
        for request in requests[:-1]:
            assert (await speaker.answer(request))[0] == REPLY
        await bare.answer(requests[-1])
        _, since = joined[POSITION]
        heard: list[int] = []
        while not heard or heard[-1] < 7:
            topic, frame = await bare.publication(PUBLISHED)
            assert topic == room
            heard += range(frame[2], frame[2] + len(frame[3]))
        assert [offset for offset in heard if offset > since] == list(range(since + 1, 8))
        assert (await bare.answer(call))[0] == REPLY


@pytest.fixture
async def wall(tmp_path: Path) -> AsyncIterator[Wall]:
    """Before the publications of the worker in servers.json, which must have been written."""
    tree = json.loads((tmp_path / "config" / "servers.json").read_text())
    wall = Wall(f"tcp://127.0.0.1:{tree['development']['chat'][0]['pubPort']}")
    yield wall
    await wall.close()


async def test_a_token_that_was_lost_is_repeated(dial: Dial, wall: Wall) -> None:
    bare = dial(publications=await wall.listen(), xsub={"reconnect_ivl": 10})
    await bare.greet()
    await bare.join("alice", "lobby")
    call = bare.enter("alice", "den", 2)
    token = token_of(await bare.order("hub.join"))
    wall.frozen = True
    bare.subscribe("den")
    bare.send_token(token)
    await eventually(lambda: wall.swallowed > len(token))
    wall.cut()  # subscriptions libzmq says again by itself, tokens it does not
    wall.frozen = False
    async with asyncio.timeout(PATIENCE):
        while not texts(bare.publications()):  # the link is there when something comes
            await bare.answer(bare.say("alice", "lobby", "hello?"))
    assert bare.listen() == []
    bare.send_token(token)
    assert (await bare.order("hub.joined"))[:3] == [2, "den", "alice"]
    assert (await bare.answer(call))[0] == REPLY
    bare.say("alice", "den", "in here", 2)
    while await next_text(bare) != "in here":
        pass


async def test_a_connector_repeats_its_tokens(tmp_path: Path, links: Cluster, wall: Wall) -> None:
    """A real one, whose link to the publications breaks with the token under way."""
    await links.start(WORKER)
    servers = _servers_behind(tmp_path / "config" / "servers.json", await wall.listen())
    connector = Running(chat, servers, "connector-server-1", FAST, tmp_path)
    links.running["connector-server-1"] = connector
    await connector.start()
    assert connector.frontend is not None
    hub = connector.frontend.hub
    await links.settled()
    alice = await links.connect("alice", connector=0)
    wall.frozen = True
    entering = asyncio.create_task(alice.enter("lobby"))
    await eventually(lambda: hub.channels and wall.swallowed > len("lobby") + 20)
    wall.cut()
    wall.frozen = False
    assert await entering == ["alice"]
    await alice.say("hello")
    assert (await alice.expect("onChat"))["msg"] == "hello"


@pytest.fixture
async def links(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A worker and a connector, for the test to start."""
    async with AsyncExitStack() as stack:
        cluster = Cluster(tmp_path, {"connector": 1, "chat": 1})
        stack.push_async_exit(cluster)
        yield cluster


def _servers_behind(path: Path, address: str) -> ServersFile:
    """A servers.json in which the worker's publications are to be had at `address`."""
    tree = json.loads(path.read_text())
    tree["development"]["chat"][0]["pubPort"] = urlsplit(address).port
    other = path.with_name("behind.json")
    other.write_text(json.dumps(tree))
    return ServersFile(other, "development")


# What cannot be understood

BATCHES = {
    "nothing at all": b"",
    "a version alone": VERSION,
    "another version": b"\x02" + encode([[PING, 0]]),
    "no msgpack": VERSION + b"\xc1",
    "no array": VERSION + encode({"ping": 0}),
    "cut short": VERSION + encode([[PING, 0]])[:-1],
    "an unknown envelope": VERSION + encode([[99, 0]]),
    "an envelope without its fields": VERSION + encode([[CALL, 1]]),
    "a negative id": VERSION + encode([[CALL, -1, "server.status", b"", 1000, b""]]),
    "text for a number": VERSION + encode([[PING, "0"]]),
    "nested a thousand deep": VERSION + b"\x91" * 1000 + b"\xc0",
    "text that is no UTF-8": VERSION + b"\x91\x93\x07\xa2\xff\xfe\xc4\x00",
}


@pytest.mark.parametrize("what", BATCHES)
async def test_batches_that_cannot_be_read(
    worker: Running, bare: BareConnector, what: str, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "refused")
    bare.dealer.send(BATCHES[what])
    await eventually(lambda: worker.node.rpc_server.refusals.counts["unreadable"] == 1)
    await is_fine(bare)


async def test_the_good_ones_of_a_bad_batch(
    worker: Running, bare: BareConnector, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "refused")
    good = [CALL, 7, "channel.members", encode(["lobby"]), 5000, b""]
    bare.tell([CALL, "six"], good, [99])
    assert await bare.answer(7) == [REPLY, 7, encode([])]
    assert worker.node.rpc_server.refusals.counts["unreadable"] == 2


async def test_frames_that_make_no_message(
    worker: Running, bare: BareConnector, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "several frames")
    bare.dealer.send_multipart([b"", VERSION + encode([[PING, 0]]), b"junk"])
    await eventually(lambda: worker.node.rpc_server.refusals.counts["several frames"] == 1)
    await is_fine(bare)


async def test_envelopes_out_of_place(
    worker: Running, bare: BareConnector, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "refused")
    life = "00000000000000ff"
    bare.tell([WELCOME, 1, WORKER, "chat", life, 0], [STRANGER], [HELLO, 1, "other", "x", life, 0])
    await is_fine(bare)
    counts = worker.node.rpc_server.refusals.counts
    assert (counts["misplaced"], counts["false name"]) == (2, 1)


@pytest.mark.parametrize("args", [b"", b"\xc1", encode("lobby"), encode([1, 2, 3]), encode([[]])])
async def test_arguments_that_do_not_fit(bare: BareConnector, args: bytes) -> None:
    bare.tell([CALL, 1, "channel.members", args, 5000, b""])
    assert (await bare.answer(1))[:3] == [FAILURE, 1, 400]
    await is_fine(bare)


async def test_a_cast_whose_arguments_do_not_fit(
    bare: BareConnector, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "arguments of channel.lost")
    bare.tell([CAST, "channel.lost", b"\xc1"])
    await is_fine(bare)


@pytest.mark.parametrize("session", [b"", b"junk", encode([]), encode({"uid": "alice"})])
async def test_a_session_that_cannot_be_read(
    bare: BareConnector, session: bytes, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "failed")
    number = bare.request(SEND, session, b'{"content":"x","target":"*"}')
    assert (await bare.answer(number))[:2] == [FAILURE, number]
    await is_fine(bare)


async def test_an_origin_that_cannot_be_read(
    bare: BareConnector, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "channel.members from .*")
    bare.tell([CALL, 1, "channel.members", encode(["lobby"]), 5000, b"junk"])
    assert (await bare.answer(1))[:2] == [FAILURE, 1]
    await is_fine(bare)


@pytest.mark.parametrize("frame", [b"", b"\x03", b"lobby", b"\xff" * 1000])
async def test_frames_that_are_no_subscription(
    worker: Running, bare: BareConnector, frame: bytes, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "XPUB refused")
    bare.xsub.send(frame)
    await eventually(lambda: publisher(worker).refusals.counts["unreadable"] == 1)
    await bare.join("alice", "lobby")


async def test_tokens_and_topics_that_mean_nothing(bare: BareConnector) -> None:
    for token in (b"", b"junk", WORKER.encode() + b"/x/1", b"\xff" * 1000):
        bare.send_token(token)
    for frame in (b"\x01", b"\x01\xff\xfe\0", b"\x01" + b"x" * 100_000, b"\x00never\0"):
        bare.xsub.send(frame)
    joined = await bare.join("alice", "lobby")
    await bare.answer(bare.say("alice", "lobby", "hello"))
    assert await next_text(bare) == "hello"
    assert joined[:2] == [1, "lobby"]


# Slow readers


async def test_a_stalled_subscriber_loses_alone(
    worker: Running, bare: BareConnector, dial: Dial
) -> None:
    slow = dial("connector-server-2")
    await slow.greet()
    await bare.join("alice", "lobby")
    await slow.join("bob", "lobby")
    publish = publisher(worker).publish
    frame = encode([PUBLISHED, "epoch", 1, [], "x" * 500])
    count = 300_000  # three times what may wait for one subscriber, and what TCP takes
    taken = 0
    for first in range(0, count, 1000):
        for _ in range(first, first + 1000):
            publish("lobby", frame)
        taken += count_of(bare.publications())
        # A machine that is busy gives libzmq's thread its turn late.
        while first + 1000 - taken > BEHIND:
            taken += count_of([(await bare.publication(PUBLISHED))[1]])
            taken += count_of(bare.publications())
    await bare.answer(bare.say("alice", "lobby", "all of it"))
    while not texts(frames := [(await bare.publication(PUBLISHED))[1]]):
        taken += count_of(frames)
    assert taken == count
    late = 0
    while not texts(frames := slow.publications()):
        late += count_of(frames)
        await bare.answer(bare.say("alice", "lobby", "back again"))
    assert 0 < late < count  # it lost what did not fit, and hears on


def count_of(frames: list[Any]) -> int:
    """How many are not presence."""
    return sum(1 for frame in frames if frame[0] == PUBLISHED)


async def test_a_stalled_dealer_is_waited_for_alone(
    worker: Running, bare: BareConnector, dial: Dial
) -> None:
    """What cannot be written to it is bounded; the rest of its answers are dropped."""
    slow = dial("connector-server-2", dealer={"rcvhwm": 1, "rcvbuf": 4096, "sndhwm": 0})
    await slow.greet()
    peer = worker.node.rpc_server.peers["connector-server-2"]
    count, method = 2000, "x" * 30_000  # the answers repeat it
    for number in range(count):
        slow.tell([CALL, number, method, encode(["lobby"]), 5000, b""])
    await eventually(lambda: peer.pipe.dropped > 0, 10_000 * MS)
    await is_fine(bare)
    assert 0 < peer.queued_bytes <= 16 * 1024 * 1024
    answers = 0
    while peer.queued_bytes or answers + peer.pipe.dropped < count:
        answers += len(slow.listen())
        assert all(envelope[0] == FAILURE for envelope in slow.heard)
        slow.heard.clear()
        await asyncio.sleep(1 * MS)
    assert 0 < answers < count
    await is_fine(slow)


# A process


async def test_a_worker_process(tmp_path: Path) -> None:
    async with Processes(tmp_path, {"chat": 1}) as processes:
        with BareConnector(_server(processes)) as bare:
            first = await bare.greet()
            await bare.join("alice", "lobby")
            await bare.answer(bare.say("alice", "lobby", "hello"))
            assert await next_text(bare) == "hello"
            assert await processes.kill(WORKER) == -9
            processes.start(WORKER)
            await processes.ready()
            bare.tell([PING, 0])
            await bare.hear(lambda envelope: envelope == [STRANGER])
            assert (await bare.greet())[4] != first[4]
            await bare.join("alice", "lobby")
            await bare.answer(bare.say("alice", "lobby", "hello again"))
            assert await next_text(bare) == "hello again"
        assert "Traceback" not in processes.log(WORKER)


def _server(processes: Processes) -> Server:
    return load(processes.folder / "config" / "servers.json", "development").get(WORKER)
