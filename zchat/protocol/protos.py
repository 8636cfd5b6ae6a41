"""The schemas of a cluster's bodies, by route; bodies of routes without one are JSON.

What a server says on a route (a response to a request on it, or a push) has another schema than
what clients say on it: `serverProtos` and `clientProtos` (pomelo wire 8.1). All servers of a
cluster have the same; clients get them in the handshake and keep them by their version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from zchat.errors import ProtocolError
from zchat.protocol.body import dumps, loads
from zchat.protocol.fingerprint import fingerprint
from zchat.protocol.protobuf import MessageType
from zchat.protocol.schema import Parsed, SchemaError, compile_routes

__all__ = ["NO_PROTOS", "ProtoCodec", "Protos"]


class ProtoCodec:
    """Bodies of one end of the connections, a `BodyCodec`.

    Args:
        outgoing: schemas of what this end says.
        incoming: schemas of what it hears.
    """

    __slots__ = ("incoming", "outgoing")

    def __init__(
        self, outgoing: Mapping[str, MessageType], incoming: Mapping[str, MessageType]
    ) -> None:
        self.outgoing = outgoing
        self.incoming = incoming

    def encode(self, route: str, value: Any) -> bytes:
        """The bytes of a body said on `route`.

        With a schema they are empty when no field is there, which means `{}`. Values that are
        neither JSON nor protobuf (dates, structs) are turned into what JSON would have for them.

        Raises:
            Misfit: the value does not fit the route's schema.
            TypeError, ValueError: neither JSON nor protobuf can hold it.
        """
        schema = self.outgoing.get(route)
        if schema is None:
            return dumps(value)
        return schema.encode(msgspec.to_builtins(value, str_keys=True))

    def decode(self, route: str, data: bytes) -> Any:
        """The body heard on `route`, or in answer to a request on it.

        Raises:
            ProtocolError: the bytes are no body of this route; a Misfit, when it has a schema.
        """
        schema = self.incoming.get(route)
        return loads(data) if schema is None else schema.decode(data)

    def failure(self, route: str, body: Mapping[str, Any]) -> bytes:
        """The answer to a request that failed: what the route's schema can carry of it.

        Without a field for `code` or with required fields that is nothing, which clients read as
        `{}`; JSON would be garbage to them (pomelo wire 8.6).

        Raises:
            TypeError, ValueError: the route has no schema and JSON cannot hold the body.
        """
        schema = self.outgoing.get(route)
        if schema is None:
            return dumps(body)
        try:
            return schema.encode(msgspec.to_builtins(body, str_keys=True))
        except (TypeError, ValueError, RecursionError):
            return b""


class Protos:
    """Both files. Without any schema it is empty, and all bodies are JSON.

    Args:
        server: the parsed form of config/serverProtos.json.
        client: the parsed form of config/clientProtos.json.
        version: what clients name to show that they have these; by default made of the contents.

    Raises:
        SchemaError: these are no parsed forms.
    """

    __slots__ = ("_client", "_server", "at_client", "at_server", "version")

    def __init__(
        self,
        server: Parsed | None = None,
        client: Parsed | None = None,
        version: str | None = None,
    ) -> None:
        self._server = server or {}
        self._client = client or {}
        if version is None:
            version = fingerprint(self._client, self._server) if self else ""
        self.version = version
        said, asked = compile_routes(self._server), compile_routes(self._client)
        self.at_server = ProtoCodec(said, asked)
        """What servers write with."""
        self.at_client = ProtoCodec(asked, said)
        """What clients write with."""

    @classmethod
    def from_wire(cls, protos: Any) -> Protos:
        """The schemas that a server sent as `sys.protos`.

        Raises:
            ProtocolError: it sent something else.
        """
        match protos:
            case {"server": dict(server), "client": dict(client), "version": version}:
                try:
                    return cls(server, client, version if isinstance(version, str) else "")
                except SchemaError as error:
                    raise ProtocolError(f"the server's protos: {error}") from None
        raise ProtocolError("the server's protos: expected server, client and version")

    def as_wire(self) -> dict[str, Any]:
        """`sys.protos` of the handshake. Empty ones have version 0 and make clients forget."""
        return {"server": self._server, "client": self._client, "version": self.version or 0}

    def __bool__(self) -> bool:
        return bool(self._server or self._client)


NO_PROTOS = Protos()
"""No schemas; shared, because it never changes."""
