"""Who a server is to its peers: its id, its type and which life of it this is."""

from __future__ import annotations

from dataclasses import dataclass

from zchat.cluster.envelope import PROTOCOL, Hello, Welcome
from zchat.errors import ConfigError

OPERATOR = "operator"
"""The type of those who call servers and are none: `zchat status`, publishers. They come and go."""

# A ZeroMQ routing id has at most 255 bytes.
_MAX_ROUTING_ID = 255


@dataclass(frozen=True, slots=True)
class LocalServer:
    """This server.

    Args:
        id: its id in servers.json.
        type: its type there.
        incarnation: one life of this process: 16 hex characters, made once at start by the caller
            (`secrets.token_hex(8)`).

    Raises:
        ConfigError: the id is empty, too long for a routing id, or holds a `/` or a NUL.
    """

    id: str
    type: str
    incarnation: str

    def __post_init__(self) -> None:
        if not self.id or "/" in self.id or "\0" in self.id:
            raise ConfigError(f"server id {self.id!r}: expected a name without '/'")
        if len(self.routing_id) > _MAX_ROUTING_ID:
            raise ConfigError(f"server id {self.id!r} is longer than ZeroMQ's routing ids may be")

    @property
    def routing_id(self) -> bytes:
        """The name that our DEALERs have at every ROUTER."""
        return routing_id(self.id, self.incarnation)

    def hello(self, generation: int) -> Hello:
        """What is said first on a link."""
        return Hello(PROTOCOL, self.id, self.type, self.incarnation, generation)

    def welcome(self, generation: int) -> Welcome:
        """What a Hello is answered with."""
        return Welcome(PROTOCOL, self.id, self.type, self.incarnation, generation)


def routing_id(server_id: str, incarnation: str) -> bytes:
    """The routing id of that life of that server: `id/incarnation`."""
    return f"{server_id}/{incarnation}".encode()
