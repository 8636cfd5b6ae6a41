"""Why a client connection ends, as data.

One table: what is counted, what the client is told, and whether it should come back. The code is
the WebSocket close code. 4000-4499 are ours and mean "come back", 4500-4999 "do not by yourself".
Stock Pomelo clients read neither code nor reason; those in working state get a kick package where
the reference sends one (pomelo wire 15.1), and none for time-outs, bad bytes and shutdown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Disconnect:
    """One reason for which connections end."""

    name: str
    """Key of its counter, in metrics' spelling."""

    code: int
    """WebSocket close code; 1006 and 1015 are never sent: nobody is there to read them."""

    reason: str
    """What the client is told, in words."""

    reconnect: bool = True
    """Whether the client may come back by itself."""

    kick: bool = False
    """Whether a client in working state gets a kick package first."""

    def because(self, reason: str) -> Disconnect:
        """The same entry with a reason of its own; still counted under the same name."""
        return replace(self, reason=reason)

    def __str__(self) -> str:
        return f"{self.name} ({self.code}): {self.reason}"


CLIENT_CLOSED: Final = Disconnect("client_closed", 1000, "closed by the client", reconnect=False)
CONNECTION_LOST: Final = Disconnect("connection_lost", 1006, "connection lost")
SERVER_STOPPING: Final = Disconnect("server_stopping", 1001, "server is stopping")

MALFORMED: Final = Disconnect("malformed", 1002, "malformed bytes", reconnect=False)
MESSAGE_TOO_BIG: Final = Disconnect("message_too_big", 1009, "message too big", reconnect=False)
HANDSHAKE_REFUSED: Final = Disconnect(  # its code is the reference's (pomelo wire 6.4)
    "handshake_refused", 1000, "handshake refused", reconnect=False
)
INTERNAL_ERROR: Final = Disconnect("internal_error", 1011, "internal error")
FORBIDDEN_ORIGIN: Final = Disconnect(  # answered by HTTP 403 in place of the upgrade
    "forbidden_origin", 1008, "pages of this origin may not connect", reconnect=False
)
BLOCKED: Final = Disconnect(  # closed when accepted; behind a proxy, answered by HTTP 403
    "blocked", 1008, "clients of this address are not let in", reconnect=False
)
TLS_FAILED: Final = Disconnect("tls_failed", 1015, "TLS handshake failed")
TOO_MANY_CONNECTIONS: Final = Disconnect(  # answered by HTTP 503 in place of the upgrade
    "too_many_connections", 1013, "this server has as many connections as it may"
)

HANDSHAKE_TIMEOUT: Final = Disconnect("handshake_timeout", 4000, "handshake took too long")
HEARTBEAT_TIMEOUT: Final = Disconnect("heartbeat_timeout", 4001, "no heartbeat for too long")
SLOW_READER: Final = Disconnect(
    "slow_reader", 4002, "you read too slowly; come back and catch up", kick=True
)
TOO_MANY_MESSAGES: Final = Disconnect(
    "too_many_messages", 4003, "too many messages per second", kick=True
)
TOO_MANY_BYTES: Final = Disconnect("too_many_bytes", 4004, "too many bytes per second", kick=True)
UNAVAILABLE: Final = Disconnect("unavailable", 4005, "try again in a moment")

OUTRUN: Final = Disconnect("outrun", 4006, "the room has moved; come back and catch up", kick=True)

KICKED: Final = Disconnect("kicked", 4500, "kick", reconnect=False, kick=True)
RESUMED: Final = Disconnect(
    "resumed", 4503, "resumed on another connection", reconnect=False, kick=True
)
SIGNED_IN_ELSEWHERE: Final = Disconnect(
    "signed_in_elsewhere", 4504, "signed in on another connection", reconnect=False, kick=True
)
