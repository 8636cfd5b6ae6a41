"""The handshake: what a client says of itself, and what a server answers (pomelo wire 6).

C -> S  {"sys": {"type", "version", "protoVersion"?, "dictVersion"?}, "user"?}
S -> C  {"code": 200, "sys": {"heartbeat"?, "dict"?, "routeToCode"?, "codeToRoute"?,
         "dictVersion"?, "useDict"?, "protos"?, "useProto"?}, "user"?}
S -> C  {"code": 500}   the request cannot be read, or the application refuses the user
S -> C  {"code": 501}   the application refuses this type or version of client
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from zchat.errors import ProtocolError
from zchat.protocol import body, package
from zchat.protocol.dictionary import EMPTY, RouteDictionary
from zchat.protocol.portable import portable
from zchat.protocol.protos import NO_PROTOS, Protos

__all__ = [
    "FAILED",
    "UNFIT_CLIENT",
    "HandshakeError",
    "HandshakeRequest",
    "HandshakeResponse",
    "ServerHandshake",
    "refusal",
]

FAILED = 500
UNFIT_CLIENT = 501


class HandshakeRequest(msgspec.Struct, frozen=True):
    """What a client says of itself. All of it is the client's claim, and may be missing."""

    client_type: str | None = None
    """`sys.type`, such as `js-websocket`."""

    version: str | None = None
    """`sys.version`, of the client library."""

    proto_version: str | None = None
    """Version of the protobuf schemas that the client keeps; None when it keeps none, `"?"` for
    one that is no string."""

    dict_version: str | None = None
    """Version of the route dictionary that the client keeps; likewise."""

    user: Any = None
    """Whatever the application's client put into `user`."""

    @classmethod
    def from_body(cls, data: bytes) -> HandshakeRequest:
        """Read a handshake package's body.

        Raises:
            HandshakeError: 500, when it is no JSON object with a truthy `sys`, or servers could
                not hand its `user` on.
        """
        try:
            request = body.loads(data)
            user = portable(request.get("user"), len(data)) if isinstance(request, dict) else None
        except ProtocolError as error:
            raise HandshakeError(FAILED, str(error)) from None
        system = request.get("sys") if isinstance(request, dict) else None
        if not system and system not in ([], {}):  # JavaScript takes empty ones for true
            raise HandshakeError(FAILED, "no member sys")
        if not isinstance(system, dict):
            system = {}
        return cls(
            client_type=_string(system.get("type")),
            version=_string(system.get("version")),
            proto_version=_version(system.get("protoVersion")),
            dict_version=_version(system.get("dictVersion")),
            user=user,
        )

    def as_body(self) -> bytes:
        """The body that a client sends."""
        system = {
            "type": self.client_type,
            "version": self.version,
            "protoVersion": self.proto_version,
            "dictVersion": self.dict_version,
        }
        request: dict[str, Any] = {"sys": {k: v for k, v in system.items() if v is not None}}
        if self.user is not None:
            request["user"] = self.user
        return body.dumps(request)


class HandshakeError(ProtocolError):
    """A handshake fails.

    Args:
        code: what the answer says, 500 or 501.
        reason: for the log; it is not sent.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"handshake refused with {code}: {reason}")
        self.code = code


class ServerHandshake:
    """What all connections of one frontend share: how it shakes hands, and its limits.

    Args:
        heartbeat: seconds between a client's heartbeats, an integer of at least 1 because several
            client libraries cannot read fractions (pomelo wire 9.5); None switches them off.
        dictionary: routes with codes; an empty one switches compression off.
        protos: schemas of bodies; without any all bodies are JSON.
        limit: bytes that the body of a package from a client may have.
        check_client: decides from type and version whether a client may come in; if not it is
            answered 501. It must not raise.
        asks: whether somebody else decides about each client that may come in, and when: then
            `ServerConnection` says `HandshakeAsked` and waits to be told.

    Raises:
        ValueError: the heartbeat is no integer or below 1, or no package can have that limit.
    """

    __slots__ = ("_built", "asks", "check_client", "dictionary", "heartbeat", "limit", "protos")

    def __init__(
        self,
        *,
        heartbeat: int | None = 30,
        dictionary: RouteDictionary = EMPTY,
        protos: Protos = NO_PROTOS,
        limit: int = 64 * 1024,
        check_client: Callable[[str | None, str | None], bool] | None = None,
        asks: bool = False,
    ) -> None:
        if heartbeat is not None and (type(heartbeat) is not int or heartbeat < 1):
            raise ValueError(
                f"heartbeat {heartbeat!r}; expected whole seconds, at least 1, or None"
            )
        if not 1 <= limit <= package.MAX_BODY:
            raise ValueError(f"limit {limit}; expected 1-{package.MAX_BODY} bytes")
        self.heartbeat = heartbeat
        self.dictionary = dictionary
        self.protos = protos
        self.limit = limit
        self.check_client = check_client
        self.asks = asks
        self._built: dict[tuple[bool, bool], bytes] = {}

    def check(self, request: HandshakeRequest) -> None:
        """Look at what a client says of itself.

        Raises:
            HandshakeError: 501, this type or version of client may not come in.
        """
        check = self.check_client
        if check is not None and not check(request.client_type, request.version):
            reason = f"client type {request.client_type!r}, version {request.version!r}"
            raise HandshakeError(UNFIT_CLIENT, reason)

    def answer(self, request: HandshakeRequest, user: Any = None) -> bytes:
        """The package that accepts a client.

        It is the same for all clients that keep the same things and bring no user data, so it is
        built once for each of these variants.

        Args:
            user: what the application says to this client, if truthy.
        """
        known = request.dict_version is not None and request.dict_version == self.dictionary.version
        variant = (known, self._sends_protos(request.proto_version))
        if user:
            return self._build(*variant, user)
        built = self._built.get(variant)
        if built is None:
            built = self._built[variant] = self._build(*variant, None)
        return built

    def _sends_protos(self, version: str | None) -> bool:
        """Whether a client that keeps this version is told ours.

        A browser keeps schemas per web origin and would go on using another server's: so one that
        keeps any is told also when we have none (pomelo wire 17.1).
        """
        return version != self.protos.version if self.protos else version is not None

    def _build(self, known: bool, sends_protos: bool, user: Any) -> bytes:
        system: dict[str, Any] = {}
        if self.heartbeat is not None:
            system["heartbeat"] = self.heartbeat
        if self.dictionary:
            if not known:
                system |= self.dictionary.as_wire()
            system["useDict"] = True
        if sends_protos:
            system["protos"] = self.protos.as_wire()
        if self.protos:
            system["useProto"] = True
        answer: dict[str, Any] = {"code": 200, "sys": system}
        if user:
            answer["user"] = user
        return package.encode(package.HANDSHAKE, body.dumps(answer))


class HandshakeResponse(msgspec.Struct, frozen=True):
    """A server's answer, as a client reads it."""

    code: int
    """200, or why not."""

    heartbeat: float | None = None
    """Seconds between heartbeats; None when the server wants none."""

    user: Any = None
    """What the server's application answered."""

    dictionary: RouteDictionary = EMPTY
    """The routes with codes on this connection."""

    protos: Protos = NO_PROTOS
    """The schemas of bodies on this connection."""

    @classmethod
    def from_body(
        cls, data: bytes, kept: RouteDictionary, kept_protos: Protos = NO_PROTOS
    ) -> HandshakeResponse:
        """Read a handshake package's body.

        Args:
            kept: the dictionary whose version the request named; it goes on being used when the
                server says so by leaving the table out.
            kept_protos: the schemas whose version the request named; likewise.

        Raises:
            ProtocolError: it is no JSON object, has no integer code, or accepts without `sys`; or
                what it sends to be kept makes no sense.
        """
        answer = body.loads(data)
        code = answer.get("code") if isinstance(answer, dict) else None
        if type(code) is not int:
            raise ProtocolError(f"handshake answer without an integer code: {data[:80]!r}")
        if code != 200:
            return cls(code)
        system = answer.get("sys")
        if not isinstance(system, dict):
            raise ProtocolError("handshake answer without an object sys")
        return cls(
            code,
            _heartbeat(system.get("heartbeat")),
            answer.get("user"),
            _dictionary(system, kept),
            _protos(system, kept_protos),
        )


def refusal(code: int) -> bytes:
    """The package that refuses a client."""
    return package.encode(package.HANDSHAKE, b'{"code":%d}' % code)


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _version(value: Any) -> str | None:
    """A cached version; what JavaScript takes for false means none (the browser sends 0)."""
    if not value:
        return None
    return value if isinstance(value, str) else "?"


def _heartbeat(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6:
        return float(value)
    return None


def _dictionary(system: dict[str, Any], kept: RouteDictionary) -> RouteDictionary:
    codes = system.get("dict")
    if isinstance(codes, dict):
        return RouteDictionary.from_wire(codes, _version(system.get("dictVersion")) or "")
    return kept if system.get("useDict") else EMPTY


def _protos(system: dict[str, Any], kept: Protos) -> Protos:
    """Only what this answer speaks of: schemas kept from elsewhere are no one's business here."""
    protos = system.get("protos")
    if protos is not None:
        return Protos.from_wire(protos)
    return kept if system.get("useProto") else NO_PROTOS
