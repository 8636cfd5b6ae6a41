"""The context: options, binding, ending."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import zmq

from tests.cluster.harness import LOCAL, Bare, Cluster
from tests.support.timing import MS, eventually
from zchat.cluster.context import Context
from zchat.cluster.curve import Security, create_keys, load_keys
from zchat.cluster.envelope import MAX_MESSAGE
from zchat.errors import ConfigError


def made(cluster: Cluster, context: Context, kind: int) -> zmq.Socket[bytes]:
    """A socket that is closed with the test."""
    socket = context.socket(kind, send_high_water=1, receive_high_water=1)
    cluster.on_close(socket.close)
    return socket


def test_options_are_set_on_purpose() -> None:
    context = Context()
    socket = context.socket(zmq.DEALER, send_high_water=5, receive_high_water=6)
    set_to = {
        zmq.SNDHWM: 5,
        zmq.RCVHWM: 6,
        zmq.LINGER: 250,
        zmq.MAXMSGSIZE: MAX_MESSAGE,
        zmq.HEARTBEAT_IVL: 0,
        zmq.TCP_KEEPALIVE: 1,
        zmq.TCP_KEEPALIVE_IDLE: 2,
        zmq.TCP_KEEPALIVE_INTVL: 1,
        zmq.TCP_KEEPALIVE_CNT: 3,
        zmq.TCP_MAXRT: 5000,
        zmq.RECONNECT_IVL: 100,
        zmq.HANDSHAKE_IVL: 2000,
    }
    assert {option: socket.getsockopt(option) for option in set_to} == set_to
    context.close()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "tcp://[::1]:0"])
async def test_bind_and_connect(cluster: Cluster, address: str) -> None:
    context = cluster.context()
    server = made(cluster, context, zmq.ROUTER)
    try:
        bound = context.bind(server, address)
    except OSError:
        pytest.skip(f"this machine has no {address}")
    assert not bound.endswith(":0")
    client = made(cluster, context, zmq.DEALER)
    context.connect(client, bound, None)
    client.send(b"x")
    await eventually(lambda: server.poll(0))


async def test_a_taken_address(cluster: Cluster) -> None:
    context = cluster.context()
    one, two = made(cluster, context, zmq.ROUTER), made(cluster, context, zmq.ROUTER)
    bound = context.bind(one, LOCAL)
    with pytest.raises(OSError, match=f"cannot bind {bound}: Address already in use"):
        context.bind(two, bound)


async def test_closing_never_hangs(cluster: Cluster) -> None:
    """Sockets left open, and messages for a peer that reads nothing, hold it up for the linger."""
    stalled = Bare(cluster, zmq.ROUTER, rcvhwm=1)
    context = Context()
    socket = context.socket(zmq.DEALER, send_high_water=0, receive_high_water=0)
    context.connect(socket, stalled.bind(), None)
    for _ in range(1000):
        socket.send(bytes(10_000))
    left_open = context.socket(zmq.DEALER, send_high_water=1, receive_high_water=1)
    socket.close()
    started = time.monotonic()
    context.close()
    context.close()
    assert time.monotonic() - started < 2000 * MS
    assert left_open.closed


async def test_keys_ask_for_more(cluster: Cluster, tmp_path: Path) -> None:
    _, secret = create_keys(tmp_path, "chat-1")
    keys = load_keys(secret)
    context = cluster.context(Security(keys))
    server = made(cluster, context, zmq.ROUTER)
    with pytest.raises(ConfigError, match="folder of the public keys that may connect"):
        context.bind(server, LOCAL)
    client = made(cluster, context, zmq.DEALER)
    with pytest.raises(ConfigError, match="expected the public key of this server"):
        context.connect(client, "tcp://127.0.0.1:1", None)
    context.reload_allowed()


async def test_a_missing_allow_list(cluster: Cluster, tmp_path: Path) -> None:
    _, secret = create_keys(tmp_path, "chat-1")
    context = cluster.context(Security(load_keys(secret), tmp_path / "nowhere"))
    server = made(cluster, context, zmq.ROUTER)
    with pytest.raises(ConfigError, match="expected a folder of public keys"):
        context.bind(server, LOCAL)
