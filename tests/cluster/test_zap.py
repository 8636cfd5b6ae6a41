"""Who gets in with CURVE: servers with a key on the list, nobody else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
import zmq

from tests.cluster.harness import LOCAL, Bare, Cluster, up
from tests.support.logs import ExpectedLogs
from tests.support.timing import MS, eventually
from zchat.cluster.context import Context
from zchat.cluster.curve import Keys, Security, create_keys, load_keys, load_public_key
from zchat.cluster.envelope import Reply
from zchat.cluster.peer import CONNECTING
from zchat.cluster.publisher import Publisher
from zchat.cluster.subscriber import Subscriber, SubscriberHandlers
from zchat.cluster.zap import Authenticator
from zchat.errors import ConfigError


@dataclass
class Ring:
    """Keys of two servers of the cluster, and a stranger's."""

    folder: Path
    chat: Keys
    connector: Keys
    stranger: Keys


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    folder = tmp_path / "keys"
    made = [load_keys(create_keys(folder, name)[1]) for name in ("chat-1", "connector-1")]
    stranger = load_keys(create_keys(tmp_path / "elsewhere", "stranger")[1])
    return Ring(folder, made[0], made[1], stranger)


async def test_a_key_on_the_list_gets_in(cluster: Cluster, ring: Ring) -> None:
    worker = cluster.worker(security=Security(ring.chat, ring.folder))
    worker.on_request = worker.echo
    frontend = cluster.frontend(
        worker.address,
        security=Security(ring.connector, ring.folder),
        server_key=load_public_key(ring.folder / "chat-1.key"),
    )
    await up(frontend)
    number = frontend.request(b"secret")
    await eventually(lambda: frontend.answers == [Reply(number, b"secret")])


async def test_publications_are_protected_too(cluster: Cluster, ring: Ring) -> None:
    messages: list[tuple[str, bytes]] = []
    tokens: list[bytes] = []
    publisher = Publisher(cluster.context(Security(ring.chat, ring.folder)), tokens.append)
    address = publisher.bind(LOCAL)
    subscriber = Subscriber(
        cluster.context(Security(ring.connector, ring.folder)),
        SubscriberHandlers(on_message=lambda *message: messages.append(message)),
    )
    cluster.on_close(publisher.close)
    cluster.on_close(subscriber.close)
    stranger = Bare(cluster, zmq.XSUB)
    stranger.socket.connect(address)
    stranger.socket.send(b"\x01room\0")
    stranger.socket.send(b"\x02stranger")
    subscriber.connect("chat-1", address, ring.chat.public)
    subscriber.subscribe("room")
    subscriber.send_token(b"friend")
    await eventually(lambda: tokens)
    publisher.publish("room", b"secret")
    await eventually(lambda: messages == [("room", b"secret")])
    assert tokens == [b"friend"]
    assert stranger.socket.poll(0) == 0


@pytest.mark.parametrize("client", ["stranger", "plain", "wrong server key"])
async def test_others_get_nothing(
    cluster: Cluster, ring: Ring, expected_logs: ExpectedLogs, client: str
) -> None:
    """Shown by a friend who connects after them and is served, while they are not."""
    worker = cluster.worker(security=Security(ring.chat, ring.folder))
    address, server_key = worker.address, ring.chat.public
    expected_logs("zchat.cluster", "refuses our handshake")
    if client == "plain":
        other = cluster.frontend(address, "connector-2")
    elif client == "stranger":
        security = Security(ring.stranger, ring.folder)
        other = cluster.frontend(address, "connector-2", security=security, server_key=server_key)
    else:
        security, wrong = Security(ring.connector, ring.folder), ring.stranger.public
        other = cluster.frontend(address, "connector-2", security=security, server_key=wrong)
    other.request()
    await eventually(lambda: expected_logs.records)
    friend = cluster.frontend(
        address, security=Security(ring.connector, ring.folder), server_key=server_key
    )
    await up(friend)
    # Some retries of the other's, so that it had its chance.
    await asyncio.sleep(300 * MS)
    assert other.client.peers["chat-1"].state is CONNECTING
    assert list(worker.server.peers) == ["connector-1"]
    assert worker.requests == []
    assert worker.server.refusals.total == 0


async def test_the_list_can_be_read_again(
    cluster: Cluster, ring: Ring, expected_logs: ExpectedLogs
) -> None:
    expected_logs("zchat.cluster", "refuses our handshake")
    worker = cluster.worker(security=Security(ring.chat, ring.folder))
    newcomer = cluster.frontend(
        worker.address,
        security=Security(ring.stranger, ring.folder),
        server_key=ring.chat.public,
    )
    await eventually(lambda: expected_logs.records)
    stranger = ring.folder.parent / "elsewhere" / "stranger.key"
    (ring.folder / "connector-9.key").write_bytes(stranger.read_bytes())
    worker.context.reload_allowed()
    await up(newcomer)
    (ring.folder / "broken.key").write_text("")
    with pytest.raises(ConfigError):
        worker.context.reload_allowed()


async def test_nobody_gets_in_without_an_authenticator(cluster: Cluster, ring: Ring) -> None:
    """Should it ever be missing, libzmq must not let everyone in instead."""
    context = Context(Security(ring.chat, ring.folder))
    socket = context.socket(zmq.ROUTER, send_high_water=1, receive_high_water=1)
    address = context.bind(socket, LOCAL)
    assert context._authenticator is not None
    context._authenticator.close()
    client = Bare(
        cluster,
        zmq.DEALER,
        curve_publickey=ring.connector.public,
        curve_secretkey=ring.connector.secret,
        curve_serverkey=ring.chat.public,
    )
    client.socket.connect(address)
    client.socket.send(b"let me in")
    await asyncio.sleep(300 * MS)
    assert socket.poll(0) == 0
    context.close()


async def test_questions_that_are_none_of_ours(ring: Ring) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    authenticator = Authenticator(context, ring.folder)
    asks = context.socket(zmq.REQ)
    asks.connect("inproc://zeromq.zap.01")
    key = bytes(32)
    questions = [
        [b""],
        [b"1.0", b"1"],
        [b"1.0", b"1", b"zchat", b"127.0.0.1", b"", b"NULL"],
        [b"1.0", b"1", b"zchat", b"127.0.0.1", b"", b"PLAIN", b"user", b"password"],
        [b"1.0", b"1", b"zchat", b"127.0.0.1", b"", b"CURVE", b"short"],
        [b"2.0", b"1", b"zchat", b"127.0.0.1", b"", b"CURVE", key],
        [b"1.0", b"1", b"zchat", b"\xff", b"", b"CURVE", key],
    ]
    for question in questions:
        asks.send_multipart(question)
        await eventually(lambda: asks.poll(0))
        assert asks.recv_multipart()[2] == b"400"
    assert authenticator.refused == len(questions)
    asks.close()
    authenticator.close()
    authenticator.close()
    context.destroy(linger=0)


async def test_a_refused_subscriber_gets_in_once_it_is_on_the_list(
    cluster: Cluster, ring: Ring, expected_logs: ExpectedLogs
) -> None:
    """libzmq gives a refused link up for good; the subscriber begins it anew."""
    expected_logs("zchat.cluster", "XSUB refused .* handshake from 'chat-1'")
    context = cluster.context(Security(ring.chat, ring.folder))
    messages: list[tuple[str, bytes]] = []
    links: list[str] = []
    publisher = Publisher(context, lambda _: None)
    subscriber = Subscriber(
        cluster.context(Security(ring.stranger, ring.folder)),
        SubscriberHandlers(lambda *message: messages.append(message), on_link=links.append),
    )
    cluster.on_close(publisher.close)
    cluster.on_close(subscriber.close)
    subscriber.connect("chat-1", publisher.bind(LOCAL), ring.chat.public)
    subscriber.subscribe("room")
    await eventually(lambda: expected_logs.records)
    stranger = ring.folder.parent / "elsewhere" / "stranger.key"
    (ring.folder / "connector-9.key").write_bytes(stranger.read_bytes())
    context.reload_allowed()
    await eventually(lambda: publisher.subscriptions == 1)
    publisher.publish("room", b"in")
    await eventually(lambda: messages == [("room", b"in")])
    assert links == ["chat-1"]
