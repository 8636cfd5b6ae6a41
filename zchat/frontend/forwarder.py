"""From a client's message to one answer.

Requests for this server's own type run here; others go, unread, to the server that the route's
router picks. Every request is answered exactly once, a notify never. A message whose id is 0 is a
notify, whatever its type (pomelo wire 11.3).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from zchat.cluster.envelope import IDEMPOTENT, NOTIFY, Answer, Reply
from zchat.cluster.rpc_client import RpcClient
from zchat.errors import RequestError
from zchat.frontend.hub import Hub
from zchat.frontend.session import Session
from zchat.protocol.body import dumps
from zchat.protocol.message import Message, data_response
from zchat.route import server_type

logger = logging.getLogger("zchat.session")

TOO_MANY_REQUESTS = 429
INTERNAL_ERROR = dumps({"code": 500, "error": "internal error"})

Finish = Callable[[bytes], None]
"""Takes the body of the answer."""

Pick = Callable[[str, Session, str, bytes], str]
"""(server type, session, route, body) -> server id; raises RequestError."""

Local = Callable[[Session, Message, Finish], None]
"""Runs a handler of this server and calls finish once."""


class Waiting:
    """One message under way; called with the answer, by whoever has it. Only the first counts."""

    __slots__ = ("_forwarder", "done", "id", "session")

    def __init__(self, forwarder: Forwarder, session: Session, id: int) -> None:  # noqa: A002
        self._forwarder = forwarder
        self.session = session
        self.id = id
        """Of the client's request; 0 for a notify."""
        self.done = False

    def __call__(self, answer: Answer) -> None:
        """What another server, or the link to it, answers."""
        body = answer.body if isinstance(answer, Reply) else dumps(answer.error().body())
        self._forwarder.finish(self, body)

    def finish(self, body: bytes) -> None:
        """What a handler here answers."""
        self._forwarder.finish(self, body)


class Forwarder:
    """Where messages of clients go.

    Args:
        own_type: this server's type.
        client: the links to other servers.
        pick: chooses the server for a type.
        local: runs handlers of the own type.
        hub: is told when an answer is written.
        deadline: seconds in which a request must be answered.
        limit: requests and notifies under way per session. When full, further requests are
            answered with 429 and notifies dropped; both are counted.
        retried: routes whose handlers may run twice.
    """

    def __init__(
        self,
        own_type: str,
        client: RpcClient,
        pick: Pick,
        local: Local,
        hub: Hub,
        *,
        deadline: float,
        limit: int,
        retried: frozenset[str] = frozenset(),
    ) -> None:
        self._own_type = own_type
        self._client = client
        self._pick = pick
        self._local = local
        self._hub = hub
        self._deadline = deadline
        self._limit = limit
        self._retried = retried
        self.counters: Counter[str] = Counter()

    def take(self, session: Session, message: Message) -> None:
        """A message came in on a session."""
        if session.requests >= self._limit:
            self.counters["too_many_in_flight"] += 1
            if message.id:
                error = RequestError("too many requests at once", code=TOO_MANY_REQUESTS)
                self._write(session, message.id, dumps(error.body()))
            return
        session.requests += 1  # until `finish`
        waiting = Waiting(self, session, message.id)
        if message.id:
            if session.in_flight is None:
                session.in_flight = set()
            session.in_flight.add(message.id)
        try:
            self._send(session, message, waiting)
        except RequestError as error:
            self.finish(waiting, dumps(error.body()))
        except Exception:
            # A router is the application's code, and the body that it reads is the client's.
            logger.exception("%s: no server could be picked", message.route)
            self.finish(waiting, INTERNAL_ERROR)

    def finish(self, waiting: Waiting, body: bytes) -> None:
        """The one answer is here."""
        if waiting.done:
            self.counters["answered_twice"] += 1
            return
        waiting.done = True
        session = waiting.session
        session.requests -= 1
        if waiting.id:
            self._write(session, waiting.id, body)
            if session.in_flight is not None:
                session.in_flight.discard(waiting.id)
                if not session.in_flight:
                    session.in_flight = None
        if session.memberships is not None:
            self._hub.answered(session)

    def _send(self, session: Session, message: Message, waiting: Waiting) -> None:
        route = message.route
        target = server_type(route)
        if target == self._own_type:
            self.counters["local"] += 1
            self._local(session, message, waiting.finish)
            return
        if not target:
            raise RequestError(f"route {route[:100]!r} names no server type")
        server = self._pick(target, session, route, message.body)
        self.counters["forwarded"] += 1
        kind = IDEMPOTENT if route in self._retried else 0
        if message.id:
            self._client.request(
                server,
                route,
                session.encoded(),
                message.body,
                self._deadline,
                kind,
                waiting,
                message.id,
            )
        else:
            self._client.request(
                server, route, session.encoded(), message.body, self._deadline, NOTIFY, _unheard
            )
            self.finish(waiting, b"")

    def _write(self, session: Session, id: int, body: bytes) -> None:  # noqa: A002
        try:
            answer = data_response(id, body)
        except ValueError as error:  # another server's dispatcher may have other limits
            self.counters["answers_too_large"] += 1
            logger.error("request %d of session %d: %s", id, session.id, error)
            answer = data_response(id, INTERNAL_ERROR)
        session.connection.send(answer)


def _unheard(answer: Answer) -> None:
    """A notify that could not be sent: nobody waits for the answer."""
    logger.debug("! notify lost: %s", answer)
