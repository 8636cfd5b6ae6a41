"""A room of an application, over a client: being in it and staying in it.

    client = connect("ws://127.0.0.1:3014", uid="ann")
    room = Room(
        client,
        enter="connector.entryHandler.enter",
        body={"username": "ann", "room": "pier"},
        history="chat.chatHandler.history",
    )
    room.on("onNews", print)
    room.on_lost(lambda hole: print("some history could not be recovered"))
    async with client:
        await room.send("chat.chatHandler.send", {"content": "hello", "target": "*"})

When the connection is lost, the client comes back and the room with it: what was published
meanwhile is told once and in order, and what was sent without an answer is sent again until there
is one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from zchat.client.answer import raise_for_code
from zchat.client.backoff import Backoff
from zchat.client.callbacks import Callbacks
from zchat.client.client import Client
from zchat.client.places import Places
from zchat.client.recovery import HISTORY_LOST, Event, Hole, Recovery
from zchat.client.sender import Sender
from zchat.client.state import OFFLINE, ONLINE, RECONNECTING, StateChange
from zchat.client.transport import Disconnected
from zchat.client.unsent import Unsent
from zchat.errors import RequestError, TimedOut, ZchatError
from zchat.rooms.resume import Token
from zchat.rooms.stream import StreamPosition
from zchat.rooms.wish import PRESENCE

PAGE = 200
"""Publications that are asked for at once on the way back."""


class Room:
    """One room at a time, entered whenever the client connects. Make it before the client starts.

    Pushes name no room, so a client has one `Room`. Its positions are kept for as long as it
    lives: a program that starts again begins anew, unless it says `since`.

    Args:
        client: not started yet.
        enter: the route of the request that enters the room.
        body: the body of that request; `since` and `resume` are added.
        history: the route that pages through what was said.
        since: where an earlier `Room` was, `recovery.position` or the `epoch` and `offset` of the
            last publication that is not to be told again; what was missed since is told. None: the
            room begins where it is entered.
        max_held: pushes that wait while missed ones are fetched; see `Recovery`.
        max_unsent: sends that wait to be acknowledged. When full, `send` fails with `Unavailable`.
        max_places: rooms left by `move` whose positions are kept. When full, the one that was left
            first is forgotten: coming back to it is like coming for the first time.
        prefix: begins the ids of sends; by default it is random.
        secret: by what the server knows this client again when it comes back; by default it is
            random. Nobody else may know it.
        backoff: the pauses before a send is sent again on the same connection.
    """

    def __init__(
        self,
        client: Client,
        *,
        enter: str,
        body: dict[str, Any],
        history: str,
        since: StreamPosition | None = None,
        max_held: int = 10_000,
        max_unsent: int = 1000,
        max_places: int = 20,
        prefix: str | None = None,
        secret: str | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._client = client
        self._enter_route = enter
        self._body = body
        self._history_route = history
        self._max_held = max_held
        self._places = Places(max_places)
        self._pushes: dict[str, Callbacks[Any]] = {}  # by route
        self._wish: dict[str, str] = {}  # how it wants to be told of members
        self._holes = Callbacks[Hole]()
        self._entries = Callbacks[dict[str, Any]]()
        self._changing = asyncio.Lock()  # entering or moving
        unsent = Unsent(secrets.token_hex(8) if prefix is None else prefix, max_unsent, backoff)
        self._sender = Sender(client.request, unsent)
        self.unsent = unsent
        """What is not acknowledged; its counters are for reading."""
        token = Token(secrets.token_hex(8) if secret is None else secret)
        self.recovery = Recovery(max_held, since, token)
        """The place in the room; its position and counters are for reading."""
        client.on_log_in(self._enter)
        client.on_state(self._client_changed)
        client.on(HISTORY_LOST, partial(self._pushed, HISTORY_LOST))

    def on(self, route: str, callback: Callable[[Any], object]) -> Callable[[], None]:
        """Have `callback` called with the body of every push on `route`, missed ones included.

        Publications come once and in order. Pushes that are none, such as those that tell of
        members, come in their place among those of their connection; what of these was missed is
        in the answer that `on_entered` tells. What is pushed while nobody listens to its route is
        not kept. What the callback raises is logged.

        Returns:
            a function that ends this.
        """
        if route not in self._pushes:
            self._pushes[route] = Callbacks()
            self._client.on(route, partial(self._pushed, route))
        return self._pushes[route].add(callback)

    def on_lost(self, callback: Callable[[Hole], object]) -> Callable[[], None]:
        """Have `callback` called when some history could not be recovered.

        It is called in order: what is told next comes after the hole.

        Returns:
            a function that ends this.
        """
        return self._holes.add(callback)

    def on_presence(self, callback: Callable[[list[str], list[str]], object]) -> Callable[[], None]:
        """Have `callback` called with the uids of those who came and of those who went.

        All of a moment are told together: this is for rooms of many people. The room asks for it
        whenever it is entered from now on, and then gets no other pushes that tell of members; the
        application has to pass the wish on (`presence` of `Channel.add`). While the client comes
        back, somebody may be told to have come who is in the answer of `on_entered` already.

        Returns:
            a function that ends this.
        """
        self._wish = {"presence": "diff"}
        return self.on(PRESENCE, lambda body: callback(body["joined"], body["left"]))

    def on_entered(self, callback: Callable[[dict[str, Any]], object]) -> Callable[[], None]:
        """Have `callback` called with the whole answer whenever the room was entered.

        It replaces what the application knows of the room's members. What was missed is told to
        the callbacks of `on` afterwards.

        Returns:
            a function that ends this.
        """
        return self._entries.add(callback)

    async def send(
        self, route: str, body: dict[str, Any], *, cid: str = "", timeout: float | None = None
    ) -> dict[str, Any]:
        """Send something to the room; returns when it is acknowledged, however long that takes.

        What is sent first stands first. It is sent again, with the same id, when the connection is
        lost, when no answer comes and when the server is busy.

        Args:
            route: `serverType.handlerName.method`.
            body: `cid` is added.
            cid: the sender's own id for it, never used before; by default one is made.
            timeout: seconds; None waits for as long as the client tries to be connected.

        Returns:
            the answer; its members are at least `epoch` and `offset`.

        Raises:
            RequestError: the server refuses it.
            TimedOut: not acknowledged in time, or the history in which it may stand has gone:
                whether it was published is unknown.
            Unavailable: too many wait already; it was not sent.
            Disconnected: the client is offline; it may have been published when it waited.
            ValueError: a send with this cid waits already.
        """
        if self._client.state is OFFLINE:
            raise Disconnected("not connected: offline", reconnect=False)
        return await self._sender.send(route, body, cid, timeout)

    async def history(self, before: int | None = None, limit: int = 50) -> dict[str, Any]:
        """What was said before an offset, or last; nothing of it is told to the callbacks.

        Args:
            before: an offset, or the `next` of the page after this one.
            limit: publications that are looked at.

        Returns:
            `publications` with their `route`, oldest first; `more`; and `next`, the `before` of
            the page before this one.

        Raises:
            RequestError, Disconnected, ProtocolError: as `Client.request`, or an error's code.
        """
        body = {"limit": limit} if before is None else {"limit": limit, "before": before}
        return raise_for_code(await self._client.request(self._history_route, body))

    async def move(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        """Leave the room for another one, on the same connection.

        In a room that was left by `move` before, what was missed since is told. Sends that are not
        acknowledged by then fail; one that has gone out still gets its answer.

        Args:
            route: of the request that moves.
            body: its body. Its members replace those of `enter`'s body from now on.

        Returns:
            the answer; `on_entered` gets it as well.

        Raises:
            RequestError: refused: nothing has changed.
            TimedOut, Disconnected, ProtocolError: it did not happen as far as we know. The client
                comes back to the room where it was.
        """
        async with self._changing:
            self._sender.hold()
            there = {**self._body, **body}
            recovery = self.recovery  # when we are there already, our place is what it was
            if there != self._body:
                place, token = self._places.get(there), self.recovery.token
                recovery = Recovery(self._max_held, place, token)
            answer = await self._ask_to_move(route, {**body, **self._wish}, recovery)
            if there != self._body:
                self._places.put(self._body, self.recovery.position)
            self._body, self.recovery = there, recovery
            self._sender.abandon(RequestError("the room was left before it was acknowledged"))
            try:
                self._entered(answer)
                await self._catch_up()
            except Disconnected:
                pass  # the client comes back, and to the new room
            except BaseException as error:
                self._client.drop(f"cannot catch up: {error}")
                if not isinstance(error, ZchatError):
                    raise
            return answer

    async def _ask_to_move(
        self, route: str, body: dict[str, Any], recovery: Recovery
    ) -> dict[str, Any]:
        try:
            asked = self._client.request(route, {**body, **recovery.asking()})
            return raise_for_code(await asked)
        except Disconnected:
            raise
        except BaseException as error:
            # A recovery that has asked holds the pushes until it is answered: so when it is that
            # of the room where we stay, only a new connection goes on.
            if _is_refused(error) and recovery is not self.recovery:
                self._go_on()
            else:
                self._client.drop("whether the room was changed is unknown")
            raise

    async def _enter(self, client: Client) -> None:
        """The client's step of logging in: when it fails, this attempt to connect has."""
        async with self._changing:
            self._sender.hold()
            await self._ask_to_enter()
            await self._catch_up()

    async def _ask_to_enter(self) -> None:
        body = {**self._body, **self._wish, **self.recovery.asking()}
        self._entered(raise_for_code(await self._client.request(self._enter_route, body)))

    async def _catch_up(self) -> None:
        """Read what the answer had no room for, until we are where the live pushes begin."""
        recovery = self.recovery
        while recovery.next or recovery.behind:
            if recovery.next:
                body = {"after": recovery.next, "limit": PAGE}
                answer = raise_for_code(await self._client.request(self._history_route, body))
                self._tell(recovery.page(answer))
            else:
                await self._ask_to_enter()
        self._go_on()

    def _go_on(self) -> None:
        if self._client.state is not RECONNECTING:  # lost again since the last answer came
            self._sender.go_on()

    def _entered(self, answer: dict[str, Any]) -> None:
        events = self.recovery.entered(answer)
        self._entries.call(answer)
        self._tell(events)

    def _pushed(self, route: str, body: Any) -> None:
        self._tell(self.recovery.take(route, body))

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Hole):
                self._holes.call(event)
                continue
            route, body = event
            if isinstance(body, dict) and isinstance(body.get("id"), str) and "offset" in body:
                self._sender.seen(body["id"], StreamPosition(body["epoch"], body["offset"]))
            callbacks = self._pushes.get(route)
            if callbacks is not None:
                callbacks.call(body)
        if any(isinstance(event, Hole) for event in events):
            self._sender.history_lost()  # what was seen after the hole is acknowledged by now

    def _client_changed(self, change: StateChange) -> None:
        if change.state is not ONLINE:
            self._sender.hold()
        if change.state is OFFLINE:
            reason = "offline" if change.ending is None else change.ending.reason
            self._sender.stop(Disconnected(reason, reconnect=False))


def _is_refused(error: BaseException) -> bool:
    """Whether what was asked for has certainly not been done."""
    if not isinstance(error, RequestError):
        return False
    return error.code != TimedOut.code and error.fields.get("outcome") != "unknown"
