"""The client as programs use it: through the gate or directly, and back again after a loss.

    async with connect("ws://127.0.0.1:3014", uid="alice") as client:
        client.on("onNews", print)
        raise_for_code(await client.request("connector.entryHandler.enter", {"username": "alice"}))

It is always in one of four states:

    OFFLINE --start--> CONNECTING --handshake, log in--> ONLINE
                           ^                               |
                           |                         connection lost
                           |                               v
                           +--------after a delay---- RECONNECTING

and goes OFFLINE from any of them when it is closed, kicked or refused.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Self

from zchat.client.answer import raise_for_code
from zchat.client.backoff import Backoff
from zchat.client.callbacks import Callbacks
from zchat.client.link import Ending, Link
from zchat.client.scheme import transport_of
from zchat.client.state import CONNECTING, OFFLINE, ONLINE, RECONNECTING, StateChange
from zchat.client.transport import Disconnected
from zchat.errors import ProtocolError, RequestError, TimedOut
from zchat.protocol import package
from zchat.protocol.body import JSON, BodyCodec
from zchat.protocol.connection import ClientConnection
from zchat.protocol.dictionary import EMPTY
from zchat.protocol.protos import NO_PROTOS

GATE_ROUTE = "gate.gateHandler.queryEntry"

logger = logging.getLogger("zchat.client")


class Client:
    """A connection to a cluster that comes back by itself.

    Args:
        url: `ws://host:port` of a gate when `uid` is given, else of a connector. `wss://`, `tcp://`
            and `tls://` reach the same port; what the gate names is reached in the way of the gate.
        uid: whom the gate chooses a connector for. It is asked again before every reconnect.
        user: what the handshake says as `user`.
        log_in: the first of the steps that `on_log_in` adds to.
        timeout: seconds that an answer may take, if the request says nothing else.
        connect_timeout: seconds that connecting and shaking hands may take.
        reconnect: whether to come back after a loss.
        backoff: the delays between attempts; by default from 0 to 0.5 s, doubling up to 30 s.
        sleep: waits for such a delay.
        codec: turns bodies into bytes and back; by default JSON, and protobuf on the routes for
            which the server has schemas.
        limit: bytes that a message from the server may have.
        max_pending: requests that may wait for their answers; more fail with `Unavailable`.
        ssl_context: for `wss://` and `tls://`; None: the system's authorities are trusted, and the
            certificate has to be for the host in the url and for those that the gate names.

    Raises:
        ValueError: there is no way to such a url.
    """

    def __init__(
        self,
        url: str,
        *,
        uid: str | None = None,
        user: Any = None,
        log_in: Callable[[Client], Awaitable[object]] | None = None,
        timeout: float = 5.0,
        connect_timeout: float = 10.0,
        reconnect: bool = True,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        codec: BodyCodec | None = None,
        limit: int = package.MAX_BODY,
        max_pending: int = 10_000,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._transport = transport_of(url, ssl_context)
        self._url = url
        self.uid = uid
        """Whom the gate chooses a connector for; None without a gate."""
        self._user = user
        self._log_in = () if log_in is None else (log_in,)
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._reconnect = reconnect
        self._backoff = Backoff() if backoff is None else backoff
        self._sleep = sleep
        self._given_codec = codec
        self._codec: BodyCodec = codec or JSON
        self._limit = limit
        self._max_pending = max_pending
        self._dictionary = EMPTY
        self._protos = NO_PROTOS
        self._link: Link | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._online_since = 0.0
        self._pushes: dict[str, Callbacks[Any]] = {}  # by route
        self._all_pushes = Callbacks[tuple[str, Any]]()
        self._watchers = Callbacks[StateChange]()
        self._closed = False
        self.state = OFFLINE
        self.user: Any = None
        """What the server's handshake said as `user`."""

    async def start(self) -> None:
        """Connect and log in. The first attempt is the only one: later losses are what is mended.

        Raises:
            Disconnected: it did not work.
            RequestError: the gate, or `log_in`, was answered with an error.
            ProtocolError: the gate's answer makes no sense.
        """
        if self.state is not OFFLINE:
            raise RuntimeError(f"start of a client that is {self.state.value}")
        self._closed = False
        try:
            await self._establish()
        except BaseException as error:
            self._become(StateChange(OFFLINE, ending=Ending(str(error), reconnect=False)))
            raise

    async def close(self) -> None:
        """Leave, or give up coming back. Requests that wait for answers fail."""
        self._closed = True
        attempt, self._attempt = self._attempt, None
        if attempt is not None and attempt is not asyncio.current_task():
            attempt.cancel()
            await asyncio.wait({attempt})
        link, self._link = self._link, None
        if self.state is not OFFLINE:
            ending = Ending("closed by this client", reconnect=False)
            self._become(StateChange(OFFLINE, ending=ending))
        if link is not None:
            await link.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def request(self, route: str, body: Any = None, *, timeout: float | None = None) -> Any:
        """Ask, and wait for the answer.

        An answer is returned whatever code it carries; `raise_for_code` makes an error of it.

        Args:
            route: `serverType.handlerName.method`.
            body: JSON, an object by default.
            timeout: seconds, instead of the client's.

        Returns:
            the answer's body.

        Raises:
            TimedOut: no answer came in time; whether the work was done is unknown.
            Disconnected: there is no connection, or it ended before the answer came.
            Unavailable: too much waits already; nothing was sent.
            ProtocolError: the answer cannot be read.
            ValueError: the body does not fit the server's schema for the route.
        """
        seconds = self._timeout if timeout is None else timeout
        return await self._connected().request(route, {} if body is None else body, seconds)

    async def notify(self, route: str, body: Any = None) -> None:
        """Say something that has no answer.

        Raises:
            Disconnected: there is no connection.
            Unavailable: too much waits already; nothing was sent.
        """
        self._connected().notify(route, {} if body is None else body)

    def on(self, route: str, callback: Callable[[Any], object]) -> Callable[[], None]:
        """Have `callback` called with the body of every push on `route`.

        It is called as the push is read, but after whoever awaits an answer that came before; so
        it must be quick. What it raises is logged.

        Returns:
            a function that ends this.
        """
        return self._pushes.setdefault(route, Callbacks()).add(callback)

    def on_any(self, callback: Callable[[str, Any], object]) -> Callable[[], None]:
        """Have `callback` called with the route and the body of every push, as `on` does.

        Returns:
            a function that ends this.
        """
        return self._all_pushes.add(lambda push: callback(*push))

    def on_state(self, callback: Callable[[StateChange], object]) -> Callable[[], None]:
        """Have `callback` called with every change of state; what it raises is logged.

        Returns:
            a function that ends this.
        """
        return self._watchers.add(callback)

    def on_log_in(self, step: Callable[[Client], Awaitable[object]]) -> None:
        """Have `step` awaited whenever a connection is up, before the client counts as ONLINE.

        The server knows nothing of earlier connections. Steps follow each other in the order in
        which they were added. When one raises one of zchat's errors, this attempt to connect has
        failed.

        Raises:
            RuntimeError: the client has been started.
        """
        if self.state is not OFFLINE:
            raise RuntimeError(f"a step of logging in for a client that is {self.state.value}")
        self._log_in = (*self._log_in, step)

    def drop(self, reason: str = "dropped by this client") -> None:
        """Cut the connection, as a network would, and come back. Without one, do nothing."""
        if self._link is not None:
            self._link.lose(reason)

    async def next_push(self, route: str, timeout: float) -> Any:
        """The body of the next push on `route`. Pushes before this call do not count.

        Raises:
            TimedOut: none came within `timeout` seconds.
        """
        pushed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def keep_first(body: Any) -> None:
            if not pushed.done():
                pushed.set_result(body)

        off = self.on(route, keep_first)
        try:
            async with asyncio.timeout(timeout):
                return await pushed
        except TimeoutError:
            raise TimedOut(f"no push on {route} within {timeout} s") from None
        finally:
            off()

    def _connected(self) -> Link:
        if self._link is None:
            raise Disconnected(f"not connected: {self.state.value}")
        return self._link

    async def _establish(self) -> None:
        """Bring the client from wherever it is to ONLINE, or raise and leave no connection."""
        self._become(StateChange(CONNECTING))
        url = self._url if self.uid is None else await self._ask_gate(self.uid)
        link = self._new_link()
        try:
            await self._open(link, url)
            self._link = link
            for step in self._log_in:
                await step(self)
            if self._closed:
                raise Disconnected("closed by this client", reconnect=False)
            if link.ending is not None:
                raise Disconnected(link.ending.reason, reconnect=link.ending.reconnect)
        except BaseException:
            self._link = None
            link.abort()
            raise
        self._online_since = asyncio.get_running_loop().time()
        self._become(StateChange(ONLINE))

    async def _ask_gate(self, uid: str) -> str:
        link = self._new_link()
        try:
            await self._open(link, self._url)
            answer = await link.request(GATE_ROUTE, {"uid": uid}, self._timeout)
        finally:
            await link.close()
        entry = raise_for_code(answer)
        host, port = entry.get("host"), entry.get("port")
        if not isinstance(host, str) or not isinstance(port, int):
            raise ProtocolError(f"the gate names no host and port: {answer!r}")
        scheme = self._url.partition(":")[0]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def _new_link(self) -> Link:
        connection = ClientConnection(
            user=self._user,
            dictionary=self._dictionary,
            protos=self._protos,
            limit=self._limit,
        )
        return Link(
            connection,
            self._given_codec,
            on_push=self._pushed,
            on_end=self._ended,
            limit=self._limit + package.HEADER,
            max_pending=self._max_pending,
            transport=self._transport,
        )

    async def _open(self, link: Link, url: str) -> None:
        accepted = await link.open(url, self._connect_timeout)
        self.user = accepted.user
        self._codec = self._given_codec or accepted.protos.at_client
        # What was learned is kept, by its version, also while a server has none of it.
        if accepted.dictionary:
            self._dictionary = accepted.dictionary
        if accepted.protos:
            self._protos = accepted.protos

    def _ended(self, ending: Ending) -> None:
        """A link ended by itself. Before the client is ONLINE, `_establish` sees to that."""
        if self.state is not ONLINE:
            return
        self._link = None
        self._backoff.lasted(asyncio.get_running_loop().time() - self._online_since)
        self._come_back(ending)

    def _come_back(self, ending: Ending) -> None:
        if not (ending.reconnect and self._reconnect):
            self._become(StateChange(OFFLINE, ending=ending))
            return
        delay = self._backoff.next()
        self._become(StateChange(RECONNECTING, delay, ending))
        if not self._closed:  # by a callback just now
            self._attempt = asyncio.get_running_loop().create_task(self._try_after(delay))

    async def _try_after(self, delay: float) -> None:
        await self._sleep(delay)
        try:
            await self._establish()
        except Disconnected as error:
            self._come_back(Ending(str(error), error.reconnect))
        except (RequestError, ProtocolError) as error:
            self._come_back(Ending(f"cannot log in: {error}", reconnect=True))
        except Exception as error:
            logger.exception("log_in failed; not trying again")
            self._become(StateChange(OFFLINE, ending=Ending(repr(error), reconnect=False)))

    def _become(self, change: StateChange) -> None:
        self.state = change.state
        self._watchers.call(change)

    def _pushed(self, route: str, data: bytes) -> None:
        callbacks = self._pushes.get(route)
        if not (callbacks or self._all_pushes):
            return
        try:
            body = self._codec.decode(route, data)
        except ProtocolError as error:
            logger.warning("a push on %s is dropped: %s", route, error)
            return
        if callbacks:
            callbacks.call(body)
        self._all_pushes.call((route, body))


connect = Client
"""`Client`, under the name that reads well behind `async with`."""
