"""One connection of a client: handshake, requests and their answers, heartbeats, its end.

A link lives once. Whoever owns it opens another when it has ended; see `client.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zchat.client.scheme import MakeTransport
from zchat.client.transport import Disconnected, WebSocketTransport
from zchat.errors import ProtocolError, TimedOut, Unavailable
from zchat.protocol import message, package
from zchat.protocol.body import JSON, BodyCodec
from zchat.protocol.connection import ClientConnection
from zchat.protocol.events import (
    ClientEvent,
    HandshakeAccepted,
    HandshakeRefused,
    Kicked,
    Push,
    Response,
)
from zchat.protocol.package import DATA

KICK_PATIENCE = 2.0
"""Seconds that a server has to close the connection after its kick."""

MAX_HELD = 1000
"""Events that may wait for whoever was answered before them."""

# How many turns of the loop an answer has to reach whoever asked: one wakes a task that awaits it,
# and with `asyncio.gather` or `wait_for` between them that task is the third to wake.
_TURNS = 3

_FAULTS = frozenset((1002, 1003, 1007, 1008, 1009, 1010))
"""Close codes of RFC 6455 7.4.1 that say that the client did wrong, and would again."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection ended."""

    reason: str
    """In words; a kick's own reason after a kick."""

    reconnect: bool
    """Whether the client may come back by itself."""

    kicked: bool = False
    """Whether the server sent a kick."""

    code: int | None = None
    """The close code, if one came: in a WebSocket's close frame, or in a kick over TCP."""

    @classmethod
    def from_close(cls, code: int | None, reason: str, kick: str | None) -> Ending:
        """What a close means.

        Codes 4000-4499 invite to come back and 4500-4999 do not. Pomelo's own servers close with
        1000 whatever happened, so there a kick decides.

        Args:
            code: of the close frame or the kick; None when there was none.
            reason: of the close frame.
            kick: the reason in the kick package; None when none came.
        """
        if code is not None and code >= 4000:
            reconnect = code < 4500
        else:
            reconnect = code not in _FAULTS and kick is None
        return cls(kick or reason or "connection lost", reconnect, kick is not None, code)


class Link:
    """One connection.

    Events keep their order, also for whoever awaits an answer: pushes that came behind it wait
    until the awaiter has had its turn. When `MAX_HELD` events wait, all of them are handled at
    once. When `max_pending` requests wait for answers, further ones fail with `Unavailable`.

    Args:
        connection: the state machine, fresh.
        codec: turns bodies into bytes and back; None does it by the schemas of the server.
        on_push: gets route and body bytes of every push. It must not raise.
        on_end: called once when an opened link ends by itself, not by `close` or `abort`.
        limit: bytes that a message from the server may have.
        max_pending: requests that may wait for their answers.
        transport: makes the link's transport.
    """

    __slots__ = (
        "_alive_at",
        "_beat_timer",
        "_check_timer",
        "_codec",
        "_connection",
        "_given_codec",
        "_heartbeat",
        "_held",
        "_kick",
        "_kick_code",
        "_last_id",
        "_loop",
        "_max_pending",
        "_on_end",
        "_on_push",
        "_opened",
        "_pending",
        "_transport",
        "_turn",
        "ending",
    )

    def __init__(
        self,
        connection: ClientConnection,
        codec: BodyCodec | None,
        *,
        on_push: Callable[[str, bytes], None],
        on_end: Callable[[Ending], None],
        limit: int,
        max_pending: int,
        transport: MakeTransport = WebSocketTransport,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._given_codec = codec
        self._codec: BodyCodec = codec or JSON
        self._on_push = on_push
        self._on_end = on_end
        self._max_pending = max_pending
        self._transport = transport(self._receive, self._closed, limit)
        self._opened: asyncio.Future[HandshakeAccepted] = self._loop.create_future()
        self._pending: dict[
            int, tuple[asyncio.Future[Any], str, asyncio.TimerHandle]
        ] = {}  # future of the answer, route, time limit
        self._last_id = 0
        self._heartbeat = 0.0
        self._alive_at = 0.0
        self._beat_timer: asyncio.TimerHandle | None = None
        self._check_timer: asyncio.TimerHandle | None = None
        self._kick: str | None = None
        self._kick_code: int | None = None
        self._held: list[ClientEvent] = []
        self._turn: asyncio.Handle | None = None  # from an answer until its awaiter had its turn
        self.ending: Ending | None = None
        """Set once the link has ended."""

    async def open(self, url: str, timeout: float) -> HandshakeAccepted:
        """Connect and shake hands. The caller aborts the link when this fails.

        Args:
            timeout: seconds that all of it may take.

        Raises:
            Disconnected: it did not work, or the server refused us.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._transport.open(url, timeout)
                self._transport.send(self._connection.data_to_send())
                return await self._opened
        except TimeoutError:
            raise Disconnected(f"no handshake with {url} within {timeout} s") from None

    def request(self, route: str, body: Any, timeout: float) -> asyncio.Future[Any]:
        """Send a request.

        Returns:
            the body of its answer; or fails with `TimedOut`, `Disconnected` or `ProtocolError`.

        Raises:
            Disconnected: the link has ended.
            Unavailable: too many requests wait, or the server does not read; nothing was sent.
        """
        if len(self._pending) >= self._max_pending:
            raise Unavailable(f"{self._max_pending} requests wait for their answers")
        request_id = self._last_id + 1
        data = self._codec.encode(route, body)
        self._send(message.encode_request(request_id, route, data, self._connection.dictionary))
        self._last_id = request_id
        answer: asyncio.Future[Any] = self._loop.create_future()
        timer = self._loop.call_later(timeout, self._expire, request_id, timeout)
        self._pending[request_id] = (answer, route, timer)
        return answer

    def notify(self, route: str, body: Any) -> None:
        """Send a message that has no answer.

        Raises:
            Disconnected: the link has ended.
            Unavailable: the server does not read; nothing was sent.
        """
        data = self._codec.encode(route, body)
        self._send(message.encode_notify(route, data, self._connection.dictionary))

    async def close(self) -> None:
        """Say goodbye and wait until the connection is gone."""
        self._finish(Ending("closed by this client", reconnect=False))
        await self._transport.close()

    def lose(self, reason: str) -> None:
        """End as a link does whose network fails: whoever owns it is told, and may come back."""
        self._end(Ending(reason, reconnect=True))

    def abort(self) -> None:
        """Drop the connection at once."""
        self._finish(Ending("dropped by this client", reconnect=False))
        self._transport.abort()

    def _send(self, data: bytes) -> None:
        if self.ending is not None:
            raise Disconnected(self.ending.reason, reconnect=self.ending.reconnect)
        self._transport.send(package.encode(DATA, data))

    def _receive(self, data: bytes) -> None:
        if self.ending is not None:
            return
        self._alive_at = self._loop.time()
        try:
            self._take(self._connection.receive(data))
        except ProtocolError as error:
            self._end(Ending(f"the server breaks the protocol: {error}", reconnect=True))

    def _take(self, events: list[ClientEvent]) -> None:
        try:
            for event in events:
                if self._turn is None or (type(event) is Response and not self._held):
                    self._handle(event)
                else:
                    self._hold(event)
        except (Disconnected, Unavailable) as error:  # what we wanted to write meanwhile
            self._end(Ending(str(error), reconnect=True))

    def _hold(self, event: ClientEvent) -> None:
        self._held.append(event)
        if len(self._held) >= MAX_HELD:
            self._release()

    def _give_turn(self, turns: int) -> None:
        """Let whoever was answered go on before what came behind the answer is handled."""
        if self._turn is not None:
            self._turn.cancel()
        self._turn = self._loop.call_soon(self._go_on, turns - 1)

    def _go_on(self, turns: int) -> None:
        if turns:
            self._give_turn(turns)
            return
        self._turn = None
        held, self._held = self._held, []
        self._take(held)

    def _release(self) -> None:
        """Handle all that waits, now."""
        held, self._held = self._held, []
        for event in held:
            self._handle(event)

    def _handle(self, event: ClientEvent) -> None:
        if type(event) is Push:
            self._on_push(event.route, event.body)
        elif type(event) is Response:
            self._answered(event)
        elif type(event) is HandshakeAccepted:
            self._accepted(event)
        elif type(event) is HandshakeRefused:
            reason = f"handshake refused with code {event.code}"
            self._end(Ending(reason, reconnect=False, code=event.code))
        elif type(event) is Kicked:
            self._kick, self._kick_code = event.reason, event.code
            self._set_check(KICK_PATIENCE, self._gone_after_kick)
        elif self._heartbeat and self._beat_timer is None:
            # One exchange an interval: ours follows the server's, which may be many (wire 9.2).
            self._beat_timer = self._loop.call_later(self._heartbeat, self._beat)

    def _answered(self, response: Response) -> None:
        pending = self._pending.pop(response.id, None)
        if pending is None:
            return  # it came after its time limit
        answer, route, timer = pending
        timer.cancel()
        if answer.done():
            return  # whoever asked was cancelled
        try:
            answer.set_result(self._codec.decode(route, response.body))
        except ProtocolError as error:
            answer.set_exception(error)
        self._give_turn(_TURNS)

    def _expire(self, request_id: int, timeout: float) -> None:
        answer, route, _ = self._pending.pop(request_id)
        if not answer.done():
            answer.set_exception(TimedOut(f"no answer to {route} within {timeout} s"))

    def _accepted(self, event: HandshakeAccepted) -> None:
        self._transport.send(self._connection.data_to_send())
        self._codec = self._given_codec or event.protos.at_client
        if event.heartbeat is not None:
            self._heartbeat = event.heartbeat
            self._set_check(2 * self._heartbeat, self._check)
        if not self._opened.done():
            self._opened.set_result(event)

    def _beat(self) -> None:
        self._beat_timer = None
        self._connection.beat()
        try:
            self._transport.send(self._connection.data_to_send())
        except (Disconnected, Unavailable) as error:
            self._end(Ending(str(error), reconnect=True))

    def _check(self) -> None:
        """Give up a server that was silent for two intervals (wire 9.4)."""
        now = self._loop.time()
        left = self._alive_at + 2 * self._heartbeat - now
        if left <= 0 and self._check_timer is not None:
            # When it was we who were held up, what the server sent may still wait to be read.
            late = now - self._check_timer.when()
            left = min(late, self._heartbeat) if late > self._heartbeat / 4 else 0.0
        if left > 0:
            self._set_check(left, self._check)
        else:
            self._end(Ending("heartbeat timeout", reconnect=True))

    def _set_check(self, delay: float, check: Callable[[], None]) -> None:
        if self._check_timer is not None:
            self._check_timer.cancel()
        self._check_timer = self._loop.call_later(delay, check)

    def _gone_after_kick(self) -> None:
        self._closed(None, "")

    def _closed(self, code: int | None, reason: str) -> None:
        self._release()  # a kick may be among them
        told = self._kick_code if code is None else code
        self._end(Ending.from_close(told, reason, self._kick))

    def _end(self, ending: Ending) -> None:
        """The link ends by itself: whoever owns it is told."""
        self._release()
        if self.ending is not None:
            return
        was_open = self._opened.done()
        self._finish(ending)
        self._transport.abort()
        if was_open:
            self._on_end(ending)

    def _finish(self, ending: Ending) -> None:
        if self.ending is not None:
            return
        self.ending = ending
        self._held.clear()
        for timer in (self._beat_timer, self._check_timer, self._turn):
            if timer is not None:
                timer.cancel()
        if not self._opened.done():
            self._opened.set_exception(Disconnected(ending.reason, reconnect=ending.reconnect))
            self._opened.exception()  # nobody need be waiting for it
        for answer, route, timer in self._pending.values():
            timer.cancel()
            if not answer.done():
                answer.set_exception(
                    Disconnected(
                        f"{ending.reason}, before the answer to {route}",
                        reconnect=ending.reconnect,
                    )
                )
        self._pending.clear()
