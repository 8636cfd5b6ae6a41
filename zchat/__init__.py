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
    from zchat.framework.application import Application as Application
    from zchat.framework.application import Component as Component
    from zchat.framework.application import Handler as Handler
    from zchat.framework.application import Remote as Remote
    from zchat.framework.backend_session import BackendSession as BackendSession
    from zchat.framework.backend_session import StaleSession as StaleSession
    from zchat.framework.calls import Invocation as Invocation
    from zchat.framework.dispatcher import retry as retry
    from zchat.framework.entrance import Handshake as Handshake
    from zchat.framework.filters import Call as Call
    from zchat.framework.filters import Filter as Filter
    from zchat.framework.filters import access_log as access_log
    from zchat.framework.filters import rate_limit as rate_limit
    from zchat.framework.filters import serial as serial
    from zchat.framework.filters import timeout as timeout
    from zchat.framework.filters import toobusy as toobusy
    from zchat.framework.logins import SignedInElsewhere as SignedInElsewhere
    from zchat.framework.router import at_random as at_random
    from zchat.framework.router import by_channel as by_channel
    from zchat.framework.router import by_session as by_session
    from zchat.framework.router import least_connections as least_connections
    from zchat.frontend.session import AlreadyBound as AlreadyBound
    from zchat.rendezvous import choose as choose
    from zchat.rooms.presence import AlreadyMember as AlreadyMember
    from zchat.rooms.presence import SessionRef as SessionRef
    from zchat.rooms.recovery import Position as Position
    from zchat.rooms.wish import Wish as Wish

_HOMES = {
    "AlreadyBound": "zchat.frontend.session",
    "AlreadyMember": "zchat.rooms.presence",
    "Application": "zchat.framework.application",
    "BackendSession": "zchat.framework.backend_session",
    "BadRequest": "zchat.errors",
    "ConfigError": "zchat.errors",
    "Handler": "zchat.framework.application",
    "Handshake": "zchat.framework.entrance",
    "Invocation": "zchat.framework.calls",
    "Position": "zchat.rooms.recovery",
    "Remote": "zchat.framework.application",
    "RequestError": "zchat.errors",
    "SessionRef": "zchat.rooms.presence",
    "SignedInElsewhere": "zchat.framework.logins",
    "StaleSession": "zchat.framework.backend_session",
    "TimedOut": "zchat.errors",
    "Unavailable": "zchat.errors",
    "Wish": "zchat.rooms.wish",
    "by_channel": "zchat.framework.router",
    "by_session": "zchat.framework.router",
    "choose": "zchat.rendezvous",
    "retry": "zchat.framework.dispatcher",
    "Call": "zchat.framework.filters",
    "Component": "zchat.framework.application",
    "Filter": "zchat.framework.filters",
    "StartError": "zchat.errors",
    "access_log": "zchat.framework.filters",
    "at_random": "zchat.framework.router",
    "least_connections": "zchat.framework.router",
    "rate_limit": "zchat.framework.filters",
    "serial": "zchat.framework.filters",
    "timeout": "zchat.framework.filters",
    "toobusy": "zchat.framework.filters",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
