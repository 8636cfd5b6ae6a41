"""How a frontend greets its clients: as the application says, else as settings.toml does."""

from __future__ import annotations

from zchat.config.settings import Settings
from zchat.framework.sessions.entrance import Entrance, Told
from zchat.framework.sessions.wire import Wire
from zchat.frontend.dialect import Dialect
from zchat.protocol.handshake import ServerHandshake


def dialect(told: Told, wire: Wire) -> Dialect:
    """What clients speak: of what the cluster has, the part that they are told of."""
    return Dialect(*wire, codes=told.dictionary, schemas=told.protos)


def handshake(entrance: Entrance, dialect: Dialect, settings: Settings) -> ServerHandshake:
    """How they are let in.

    Args:
        entrance: what the application says of who may come in, and what it is told.
        dialect: what they speak.
        settings: of the cluster.
    """
    heartbeat = entrance.told.heartbeat
    return ServerHandshake(
        heartbeat=settings.client.heartbeat if heartbeat is None else heartbeat or None,
        dictionary=dialect.dictionary,
        protos=dialect.protos,
        limit=settings.limits.message_bytes,
        check_client=entrance.allows,
        asks=entrance.authenticator is not None,
    )
