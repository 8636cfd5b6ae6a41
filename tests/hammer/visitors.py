"""Carries out what hypothesis has made up, on real sockets, and holds servers to their promise."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from tests.frontend.wire import PATIENCE, Peer
from tests.hammer.calls import Call, Caller, Guest, Insider, Stranger, Visit
from tests.support.cluster import Cluster
from tests.support.replay import upgraded
from tests.support.timing import MS
from zchat.errors import RequestError
from zchat.frontend.sockets.frames import CLOSE
from zchat.protocol import message, package
from zchat.protocol.dictionary import EMPTY, RouteDictionary

HELLO = package.encode(package.HANDSHAKE, b'{"sys":{"type":"hammer","version":"1"}}')
ACK = package.encode(package.HANDSHAKE_ACK)

MOMENT = 20 * MS
"""How long a visitor who is promised nothing listens before it leaves."""


async def visit(visits: Sequence[Visit], cluster: Cluster, ports: Sequence[int]) -> None:
    """Make all of them at once; returns when all have left.

    Args:
        ports: where the doors are.

    Raises:
        AssertionError: a caller's request was not answered exactly once.
    """
    codes = next(iter(cluster.running.values())).dictionary
    async with asyncio.TaskGroup() as group:
        for one in visits:
            match one:
                case Caller():
                    group.create_task(_call(one, ports[one.door], codes))
                case Guest():
                    group.create_task(_be_guest(one, ports[one.door]))
                case Stranger():
                    group.create_task(_be_stranger(one, ports[one.door]))
                case Insider():
                    group.create_task(_be_insider(one, cluster))


async def _call(caller: Caller, port: int, codes: RouteDictionary) -> None:
    peer = await upgraded(port)
    try:
        await peer.say(HELLO)
        assert (await peer.package()).type is package.HANDSHAKE
        await peer.say(ACK)
        for call in caller.calls:
            await peer.say(_package(call, codes))
        asked = Counter(call.id for call in caller.calls if call.id)
        heard: Counter[int] = Counter()
        while heard.total() < asked.total():
            for number in await _answers(peer):
                heard[number] += 1
        assert heard == asked
    except TimeoutError:
        raise AssertionError(f"not answered within {PATIENCE:g} s: {asked - heard}") from None
    finally:
        peer.close()


def _package(call: Call, codes: RouteDictionary) -> bytes:
    known = codes if call.coded else EMPTY
    if call.id:
        data = message.encode_request(call.id, call.route, call.raw, known)
    else:
        data = message.encode_notify(call.route, call.raw, known)
    return package.encode(package.DATA, data)


async def _answers(peer: Peer) -> list[int]:
    """The ids of the requests that the next message answers."""
    opcode, payload = await peer.frame()
    assert opcode != CLOSE, f"closed: {payload[2:].decode()}"
    found = []
    for item in package.decode(payload):
        assert item.type is not package.KICK, item.body
        if item.type is package.DATA:
            said = message.decode(item.body, EMPTY)
            if said.type is message.RESPONSE:
                found.append(said.id)
    return found


async def _be_guest(guest: Guest, port: int) -> None:
    peer = await upgraded(port)
    with suppress(ConnectionError):  # who breaks a rule is shut out at once
        for data in guest.messages:
            await peer.say(data)
        await _listen(peer)
    peer.close()


async def _be_stranger(stranger: Stranger, port: int) -> None:
    peer = Peer()
    await asyncio.get_running_loop().sock_connect(peer.sock, ("127.0.0.1", port))
    with suppress(ConnectionError):
        for data in stranger.chunks:
            await peer.send(data)
        await _listen(peer)
    peer.close()


async def _be_insider(insider: Insider, cluster: Cluster) -> None:
    """From a connector to every server that has the method; what is refused is refused in words."""
    node = cluster.running["connector-server-1"].node
    for server_id, running in cluster.running.items():
        if insider.method in running.methods._methods:
            with suppress(RequestError):
                await node.call(server_id, insider.method, insider.args)


async def _listen(peer: Peer) -> None:
    """Until the server hangs up, or nothing is said for a moment."""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(MOMENT):
            await peer.rest()
