"""zchat: a ZeroMQ pub/sub cluster toolkit for realtime servers.

The names of an application's author. They are imported when first used, because supervisord loads
`zchat.ops.supervision` and needs neither ZeroMQ nor Tornado for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zchat.errors import BadRequest as BadRequest
    from zchat.errors import ConfigError as ConfigError
    from zchat.errors import RequestError as RequestError
    from zchat.errors import StartError as StartError
    from zchat.errors import TimedOut as TimedOut
    from zchat.errors import Unavailable as Unavailable
    from zchat.framework.app.application import Application as Application
    from zchat.framework.app.application import Component as Component
    from zchat.framework.app.application import Handler as Handler
    from zchat.framework.app.application import Remote as Remote
    from zchat.framework.handlers.dispatcher import retry as retry
    from zchat.framework.handlers.filters import Call as Call
    from zchat.framework.handlers.filters import Filter as Filter
    from zchat.framework.handlers.filters import access_log as access_log
    from zchat.framework.handlers.filters import rate_limit as rate_limit
    from zchat.framework.handlers.filters import serial as serial
    from zchat.framework.handlers.filters import timeout as timeout
    from zchat.framework.handlers.filters import toobusy as toobusy
    from zchat.framework.peers.calls import Invocation as Invocation
    from zchat.framework.peers.router import at_random as at_random
    from zchat.framework.peers.router import by_channel as by_channel
    from zchat.framework.peers.router import by_session as by_session
    from zchat.framework.peers.router import least_connections as least_connections
    from zchat.framework.sessions.backend_session import BackendSession as BackendSession
    from zchat.framework.sessions.backend_session import StaleSession as StaleSession
    from zchat.framework.sessions.entrance import Handshake as Handshake
    from zchat.framework.sessions.logins import SignedInElsewhere as SignedInElsewhere
    from zchat.frontend.session import AlreadyBound as AlreadyBound
    from zchat.rendezvous import choose as choose
    from zchat.rooms.presence import AlreadyMember as AlreadyMember
    from zchat.rooms.presence import SessionRef as SessionRef
    from zchat.rooms.recovery import Position as Position
    from zchat.rooms.wish import Wish as Wish

_HOMES = {
    "AlreadyBound": "zchat.frontend.session",
    "AlreadyMember": "zchat.rooms.presence",
    "Application": "zchat.framework.app.application",
    "BackendSession": "zchat.framework.sessions.backend_session",
    "BadRequest": "zchat.errors",
    "ConfigError": "zchat.errors",
    "Handler": "zchat.framework.app.application",
    "Handshake": "zchat.framework.sessions.entrance",
    "Invocation": "zchat.framework.peers.calls",
    "Position": "zchat.rooms.recovery",
    "Remote": "zchat.framework.app.application",
    "RequestError": "zchat.errors",
    "SessionRef": "zchat.rooms.presence",
    "SignedInElsewhere": "zchat.framework.sessions.logins",
    "StaleSession": "zchat.framework.sessions.backend_session",
    "TimedOut": "zchat.errors",
    "Unavailable": "zchat.errors",
    "Wish": "zchat.rooms.wish",
    "by_channel": "zchat.framework.peers.router",
    "by_session": "zchat.framework.peers.router",
    "choose": "zchat.rendezvous",
    "retry": "zchat.framework.handlers.dispatcher",
    "Call": "zchat.framework.handlers.filters",
    "Component": "zchat.framework.app.application",
    "Filter": "zchat.framework.handlers.filters",
    "StartError": "zchat.errors",
    "access_log": "zchat.framework.handlers.filters",
    "at_random": "zchat.framework.peers.router",
    "least_connections": "zchat.framework.peers.router",
    "rate_limit": "zchat.framework.handlers.filters",
    "serial": "zchat.framework.handlers.filters",
    "timeout": "zchat.framework.handlers.filters",
    "toobusy": "zchat.framework.handlers.filters",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
