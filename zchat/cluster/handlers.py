"""What the owner of one end of the links between servers hears, whatever it makes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from zchat.cluster.envelope import Call, Cast, Request
from zchat.cluster.peer import Peer
from zchat.cluster.remote_peer import RemotePeer

logger = logging.getLogger("zchat.cluster")

P = TypeVar("P", Peer, RemotePeer)


def _nothing(*args: object) -> None:
    """What happens to events that nobody asked for."""


@dataclass(frozen=True, slots=True)
class ServerHandlers:
    """What is told to the owner of an RpcServer, in the loop's thread. None may block.

    Args:
        on_request: a client's request, forwarded; to be answered with `RpcServer.reply` or `fail`,
            now or later (answers to a notify are dropped by whoever forwarded it).
        on_call: a server's call; to be answered likewise.
        on_cast: a server tells us something.
        on_up: a peer said Hello. Comes again for the same life when its link was made anew.
        on_lost: that life is over.
        on_generation: it spoke of another generation than before.
    """

    on_request: Callable[[RemotePeer, Request], None] = _nothing
    on_call: Callable[[RemotePeer, Call], None] = _nothing
    on_cast: Callable[[RemotePeer, Cast], None] = _nothing
    on_up: Callable[[RemotePeer], None] = _nothing
    on_lost: Callable[[RemotePeer], None] = _nothing
    on_generation: Callable[[RemotePeer, int], None] = _nothing


@dataclass(frozen=True, slots=True)
class ClientHandlers:
    """What is told to the owner of an RpcClient, in the loop's thread. None may block.

    Args:
        on_up: a peer's Welcome came: `peer.incarnation` and `peer.generation` are its own now.
            Called again after each loss.
        on_lost: it is not UP any more.
        on_call: it calls us; to be answered with `RpcClient.reply` or `fail`, now or later.
        on_cast: it tells us something.
        on_generation: it spoke of another generation than before.
    """

    on_up: Callable[[Peer], None] = _nothing
    on_lost: Callable[[Peer], None] = _nothing
    on_call: Callable[[Peer, Call], None] = _nothing
    on_cast: Callable[[Peer, Cast], None] = _nothing
    on_generation: Callable[[Peer, int], None] = _nothing


def guarded(handler: Callable[..., None], *args: object) -> bool:
    """Calls a handler; its fault must not end the reading. Returns whether it went well."""
    try:
        handler(*args)
    except Exception:
        logger.exception("handler failed for %r", args[0])
        return False
    return True


def hear(peer: P, generation: int, on_generation: Callable[[P, int], None]) -> None:
    """Notes of which generation a peer spoke, and tells of it when it is another than before."""
    if generation != peer.generation:
        peer.generation = generation
        guarded(on_generation, peer, generation)
