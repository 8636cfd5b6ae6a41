"""The lives of servers that said Hello to us: who is up, and who must not come back."""

from __future__ import annotations

from zchat.cluster.envelope import PROTOCOL, Hello
from zchat.cluster.identity import routing_id
from zchat.cluster.remote_peer import RemotePeer


class Lives:
    """One table of those that are up, and what is remembered of those that were.

    Args:
        limit: how many may be up. When full, further ones are objected to. As many lives are
            remembered of each kind that has ended. When full, the oldest is forgotten.
    """

    def __init__(self, limit: int) -> None:
        self.up: dict[str, RemotePeer] = {}
        """By server id."""
        self.by_identity: dict[bytes, RemotePeer] = {}
        """The same, by routing id."""
        self._limit = limit
        # Those that a newer one replaced, oldest first.
        self._replaced: dict[bytes, None] = {}
        # Those whose link had ended, and which did not come back.
        self._unlinked: dict[bytes, None] = {}
        # The last life of each server that is not here: a later one replaces it, even if something
        # of the earlier one still comes in.
        self._former: dict[str, bytes] = {}

    def was_replaced(self, identity: bytes) -> bool:
        """Whether a newer life has taken its place, for ever."""
        return identity in self._replaced

    def was_unlinked(self, identity: bytes) -> bool:
        """Whether a write met the end of its link."""
        return identity in self._unlinked

    def objection(self, identity: bytes, hello: Hello) -> tuple[str, object] | None:
        """Why who says this Hello may not come in, and what was found; None if it may."""
        if identity != routing_id(hello.server_id, hello.incarnation):
            return "false name", hello.server_id
        if hello.protocol != PROTOCOL:
            return "other protocol", hello.protocol
        if hello.server_id not in self.up and len(self.up) >= self._limit:
            return "too many peers", ""
        return None

    def begin(self, peer: RemotePeer) -> None:
        """It is up; the server's former life is replaced by it, and has to be lost by now."""
        former = self._former.pop(peer.server_id, peer.identity)
        if former != peer.identity:
            self._remember(self._replaced, former)
        self._unlinked.pop(peer.identity, None)
        self.by_identity[peer.identity] = self.up[peer.server_id] = peer

    def end(self, peer: RemotePeer) -> None:
        """It is not up any more."""
        peer.alive = False
        del self.by_identity[peer.identity]
        if self.up.get(peer.server_id) is peer:
            del self.up[peer.server_id]

    def lose(self, peer: RemotePeer) -> None:
        """It has ended, and the server's next life replaces it."""
        self._former[peer.server_id] = peer.identity
        if len(self._former) > self._limit:
            del self._former[next(iter(self._former))]

    def unlink(self, identity: bytes) -> None:
        """Its link has ended."""
        self._remember(self._unlinked, identity)

    def _remember(self, lives: dict[bytes, None], identity: bytes) -> None:
        lives[identity] = None
        if len(lives) > self._limit:
            del lives[next(iter(lives))]
