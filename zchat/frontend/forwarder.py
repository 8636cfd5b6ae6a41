"""From a client's message to one answer.

Requests for this server's own type run here; others go, unread, to the server that the route's
router picks. Every request is answered exactly once, a notify never. A message whose id is 0 is a
notify, whatever its type (pomelo wire 11.3).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from zchat.cluster.envelope import IDEMPOTENT, NOTIFY, Answer, Failure, Reply
from zchat.cluster.rpc_client import RpcClient
from zchat.errors import RequestError, Unavailable
from zchat.frontend.dialect import Dialect
from zchat.frontend.hub import Hub
from zchat.frontend.lane import Lane
from zchat.frontend.session import Session
from zchat.protocol.message import Message, data_response
from zchat.route import server_type

logger = logging.getLogger("zchat.session")

TOO_MANY_REQUESTS = 429
INTERNAL_ERROR = RequestError("internal error")
HELD_TOO_LONG = Unavailable("earlier requests were not answered in time")

Finish = Callable[[bytes], None]
"""Takes the body of the answer."""

Pick = Callable[[str, Session, str, bytes], str]
"""(server type, session, route, body) -> server id; raises RequestError."""

Local = Callable[[Session, Message, Finish], None]
"""Runs a handler of this server and calls finish once."""


class Waiting:
    """One message under way; called with the answer, by whoever has it. Only the first counts."""

    __slots__ = (
        "_forwarder",
        "done",
        "failure",
        "lane",
        "message",
        "session",
        "since",
        "snapshot",
    )

    lane: Lane[Waiting]
    snapshot: bytes
    """The session as it was when the message came, for handlers elsewhere: a later change of the
    session must not change what an earlier message means."""

    def __init__(
        self, forwarder: Forwarder, session: Session, message: Message, since: float
    ) -> None:
        self._forwarder = forwarder
        self.session = session
        self.message = message
        self.since = since
        self.failure = b""
        """What it is answered with if it cannot be sent again in time; empty before it failed."""
        self.done = False

    def __call__(self, answer: Answer) -> None:
        """What another server, or the link to it, answers."""
        self._forwarder.answered(self, answer)

    def finish(self, body: bytes) -> None:
        """What a handler here answers."""
        self._forwarder.finish(self, body)


class Forwarder:
    """Where messages of clients go.

    The messages of one session to one server type keep their order: while requests are unanswered
    at one server, what is meant for another is held (see Lane), and is picked anew once they are
    answered. Requests whose server was taken out of servers.json are picked anew too, before newer
    ones, if their routes are `retried`. Notifies have no answer that tells when they are done: they
    wait for requests before them, but nothing waits for them; their order holds on one server, and
    those that a lost server had are lost.

    Args:
        own_type: this server's type.
        client: the links to other servers.
        pick: chooses the server for a type.
        local: runs handlers of the own type.
        hub: is told when an answer is written.
        deadline: seconds in which a request must be answered, counted from when it came in.
        limit: requests and notifies of one session that are under way or held. When full, further
            requests are answered with 429 and notifies dropped; both are counted.
        now: seconds of the clock that `tick` tells.
        retried: routes whose handlers may run twice.
        dialect: what clients speak, and what servers do.
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
        now: float,
        retried: frozenset[str] = frozenset(),
        dialect: Dialect | None = None,
    ) -> None:
        self._own_type = own_type
        self._client = client
        self._pick = pick
        self._local = local
        self._hub = hub
        self._deadline = deadline
        self._limit = limit
        self._now = now
        self._retried = retried
        self._dialect = dialect or Dialect()
        self._holding: dict[Lane[Waiting], None] = {}
        self.counters: Counter[str] = Counter()

    def take(self, session: Session, message: Message) -> None:
        """A message came in on a session."""
        if session.requests >= self._limit:
            self.counters["too_many_in_flight"] += 1
            if message.id:
                error = RequestError("too many requests at once", code=TOO_MANY_REQUESTS)
                self._write(session, message, self._failure(message, error))
            return
        session.requests += 1  # until `finish`
        waiting = Waiting(self, session, message, self._now)
        if message.id:
            if session.in_flight is None:
                session.in_flight = set()
            session.in_flight.add(message.id)
        try:
            if not self._dialect.is_whole:
                waiting.message = self._dialect.request(message)
            self._send(waiting)
        except Exception as error:
            self._refuse(waiting, error)

    def answered(self, waiting: Waiting, answer: Answer) -> None:
        """Another server's answer is here, or the link to it has failed."""
        if waiting.done:
            self.counters["answered_twice"] += 1
            return
        lane = waiting.lane
        lane.under_way -= 1
        if isinstance(answer, Reply):
            self.finish(waiting, answer.body)
        elif lane.server in self._client.peers:
            self.finish(waiting, self._failure(waiting.message, answer.error()))
        else:
            # Its others fail next, and the servers that come instead are linked after that: what
            # is held goes on with the `repick` that follows.
            self._server_gone(waiting, answer)
            return
        if lane.held and not lane.under_way:
            self._release(lane)

    def finish(self, waiting: Waiting, body: bytes) -> None:
        """The one answer is here."""
        if waiting.done:
            self.counters["answered_twice"] += 1
            return
        waiting.done = True
        session = waiting.session
        session.requests -= 1
        number = waiting.message.id
        if number:
            self._write(session, waiting.message, body)
            if session.in_flight is not None:
                session.in_flight.discard(number)
                if not session.in_flight:
                    session.in_flight = None
        if session.memberships is not None:
            self._hub.answered(session)
        if session.parting is not None and session.parting[0] == number:
            session.connection.close(session.parting[1])

    def repick(self) -> None:
        """Other servers may be meant now: send what is held, where nothing is before it."""
        for lane in list(self._holding):
            if not lane.under_way:
                self._release(lane)

    def tick(self, now: float) -> None:
        """Answer what was held for too long; call it at least twice a second.

        A message counts as come at the tick before it: it may be answered so much early.
        """
        self._now = now
        for lane in list(self._holding):
            for waiting in lane.overdue(now - self._deadline):
                self.counters["held_overdue"] += 1
                late = waiting.failure or self._failure(waiting.message, HELD_TOO_LONG)
                self.finish(waiting, late)
            if not lane.held:
                self._holding.pop(lane, None)
        self.repick()

    def closed(self, session: Session) -> None:
        """A session has ended: what it has held is dropped."""
        for lane in (session.lanes or {}).values():
            lane.closed = True
            self._holding.pop(lane, None)
            self.counters["held_dropped"] += len(lane.release())
        session.lanes = None

    def _send(self, waiting: Waiting) -> None:
        message = waiting.message
        target = server_type(message.route)
        if target == self._own_type:
            self.counters["local"] += 1
            self._local(waiting.session, message, waiting.finish)
            return
        if not target:
            raise RequestError(f"route {message.route[:100]!r} names no server type")
        session = waiting.session
        waiting.snapshot = session.encoded()
        lane = session.lanes.get(target) if session.lanes is not None else None
        if lane is not None and lane.held:
            waiting.lane = lane
            self._hold(lane, waiting)
            return
        server = self._pick(target, session, message.route, message.body)
        waiting.lane = lane or _add_lane(session, target)
        self._forward(waiting, server)

    def _forward(self, waiting: Waiting, server: str) -> None:
        """Send to this server, unless that could overtake what another one has."""
        lane, message = waiting.lane, waiting.message
        if lane.under_way and lane.server != server:
            self._hold(lane, waiting)
            return
        self.counters["forwarded"] += 1
        budget = self._deadline + waiting.since - self._now
        route, body, snapshot = message.route, message.body, waiting.snapshot
        if not message.id:
            self._client.request(server, route, snapshot, body, budget, NOTIFY, _unheard)
            self.finish(waiting, b"")
            return
        kind = IDEMPOTENT if route in self._retried else 0
        lane.server = server
        lane.under_way += 1
        self._client.request(server, route, snapshot, body, budget, kind, waiting, message.id)

    def _hold(self, lane: Lane[Waiting], waiting: Waiting) -> None:
        self.counters["held"] += 1
        self._holding[lane] = None
        lane.hold(waiting)

    def _release(self, lane: Lane[Waiting]) -> None:
        """Send what the lane holds, as far as it goes to one server; the rest is held again."""
        self._holding.pop(lane, None)
        for waiting in lane.release():
            if lane.closed:  # an answer was more than its connection could take
                return
            if lane.held:
                self._holding[lane] = None
                lane.hold(waiting)
                continue
            message = waiting.message
            target = server_type(message.route)
            try:
                server = self._pick(target, waiting.session, message.route, message.body)
                self._forward(waiting, server)
            except Exception as error:
                self._refuse(waiting, error)

    def _server_gone(self, waiting: Waiting, failure: Failure) -> None:
        """The server that had it was taken out of servers.json: another one may do it."""
        body = self._failure(waiting.message, failure.error())
        lane = waiting.lane
        if lane.closed or waiting.message.route not in self._retried:
            self.finish(waiting, body)
            return
        self.counters["sent_again"] += 1
        waiting.failure = body
        lane.hold_again(waiting)
        self._holding[lane] = None

    def _refuse(self, waiting: Waiting, error: Exception) -> None:
        """No server could be picked."""
        if not isinstance(error, RequestError):
            # A router is the application's code, and the body that it reads is the client's.
            logger.error("%s: no server could be picked", waiting.message.route, exc_info=error)
            error = INTERNAL_ERROR
        self.finish(waiting, waiting.failure or self._failure(waiting.message, error))

    def _failure(self, message: Message, error: RequestError) -> bytes:
        return self._dialect.bodies.failure(message.route, error.body())

    def _write(self, session: Session, message: Message, body: bytes) -> None:
        if not self._dialect.is_whole:
            body = self._dialect.answer(message.route, body)
        try:
            answer = data_response(message.id, body)
        except ValueError as error:  # another server's dispatcher may have other limits
            self.counters["answers_too_large"] += 1
            logger.error("request %d of session %d: %s", message.id, session.id, error)
            answer = data_response(message.id, self._failure(message, INTERNAL_ERROR))
        session.connection.send(answer)


def _add_lane(session: Session, target: str) -> Lane[Waiting]:
    lane: Lane[Waiting] = Lane()
    if session.lanes is None:
        session.lanes = {}
    session.lanes[target] = lane
    return lane


def _unheard(answer: Answer) -> None:
    """A notify that could not be sent: nobody waits for the answer."""
    logger.debug("! notify lost: %s", answer)
