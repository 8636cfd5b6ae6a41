"""A server that uses us, as our RpcServer sees it."""

from __future__ import annotations

from zchat.cluster.envelope import Hello
from zchat.cluster.pipe import Pipe


class RemotePeer:
    """One life of a server that said Hello to us. To be read by others, written only here.

    Args:
        identity: its routing id.
        hello: what it said.
        pipe: what it is told and asked; its counters are there.
        now: seconds.
    """

    __slots__ = (
        "alive",
        "dirty",
        "generation",
        "heard",
        "identity",
        "incarnation",
        "pipe",
        "probed",
        "server_id",
        "server_type",
    )

    def __init__(self, identity: bytes, hello: Hello, pipe: Pipe, now: float) -> None:
        self.identity = identity
        self.server_id = hello.server_id
        self.server_type = hello.server_type
        self.incarnation = hello.incarnation
        self.generation = hello.generation
        """The last that it told."""
        self.pipe = pipe
        self.alive = True
        """Turns False when this life is lost, for ever."""
        self.heard = now
        self.probed = now
        self.dirty = False

    @property
    def queued_bytes(self) -> int:
        """What waits to be written to it and what waits for its answer."""
        return self.pipe.held

    def __repr__(self) -> str:
        return f"<RemotePeer {self.server_id}/{self.incarnation}>"
