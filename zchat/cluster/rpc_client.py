"""The side that connects: asks other servers, and is asked by them on the same pipe.

A link is a handshake of ZeroMQ. Each begins with our Hello; the Welcome names the peer's
incarnation and thereby says whether it still knows what it was asked. While a peer is not UP a
Hello goes out every interval instead of a Ping: that also heals a peer that lost us without the
link breaking.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from zchat.cluster.calls import Question
from zchat.cluster.context import Context
from zchat.cluster.dealer import Dealer
from zchat.cluster.envelope import (
    Call,
    Cast,
    Envelope,
    Failure,
    OnAnswer,
    Ping,
    Pong,
    Reply,
    Request,
    Stranger,
    Welcome,
    encode,
    failure,
    pack,
)
from zchat.cluster.handlers import ClientHandlers, guarded, hear
from zchat.cluster.identity import LocalServer
from zchat.cluster.limits import Limits
from zchat.cluster.peer import LOST, UP, Peer, PeerState
from zchat.cluster.pipe import Pipe, budget_ms
from zchat.cluster.refusals import Refusals
from zchat.errors import Unavailable

__all__ = ["ClientHandlers", "Peer", "PeerState", "RpcClient"]

logger = logging.getLogger("zchat.cluster")

# Of an interval between pings: looks that come a little early do not put one off until the next.
_PROBE: Final = 0.9
_SAY: Final = 10.0  # seconds between two lines about requests that were refused


class RpcClient:
    """Pipes to other servers' ROUTERs.

    What goes to one peer keeps its order, and all of one turn of the loop goes out as one message.
    When a peer's pipe is full, requests fail with 503 at once and casts are dropped (see Pipe); the
    log says how many were refused, every ten seconds.

    Args:
        context: where sockets come from.
        local: who we are.
        handlers: what the owner wants to hear of.
        limits: bounds and intervals.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        context: Context,
        local: LocalServer,
        handlers: ClientHandlers | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.generation = 0
        """What our Hellos and Pings tell; the owner sets it."""
        self.peers: dict[str, Peer] = {}
        """All that are connected to, by server id, whatever their state."""
        self.closed = False
        """Whether its owner has closed it, and should connect to nobody any more."""
        self.refusals = Refusals(f"DEALER of {local.id}", clock)
        self._context = context
        self._local = local
        self._handlers = handlers or ClientHandlers()
        self._limits = limits or Limits()
        self._clock = clock
        self._last_id = 0
        self._ticked = clock()
        self._dirty: list[Peer] = []
        self._gone: Counter[str] = Counter()
        self._said = 0  # how many refused requests the log has said
        self._say_at = float("-inf")

    @property
    def counters(self) -> Counter[str]:
        """What the pipes have counted and the DEALERs refused since the start."""
        total = Counter(self._gone)
        for peer in self.peers.values():
            total.update(peer.pipe.counts)
        total["dealer_refused"] = self.refusals.total
        return total

    def connect(self, server_id: str, address: str, server_key: bytes | None = None) -> Peer:
        """Uses a server from now on. Nothing changes if it is connected to at that address.

        Raises:
            ConfigError: the address is none, or plain traffic may not go there.
        """
        peer = self.peers.get(server_id)
        if peer is not None:
            if (peer.address, peer.server_key) == (address, server_key):
                return peer
            self.disconnect(server_id)
        peer = Peer(server_id, address, server_key, Pipe(server_id, self._limits), self._clock())
        peer.dealer = Dealer(
            self._context,
            self._local.routing_id,
            address,
            server_key,
            partial(self._on_message, peer),
            partial(self._on_wake, peer),
            partial(self._say_hello, peer),
            partial(self._on_unlinked, peer),
        )
        self.peers[server_id] = peer
        return peer

    def disconnect(self, server_id: str) -> None:
        """Stops using a server. What is unanswered fails at once; `on_lost` is not called.

        The server is not in `peers` any more when the failures are told: by this a request's owner
        knows that no later life of the server will do it.
        """
        peer = self.peers.pop(server_id, None)
        if peer is None:
            return
        peer.state = LOST
        peer.dealer.close()
        peer.pipe.abandon()
        self._gone.update(peer.pipe.counts)

    def hear_stopping(self, server_id: str, incarnation: str) -> None:
        """That life of a server begins no requests any more: they wait for its next one."""
        peer = self.peers.get(server_id)
        if peer is not None and peer.incarnation == incarnation:
            peer.stopping = True

    def request(
        self,
        peer_id: str,
        route: str,
        session: bytes,
        body: bytes,
        budget: float,
        kind: int,
        on_answer: OnAnswer,
        message_id: int = 0,
    ) -> int:
        """Forwards a client's request.

        Args:
            peer_id: the server that handles it.
            route: of the handler.
            session: snapshot of the session, opaque here.
            body: what the client sent.
            budget: seconds until it fails.
            kind: NOTIFY, IDEMPOTENT, both or 0.
            on_answer: gets a Reply or a Failure exactly once (for a notify: a Failure if it could
                not be written, else nothing). May be called before this returns.
            message_id: the client's own number for it; 0 for a notify.

        Returns:
            The id that the answer will have.
        """
        self._last_id = request_id = self._last_id + 1
        peer = self.peers.get(peer_id)
        if peer is None:
            on_answer(Failure(request_id, 503, f"no server {peer_id}", {"retry": True}))
            return request_id
        request = Request(request_id, route, session, body, budget_ms(budget), kind, message_id)
        at_once = peer.state is UP and not peer.stopping
        peer.pipe.ask_request(request, self._clock() + budget, on_answer, at_once=at_once)
        if not peer.dirty:
            self._mark(peer)
        return request_id

    async def call(
        self,
        peer_id: str,
        method: str,
        args: object,
        budget: float,
        origin: bytes = b"",
        idempotent: bool = False,
    ) -> Any:
        """Calls a method of another server and waits for its result.

        Args:
            peer_id: the server.
            method: its name there.
            args: anything msgpack can hold.
            budget: seconds until it fails.
            origin: the context of the request in which it is made, opaque here.
            idempotent: calling it twice does no harm, so it is sent again after a lost link.

        Raises:
            RequestError: it failed, there or on the way: Unavailable, TimedOut, ...
            TypeError: `args` cannot be packed.
        """
        peer = self.peers.get(peer_id)
        if peer is None:
            raise Unavailable(f"no server {peer_id}")
        self._last_id += 1
        question = Question(self._last_id, method, args, budget, origin)
        question.put(peer.pipe, self._clock() + budget, idempotent=idempotent)
        self._mark(peer)
        return await question.result(peer.pipe)

    def cast(self, peer_id: str, method: str, args: object) -> bool:
        """Tells another server something, best effort.

        Args:
            peer_id: the server.
            method: its name there.
            args: anything msgpack can hold.

        Returns:
            Whether it was queued: not if the peer is not UP or its pipe is full.

        Raises:
            TypeError: `args` cannot be packed.
        """
        peer = self.peers.get(peer_id)
        return peer is not None and self._tell(peer, Cast(method, pack(args)))

    def reply(self, peer: Peer, request_id: int, body: bytes) -> bool:
        """Answers a Call; `body` is its result from `envelope.pack`."""
        return self._tell(peer, Reply(request_id, body))

    def fail(self, peer: Peer, request_id: int, code: int, message: str, **fields: Any) -> bool:
        """Answers a Call with an error."""
        return self._tell(peer, failure(request_id, code, message, fields))

    def ping(self) -> None:
        """Sends a ping to each peer that is up now: it carries the generation."""
        for peer in self.peers.values():
            if peer.state is UP:
                self._tell(peer, Ping(self.generation))

    def tick(self, now: float) -> None:
        """Fails what is overdue, pings, finds peers that have gone silent.

        To be called twice an interval at least, and about every 100 ms while something is asked: no
        deadline is seen before. A gap of more than an interval since the last call counts
        as our own sleep (a stopped process, a busy loop) and is not held against the peers.
        """
        asleep = max(0.0, now - self._ticked - self._limits.liveness_interval)
        self._ticked = now
        for peer in list(self.peers.values()):
            peer.heard += asleep
            peer.pipe.expire(now, up=peer.state is UP)
            if peer.state is UP and now - peer.heard > self._limits.liveness:
                self._lose(peer, "silent")
            if now - peer.probed >= _PROBE * self._limits.liveness_interval:
                self._probe(peer, now)
            self._on_wake(peer)
        self._say_refused(now)

    def close(self) -> None:
        """Disconnects from all. Idempotent."""
        self.closed = True
        self._flush()
        for server_id in list(self.peers):
            self.disconnect(server_id)

    def _say_refused(self, now: float) -> None:
        pipes = [peer.pipe for peer in self.peers.values()]
        refused = self._gone["pipe_refused"] + sum(pipe.refused for pipe in pipes)
        if refused > self._said and now >= self._say_at:
            waits = sum(pipe.unanswered for pipe in pipes), sum(pipe.held for pipe in pipes)
            text = "%d requests refused: %d unanswered, %d bytes wait for other servers"
            logger.warning(text, refused - self._said, *waits)
            self._said, self._say_at = refused, now + _SAY

    def _tell(self, peer: Peer, envelope: Envelope) -> bool:
        if peer.state is not UP:
            peer.pipe.dropped += 1
            return False
        queued = peer.pipe.tell(envelope)
        self._mark(peer)
        return queued

    def _mark(self, peer: Peer) -> None:
        """The peer's pipe is flushed in the next turn of the loop."""
        if peer.dirty:
            return
        peer.dirty = True
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(peer)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for peer in dirty:
            peer.dirty = False
            if peer.state is UP and peer.pipe.waiting:
                self._flush_peer(peer)

    def _flush_peer(self, peer: Peer) -> None:
        peer.dealer.look()
        if peer.state is UP:
            peer.pipe.flush(peer.dealer.write, self._clock())
            peer.dealer.check()

    def _probe(self, peer: Peer, now: float) -> None:
        peer.probed = now
        if peer.state is UP:
            peer.pipe.tell(Ping(self.generation))
        elif peer.dealer.linked:
            self._say_hello(peer)

    def _say_hello(self, peer: Peer) -> None:
        """Past the pipe: nothing else is read before it. If lost, the next tick repeats it."""
        peer.dealer.write(encode([self._local.hello(self.generation)]))
        peer.dealer.check()

    def _on_unlinked(self, peer: Peer) -> None:
        if peer.state is UP:
            self._lose(peer, "broken")

    def _lose(self, peer: Peer, why: str) -> None:
        peer.state = LOST
        logger.info("link to %s lost (%s)", peer.server_id, why)
        guarded(self._handlers.on_lost, peer)

    def _on_message(self, peer: Peer, message: bytes) -> int:
        """Handles a batch; returns how many envelopes it had."""
        envelopes = self.refusals.read(message, peer.server_id)
        if envelopes:
            peer.heard = self._clock()
        answer = peer.pipe.answer
        for envelope in envelopes:
            if type(envelope) is Reply or type(envelope) is Failure:
                answer(envelope)
            else:
                self._take(peer, envelope)
        return len(envelopes)

    def _on_wake(self, peer: Peer) -> None:
        """This is how a pipe that was blocked gets on."""
        if peer.pipe.waiting and peer.state is UP:
            self._mark(peer)

    def _take(self, peer: Peer, envelope: Envelope) -> None:
        if self.peers.get(peer.server_id) is not peer:
            return  # an earlier envelope of the batch made the owner disconnect
        match envelope:
            case Call():
                self._take_call(peer, envelope)
            case Cast():
                guarded(self._handlers.on_cast, peer, envelope)
            case Ping():
                hear(peer, envelope.generation, self._handlers.on_generation)
                self._tell(peer, Pong(self.generation))
            case Pong():
                hear(peer, envelope.generation, self._handlers.on_generation)
            case Welcome():
                self._take_welcome(peer, envelope)
            case Stranger():
                # It has given us up, and what it knew of us: our next Welcome is a new beginning.
                if peer.state is UP:
                    self._lose(peer, "forgotten")
                self._say_hello(peer)
            case _:
                self.refusals.refuse("misplaced", peer.server_id, type(envelope).__name__)

    def _take_call(self, peer: Peer, call: Call) -> None:
        if not guarded(self._handlers.on_call, peer, call):
            self.fail(peer, call.id, 500, "internal error")

    def _take_welcome(self, peer: Peer, welcome: Welcome) -> None:
        if welcome.server_id != peer.server_id:
            self.refusals.refuse("wrong server", peer.server_id, welcome.server_id)
            return
        same_life = peer.incarnation in ("", welcome.incarnation)
        if peer.state is UP:
            if same_life:
                return
            self._lose(peer, "restarted")
        peer.state, peer.stopping = UP, peer.stopping and same_life
        peer.server_type = welcome.server_type
        peer.incarnation = welcome.incarnation
        peer.generation = welcome.generation
        peer.pipe.relink(self._clock(), same_life=same_life)
        logger.info("link to %s up (incarnation %s)", peer.server_id, peer.incarnation)
        self._mark(peer)
        guarded(self._handlers.on_up, peer)
