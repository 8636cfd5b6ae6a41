"""A server that we use, as its RpcClient sees it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from zchat.cluster.dealer import Dealer
from zchat.cluster.pipe import Pipe


class PeerState(IntEnum):
    """A peer's life, as seen from here."""

    CONNECTING = 0
    """No Welcome yet."""

    UP = 1
    """Its Welcome came, and something was heard within the liveness."""

    LOST = 2
    """Its link broke, or it was silent for too long."""


CONNECTING: Final = PeerState.CONNECTING
UP: Final = PeerState.UP
LOST: Final = PeerState.LOST


class Peer:
    """A server that we use. To be read by others, written only by its RpcClient.

    Args:
        server_id: its id.
        address: of its ROUTER.
        server_key: its public key, if traffic is encrypted.
        pipe: what it is asked and told; its counters are there.
        now: seconds.
    """

    __slots__ = (
        "address",
        "dealer",
        "dirty",
        "generation",
        "heard",
        "incarnation",
        "pipe",
        "probed",
        "server_id",
        "server_key",
        "server_type",
        "state",
        "stopping",
    )

    dealer: Dealer

    def __init__(
        self, server_id: str, address: str, server_key: bytes | None, pipe: Pipe, now: float
    ) -> None:
        self.server_id = server_id
        self.address = address
        self.server_key = server_key
        self.pipe = pipe
        self.state: PeerState = CONNECTING
        self.server_type = ""
        """Empty before the first Welcome, like the incarnation."""
        self.incarnation = ""
        self.generation = 0
        """The last that it told."""
        self.stopping = False
        """Whether this life of it has said that it begins no requests any more."""
        self.heard = now
        self.probed = now
        self.dirty = False

    @property
    def queued_bytes(self) -> int:
        """What waits to be written to it and what waits for its answer."""
        return self.pipe.held

    def __repr__(self) -> str:
        return f"<Peer {self.server_id} {self.state.name}>"
