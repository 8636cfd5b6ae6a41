"""The side that binds: answers other servers, and asks them on the same pipes.

A life of a peer begins with its Hello and ends when it stays silent, when libzmq has no link to it
any more (EHOSTUNREACH), or when a newer life of the same server says Hello. What a life that has
ended still sends is refused: a process that was replaced while it was frozen must not come back.
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
from zchat.cluster.envelope import (
    Call,
    Cast,
    Envelope,
    Failure,
    Hello,
    Ping,
    Pong,
    Reply,
    Request,
    Stranger,
    encode,
    failure,
    pack,
)
from zchat.cluster.handlers import ServerHandlers, guarded, hear
from zchat.cluster.identity import OPERATOR, LocalServer, routing_id
from zchat.cluster.limits import Limits
from zchat.cluster.lives import Lives
from zchat.cluster.pipe import Pipe
from zchat.cluster.refusals import Refusals
from zchat.cluster.remote_peer import RemotePeer
from zchat.cluster.router import Router, UnreachableError
from zchat.errors import Unavailable

__all__ = ["RemotePeer", "RpcServer", "ServerHandlers"]

logger = logging.getLogger("zchat.cluster")

_STRANGER: Final = encode([Stranger()])


def _level(peer: RemotePeer) -> int:
    """How loud its links are in the log: each `zchat status` is a life of its own."""
    return logging.DEBUG if peer.server_type == OPERATOR else logging.INFO


# Seconds that a peer whose link broke has to make a new one before it is probed: a reconnect takes
# up to 0.2 s.
_PROBE_AFTER: Final = 0.5


class RpcServer:
    """A ROUTER and the peers that said Hello to it.

    What goes to one peer keeps its order, and all of one turn of the loop goes out as one message.
    When a peer's pipe is full, answers and casts to it are dropped and calls fail (see Pipe). When
    `limits.peers` have said Hello, further ones are refused and counted.

    Args:
        context: where the socket comes from.
        local: who we are.
        handlers: what the owner wants to hear of.
        limits: bounds and intervals.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        context: Context,
        local: LocalServer,
        handlers: ServerHandlers | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.generation = 0
        """What our Welcomes and Pongs tell; the owner sets it."""
        self.refusals = Refusals(f"ROUTER of {local.id}", clock)
        self.unreachable = 0
        """Messages for which libzmq had no link (EHOSTUNREACH)."""
        self.undelivered = 0
        """Answers and casts to lives that were lost before."""
        self._context = context
        self._local = local
        self._handlers = handlers or ServerHandlers()
        self._limits = limits or Limits()
        self._lives = Lives(self._limits.peers)
        self.peers = self._lives.up
        """The lives that are up, by server id."""
        self._clock = clock
        self._router: Router | None = None
        self._last_id = 0
        self._ticked = clock()
        self._dirty: list[RemotePeer] = []
        self._probe: asyncio.TimerHandle | None = None
        self._stalled: list[RemotePeer] = []
        self._gone: Counter[str] = Counter()

    @property
    def counters(self) -> Counter[str]:
        """What the pipes and the ROUTER have counted since the start."""
        total = Counter(self._gone)
        for peer in self.peers.values():
            total.update(peer.pipe.counts)
        total["router_refused"] = self.refusals.total
        total["router_unreachable"] = self.unreachable
        total["router_undelivered"] = self.undelivered
        return total

    def bind(self, address: str) -> str:
        """Listens at `tcp://host:port`; once.

        Returns:
            The address with the port that was chosen, where it said 0.

        Raises:
            ConfigError: nothing protects an address that other machines can reach.
            OSError: the address is taken or not ours.
        """
        self._router = Router(
            self._context,
            address,
            self.refusals,
            self._on_message,
            self._wake_stalled,
            self._on_unlinked,
        )
        return self._router.address

    def reply(self, peer: RemotePeer, request_id: int, body: bytes) -> bool:
        """Answers a Request (the body for the client) or a Call (`envelope.pack` of its result).

        Returns:
            Whether it was queued: not if that life is lost or its pipe is full.
        """
        if len(body) > self._limits.queue_bytes // 2:
            return self.fail(peer, request_id, 500, "the answer is too large")
        return self._tell(peer, Reply(request_id, body))

    def fail(
        self, peer: RemotePeer, request_id: int, code: int, message: str, **fields: Any
    ) -> bool:
        """Answers a Request or a Call with an error."""
        return self._tell(peer, failure(request_id, code, message, fields))

    async def call(
        self,
        peer: RemotePeer,
        method: str,
        args: object,
        budget: float,
        origin: bytes = b"",
        idempotent: bool = False,
    ) -> Any:
        """Calls a method of a server that is connected to us and waits for its result.

        Args:
            peer: a life of it.
            method: its name there.
            args: anything msgpack can hold.
            budget: seconds until it fails.
            origin: the context of the request in which it is made, opaque here.
            idempotent: calling it twice does no harm, so it is sent again after a lost link.

        Raises:
            RequestError: it failed, there or on the way: Unavailable, TimedOut, ...
            TypeError: `args` cannot be packed.
        """
        if not peer.alive:
            raise Unavailable(f"lost {peer.server_id}")
        self._last_id += 1
        question = Question(self._last_id, method, args, budget, origin)
        question.put(peer.pipe, self._clock() + budget, idempotent=idempotent)
        self._mark(peer)
        return await question.result(peer.pipe)

    def cast(self, peer: RemotePeer, method: str, args: object) -> bool:
        """Tells a peer something, best effort.

        Returns:
            Whether it was queued: not if that life is lost or its pipe is full.

        Raises:
            TypeError: `args` cannot be packed.
        """
        return self._tell(peer, Cast(method, pack(args)))

    def ping(self) -> None:
        """Sends a ping to each peer now: it carries the generation."""
        for peer in self.peers.values():
            peer.pipe.tell(Ping(self.generation))
            self._mark(peer)

    def tick(self, now: float) -> None:
        """Fails what is overdue, finds peers that are gone or have gone silent.

        To be called twice an interval at least, and about every 100 ms while something is asked: no
        deadline is seen before. A gap of more than an interval since the last call counts
        as our own sleep (a stopped process, a busy loop) and is not held against the peers.
        """
        interval = self._limits.liveness_interval
        asleep = max(0.0, now - self._ticked - interval)
        self._ticked = now
        for peer in list(self.peers.values()):
            peer.heard += asleep
            peer.pipe.expire(now, up=True)
            silence = now - peer.heard
            if silence > self._limits.liveness:
                self._lose(peer, "silent")
            elif silence > 1.5 * interval and now - peer.probed >= interval:
                # It should have pinged. Writing shows at once if libzmq has no link to it.
                peer.probed = now
                peer.pipe.tell(Ping(self.generation))
            if peer.pipe.waiting:
                self._mark(peer)
        self._stalled.clear()

    def close(self) -> None:
        """Writes what waits if it can be written at once, then closes. Idempotent."""
        if self._router is None:
            return
        if self._probe is not None:
            self._probe.cancel()
        self._flush()
        self._router.close()
        self._router = None
        for peer in list(self.peers.values()):
            self._remove(peer)

    def _tell(self, peer: RemotePeer, envelope: Envelope) -> bool:
        if not peer.alive:
            self.undelivered += 1
            return False
        queued = peer.pipe.tell(envelope)
        if not peer.dirty:
            self._mark(peer)
        return queued

    def _on_unlinked(self) -> None:
        """Some peer's link broke: a write to each shows who is gone, before the silence would."""
        if self._probe is None:
            loop = asyncio.get_running_loop()
            self._probe = loop.call_later(_PROBE_AFTER, self._probe_all)

    def _probe_all(self) -> None:
        self._probe = None
        self.ping()

    def _mark(self, peer: RemotePeer) -> None:
        """The peer's pipe is flushed in the next turn of the loop."""
        if peer.dirty or not peer.alive:
            return
        peer.dirty = True
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(peer)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        router = self._router
        if router is None:
            return
        now = self._clock()
        for peer in dirty:
            peer.dirty = False
            if peer.alive:
                self._flush_peer(router, peer, now)
        router.check()

    def _flush_peer(self, router: Router, peer: RemotePeer, now: float) -> None:
        try:
            if not peer.pipe.flush(partial(router.write, peer.identity), now):
                self._stalled.append(peer)
        except UnreachableError:
            self.unreachable += 1
            self._lives.unlink(peer.identity)
            self._lose(peer, "unreachable")

    def _wake_stalled(self) -> None:
        """libzmq reported something: perhaps that a slow peer takes more."""
        stalled, self._stalled = self._stalled, []
        for peer in stalled:
            self._mark(peer)

    def _on_message(self, identity: bytes, message: bytes) -> int:
        """Handles a batch; returns how many envelopes it had."""
        envelopes = self.refusals.read(message, identity)
        if not envelopes:
            return 0
        peer = self._lives.by_identity.get(identity)
        if peer is None:
            peer = self._admit(identity, envelopes)
            if peer is None:
                return len(envelopes)
        peer.heard = self._clock()
        on_request = self._handlers.on_request
        for envelope in envelopes:
            if not peer.alive:
                break  # a handler closed us
            if type(envelope) is Request:
                # One handler's fault must not keep the other requests of the batch from theirs.
                try:
                    on_request(peer, envelope)
                except Exception:
                    logger.exception("request %d of %r failed", envelope.id, peer)
                    self.fail(peer, envelope.id, 500, "internal error")
            elif type(envelope) is Reply or type(envelope) is Failure:
                peer.pipe.answer(envelope)
            else:
                self._take(peer, envelope)
        return len(envelopes)

    def _take(self, peer: RemotePeer, envelope: Envelope) -> None:
        match envelope:
            case Call():
                if not guarded(self._handlers.on_call, peer, envelope):
                    self.fail(peer, envelope.id, 500, "internal error")
            case Cast():
                guarded(self._handlers.on_cast, peer, envelope)
            case Ping():
                hear(peer, envelope.generation, self._handlers.on_generation)
                self._tell(peer, Pong(self.generation))
            case Pong():
                hear(peer, envelope.generation, self._handlers.on_generation)
            case Hello():
                self._take_hello(peer, envelope)
            case _:
                self.refusals.refuse("misplaced", peer.identity, type(envelope).__name__)

    def _admit(self, identity: bytes, envelopes: list[Envelope]) -> RemotePeer | None:
        """The peer that says Hello in the first of these envelopes; None if it may not."""
        hello, count = envelopes[0], len(envelopes)
        if self._lives.was_replaced(identity):
            self.refusals.refuse("replaced life", identity, count=count)
            return None
        if not isinstance(hello, Hello):
            self._refuse_stranger(identity, count)
            return None
        wrong = self._lives.objection(identity, hello)
        if wrong is not None:
            reason, detail = wrong
            self.refusals.refuse(reason, identity, detail, count)
            return None
        older = self.peers.get(hello.server_id)
        if older is not None:
            self._lose(older, "restarted")
        pipe = Pipe(hello.server_id, self._limits)
        peer = RemotePeer(identity, hello, pipe, self._clock())
        self._lives.begin(peer)
        logger.log(
            _level(peer), "link from %s up (incarnation %s)", peer.server_id, peer.incarnation
        )
        return peer

    def _take_hello(self, peer: RemotePeer, hello: Hello) -> None:
        """The first envelope of a life, or of a new link of it."""
        if peer.identity != routing_id(hello.server_id, hello.incarnation):
            self.refusals.refuse("false name", peer.identity, hello.server_id)
            return
        peer.generation = hello.generation
        peer.pipe.tell(self._local.welcome(self.generation))
        peer.pipe.relink(self._clock(), same_life=True)
        self._mark(peer)
        guarded(self._handlers.on_up, peer)

    def _refuse_stranger(self, identity: bytes, count: int) -> None:
        if self._lives.was_unlinked(identity):
            # A write met the end of its link before we had read all that came over it.
            self.refusals.count("last words", count)
        else:
            self.refusals.refuse("no Hello", identity, count=count)
        if self._router is None:
            return
        try:
            self._router.write(identity, _STRANGER)
        except UnreachableError:
            self.unreachable += 1

    def _lose(self, peer: RemotePeer, why: str) -> None:
        if not peer.alive:
            return
        self._remove(peer)
        self._lives.lose(peer)
        logger.log(_level(peer), "link from %s lost (%s)", peer.server_id, why)
        guarded(self._handlers.on_lost, peer)

    def _remove(self, peer: RemotePeer) -> None:
        self._lives.end(peer)
        peer.pipe.abandon()
        self._gone.update(peer.pipe.counts)
