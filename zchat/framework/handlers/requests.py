"""Requests that frontends forward, from the link they came on to their one answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from zchat.cluster.envelope import IDEMPOTENT, NOTIFY, Request
from zchat.cluster.rpc_server import RemotePeer
from zchat.errors import RequestError, Unavailable
from zchat.framework.handlers.dispatcher import Dispatcher
from zchat.framework.peers.node import Node
from zchat.framework.sessions.backend_session import BackendSession
from zchat.frontend.session import Snapshot, decode_snapshot

logger = logging.getLogger("zchat.cluster")


class Requests:
    """Runs them here.

    Args:
        node: the server's links.
        dispatcher: its handlers.
        meet: told of the session of each request; None when nobody wants to know.
    """

    def __init__(
        self,
        node: Node,
        dispatcher: Dispatcher,
        meet: Callable[[Snapshot], None] | None = None,
    ) -> None:
        self._node = node
        self._dispatcher = dispatcher
        self._meet = meet
        self._stopping = False

    def stop(self) -> None:
        """Begin none any more. Those under way go on."""
        self._stopping = True

    def take(self, peer: RemotePeer, request: Request) -> None:
        """One came in; what this raises is answered by the RpcServer."""
        if self._stopping:
            self._refuse(peer, request)
            return
        snapshot = decode_snapshot(request.session)
        if self._meet is not None:
            self._meet(snapshot)
        self._node.spawn(self._run(peer, request, snapshot), request.route)

    def _refuse(self, peer: RemotePeer, request: Request) -> None:
        """No request begins while we stop.

        Idempotent ones stay unanswered: whoever sent them sends them again, to our next life or,
        when our line is taken out of servers.json, to whom it picks then.
        """
        if not request.kind & (NOTIFY | IDEMPOTENT):
            error = Unavailable(f"{self._node.server.id} is stopping")
            self._node.rpc_server.fail(peer, request.id, error.code, error.message, **error.fields)

    async def _run(self, peer: RemotePeer, request: Request, snapshot: Snapshot) -> None:
        budget = request.budget_ms / 1000
        session = BackendSession(snapshot, self._node.call)
        turn = self._dispatcher.turn(request.route, session.ref)
        if turn is None:
            await self._answer(peer, request, session, budget)
            return
        until = time.monotonic() + budget
        async with turn:
            session = await self._as_it_is_now(session, until)
            await self._answer(peer, request, session, until - time.monotonic())

    async def _as_it_is_now(self, session: BackendSession, until: float) -> BackendSession:
        """The copy came with the request, before those that were first had changed the session."""
        budget = until - time.monotonic()
        try:
            args = (session.ref,)
            snapshot = await self._node.call(session.frontend, "session.get", args, budget)
        except RequestError as error:
            logger.debug("! %s does not answer for a session: %s", session.frontend, error)
            return session
        if snapshot is None:  # the client has gone; what it wanted is done all the same
            return session
        return BackendSession(decode_snapshot(snapshot), self._node.call)

    async def _answer(
        self, peer: RemotePeer, request: Request, session: BackendSession, budget: float
    ) -> None:
        route, body, message = request.route, request.body, request.message_id
        answer = await self._dispatcher.answer(route, session, body, message, budget)
        if not request.kind & NOTIFY:
            self._node.rpc_server.reply(peer, request.id, answer)
