"""What the clients of one frontend speak, when that is less than what its cluster speaks.

Servers write packages once for all frontends, with the cluster's codes and schemas. A frontend that
has told its clients nothing of them rewrites what passes: codes become routes, and bodies by schema
become JSON. Requests go the other way. A push is rewritten once, however many sockets it goes to.
"""

from __future__ import annotations

import logging
from collections import Counter

import msgspec

from zchat.errors import BadRequest, ProtocolError, RequestError
from zchat.frontend.sockets.frames import frame
from zchat.protocol.body import dumps, loads
from zchat.protocol.dictionary import EMPTY, RouteDictionary
from zchat.protocol.message import Message, data_push, decode
from zchat.protocol.misfit import Misfit
from zchat.protocol.package import HEADER
from zchat.protocol.protos import NO_PROTOS, Protos

logger = logging.getLogger("zchat.session")


class Dialect:
    """One frontend's codes and schemas, beside those of its cluster.

    Args:
        dictionary: the cluster's.
        protos: the cluster's.
        codes: whether clients are told the dictionary.
        schemas: whether clients are told the protos.

    Attributes:
        dictionary: what clients are told.
        protos: likewise.
        bodies: what the servers of the cluster write with.
        is_whole: whether clients speak all that the cluster does: then nothing is rewritten, and
            none of the methods has to be called.
        counters: `unreadable`, what other servers wrote by schemas that are not ours.
    """

    __slots__ = ("_codes", "bodies", "counters", "dictionary", "is_whole", "protos")

    def __init__(
        self,
        dictionary: RouteDictionary = EMPTY,
        protos: Protos = NO_PROTOS,
        *,
        codes: bool = True,
        schemas: bool = True,
    ) -> None:
        self._codes = dictionary
        self.bodies = protos.at_server
        self.dictionary = dictionary if codes else EMPTY
        self.protos = protos if schemas else NO_PROTOS
        self.is_whole = (codes or not dictionary) and (schemas or not protos)
        self.counters: Counter[str] = Counter()

    def request(self, message: Message) -> Message:
        """What a client has asked, as servers read it.

        Raises:
            BadRequest: the body does not fit the route's schema, or is no JSON.
        """
        schema = None if self.protos else self.bodies.incoming.get(message.route)
        if schema is None:
            return message
        try:
            body = schema.encode(loads(message.body or b"{}"))
        except Misfit as misfit:
            raise BadRequest(misfit.problem, path=misfit.path) from None
        except ProtocolError as error:
            raise BadRequest(f"the body is {error}") from None
        return msgspec.structs.replace(message, body=body)

    def answer(self, route: str, body: bytes) -> bytes:
        """What a server answers on `route`, as clients read it; one that cannot be read is 500."""
        try:
            return self._to_clients(route, body)
        except (ProtocolError, ValueError) as error:
            self._complain(route, error)
            return dumps(RequestError("internal error").body())

    def push(self, package: bytes) -> bytes:
        """A push of a server, as clients read it; empty if it cannot be read."""
        if not package:
            return b""
        route = ""
        try:
            message = decode(package, self._codes, HEADER)
            route = message.route
            return data_push(route, self._to_clients(route, message.body), self.dictionary)
        except (ProtocolError, ValueError) as error:
            self._complain(route, error)
            return b""

    def framed(self, package: bytes) -> bytes:
        """The same as a WebSocket frame; empty likewise."""
        rewritten = self.push(package)
        return frame(rewritten) if rewritten else b""

    def _to_clients(self, route: str, body: bytes) -> bytes:
        schema = None if self.protos else self.bodies.outgoing.get(route)
        return body if schema is None else dumps(schema.decode(body))

    def _complain(self, route: str, error: Exception) -> None:
        self.counters["unreadable"] += 1
        logger.error("what another server wrote on %s cannot be read: %s", route or "a push", error)
