"""What an author says of clients that want to come in. Each word can stand above its function.

@app.authenticate
async def who(handshake: Handshake) -> str:
    return await user_of(handshake.user["token"])
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from zchat.protocol.handshake import FAILED, HandshakeError

logger = logging.getLogger("zchat.app")


@dataclass(frozen=True, slots=True)
class Handshake:
    """A client that wants to come in. All but the address is its own claim."""

    user: Any
    """Whatever the application's client put into `user`; None without it."""

    client_type: str | None
    """Such as `js-websocket`."""

    version: str | None
    """Of the client library."""

    address: str
    """The IP address of the client, behind trusted proxies too."""

    host: str
    """The host name by which it reached this server; over TCP this server's address."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a frontend tells its clients in the handshake."""

    heartbeat: int | None = None
    """Whole seconds between heartbeats; 0: none are wanted; None: as settings.toml says."""

    dictionary: bool = True
    """Whether routes have codes."""

    protos: bool = True
    """Whether bodies have schemas."""


Identity = str | dict[str, Any] | tuple[str, dict[str, Any]] | None
"""Who a client is: its uid, what the answer says to it as `user`, both, or nothing known."""

CheckClient = Callable[[str | None, str | None], bool]
Authenticate = Callable[[Handshake], Identity | Awaitable[Identity]]
IsBlocked = Callable[[str], bool]

Check = TypeVar("Check", bound=CheckClient)
Who = TypeVar("Who", bound=Authenticate)
Blocked = TypeVar("Blocked", bound=IsBlocked)


class Entrance:
    """The hooks of frontends, in the order in which a client meets them."""

    is_blocked: IsBlocked | None = None
    authenticator: Authenticate | None = None
    _check_client: CheckClient | None = None
    told = Told()
    """See `handshake`."""

    def blocked(self, function: Blocked) -> Blocked:
        """Ask `function(address)` whether clients of an IP address are refused.

        It is called for every connection when it is accepted, so it must be quick. It comes behind
        the list `blocked` of settings.toml. When it raises, the client is refused.
        """
        self.is_blocked = function
        return function

    def check_client(self, function: Check) -> Check:
        """Ask `function(type, version)` whether that kind of client may come in; 501 if not."""
        self._check_client = function
        return function

    def authenticate(self, function: Who) -> Who:
        """Ask `function(handshake)` who a client is.

        It returns the uid, to which the session is bound before its first request; or a dict, which
        the client finds as `user` in the answer; or both as a tuple; or None. It may be async, and
        has the time of `client.handshake_timeout` in settings.toml. When it raises, the client is
        answered 500: a RequestError is a refusal, anything else is logged with its traceback.
        """
        self.authenticator = function
        return function

    def handshake(
        self, *, heartbeat: int | None = None, dictionary: bool = True, protos: bool = True
    ) -> None:
        """Choose what clients are told in the handshake; in `configure`, for some server types.

        Args:
            heartbeat: whole seconds between heartbeats, in place of `client.heartbeat` of
                settings.toml; 0: none are wanted, and no silent client is cut off.
            dictionary: whether routes have codes (Pomelo's `useDict`). Without, clients get pushes
                by their routes.
            protos: whether bodies have the schemas of config/ (`useProtobuf`). Without, they are
                JSON for clients, whatever the cluster has.

        Raises:
            ValueError: the heartbeat is negative, or no integer.
        """
        if heartbeat is not None and (type(heartbeat) is not int or heartbeat < 0):
            raise ValueError(f"heartbeat {heartbeat!r}; expected whole seconds, 0 or None")
        self.told = Told(heartbeat, dictionary, protos)

    def allows(self, client_type: str | None, version: str | None) -> bool:
        """What `check_client` says; everyone may come in without it.

        Raises:
            HandshakeError: it failed, which is logged.
        """
        if self._check_client is None:
            return True
        try:
            return bool(self._check_client(client_type, version))
        except Exception as error:
            logger.exception("check_client failed")
            raise HandshakeError(FAILED, "check_client failed") from error
