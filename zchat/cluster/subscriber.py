"""The subscribing end: one XSUB at a frontend, linked to every publisher. See topic.py.

Why an XSUB and not a SUB: it can send tokens. What follows from it, and from how libzmq keeps
subscriptions:

- It does not filter what it receives, so publications of topics just left are dropped here.
- SNDHWM must be 0. With any other mark a burst of subscriptions, or one reconnect with more topics
  than the mark, silently leaves only as many topics as the mark.
- Subscriptions are sent again on a new link by libzmq, but only when this thread next touches the
  socket. The drain touches it at every signal of its FD, and before `on_link` is called it is
  touched once more: so a token sent from there is behind all subscriptions.
- A token that was under way when its link broke is lost, or reaches the publisher on the next link.
  `on_link` is where tokens that still matter are sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import zmq

from zchat.cluster.context import Context
from zchat.cluster.drain import Drain
from zchat.cluster.monitor import LINKED, RETRY_REFUSED, UNLINKED, Monitor
from zchat.cluster.refusals import Refusals
from zchat.cluster.topic import BETWEEN_TOKENS, SUBSCRIBE, TOKEN, UNSUBSCRIBE, prefix

logger = logging.getLogger("zchat.cluster")

_NOBLOCK: Final = int(zmq.NOBLOCK)

# Tokens, beside two frames for each topic, that may wait for a publisher that is away.
_OWED: Final = 10_000


def _nothing(server_id: str) -> None:
    """What happens to events that nobody asked for."""


@dataclass(frozen=True, slots=True)
class SubscriberHandlers:
    """What is told to the owner of a Subscriber, in the loop's thread. None may block.

    Args:
        on_message: topic and payload of each publication of a topic subscribed to.
        on_link: the link to that publisher was made (again): subscriptions are on their way, tokens
            that still matter are to be sent again. What it published since the last link is lost.
        on_unlink: the link to that publisher broke.
    """

    on_message: Callable[[str, bytes], None]
    on_link: Callable[[str], None] = _nothing
    on_unlink: Callable[[str], None] = _nothing


class _Link:
    """One publisher that we connect to."""

    __slots__ = ("address", "linked", "owed", "retry", "server_id", "server_key")

    def __init__(self, server_id: str, address: str, server_key: bytes | None) -> None:
        self.server_id = server_id
        self.address = address
        self.server_key = server_key
        self.linked = False
        self.owed = 0
        """Subscriptions and tokens that libzmq keeps for it while it is away."""
        self.retry: asyncio.TimerHandle | None = None

    def forget_retry(self) -> None:
        """The link is made or not wanted any more."""
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None


class Subscriber:
    """An XSUB that is read from its FD.

    When full (the loop reads so slowly that `high_water` publications of a publisher wait) the
    publisher keeps up to its own mark, then drops: offsets and beats, a floor above, show it.
    When too many subscriptions and tokens wait for a publisher that is away (10,000 and two per
    topic) its link is begun anew with the current topics; `renewed` counts that.

    Args:
        context: where the socket comes from.
        handlers: what the owner wants to hear of.
        high_water: publications per publisher.
        clock: seconds, for the log's rate.
    """

    def __init__(
        self,
        context: Context,
        handlers: SubscriberHandlers,
        high_water: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.left = 0
        """Publications dropped because their topic is not (or no longer) subscribed to."""
        self.renewed = 0
        """Links begun anew because too much waited for them, or because they were refused."""
        self.refusals = Refusals("XSUB", clock)
        self._context = context
        self._handlers = handlers
        self._high_water = high_water
        self._topics: dict[bytes, str] = {}
        self._tokens: list[bytes] = []  # of this turn
        self._links: dict[str, _Link] = {}
        self._away: set[_Link] = set()
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: Monitor | None = None
        self._drain: Drain | None = None

    @property
    def topics(self) -> frozenset[str]:
        """What is subscribed to."""
        return frozenset(self._topics.values())

    @property
    def linked(self) -> frozenset[str]:
        """The publishers to which there is a link."""
        return frozenset(link.server_id for link in self._links.values() if link.linked)

    def connect(self, server_id: str, address: str, server_key: bytes | None = None) -> None:
        """Listens to a publisher from now on. Nothing changes if it is known at that address.

        Raises:
            ConfigError: the address is none, or plain traffic may not go there.
        """
        link = self._links.get(server_id)
        if link is not None:
            if (link.address, link.server_key) == (address, server_key):
                return
            self.disconnect(server_id)
        socket = self._socket or self._open()
        self._context.connect(socket, address, server_key)
        link = self._links[server_id] = _Link(server_id, address, server_key)
        self._away.add(link)

    def disconnect(self, server_id: str) -> None:
        """Stops listening to a publisher; `on_unlink` is not called. Idempotent."""
        link = self._links.pop(server_id, None)
        if link is not None and self._socket is not None:
            link.forget_retry()
            self._away.discard(link)
            with contextlib.suppress(zmq.ZMQError):  # libzmq may have given it up by itself
                self._socket.disconnect(link.address)

    def subscribe(self, topic: str) -> None:
        """Asks all publishers for a topic. Idempotent.

        Raises:
            ValueError: the topic holds a NUL.
        """
        name = prefix(topic)
        if name not in self._topics:
            self._topics[name] = topic
            self._send(SUBSCRIBE + name)

    def unsubscribe(self, topic: str) -> None:
        """What still comes of it is dropped. Idempotent."""
        name = prefix(topic)
        if self._topics.pop(name, None) is not None:
            self._send(UNSUBSCRIBE + name)

    def send_token(self, token: bytes) -> None:
        """Sends a token to every publisher, behind the subscriptions made before.

        Nothing is sent while no publisher is connected to. Those of one turn of the loop go out
        together at its end: when thousands come in at once, a message for each would be a tenth of
        what their frontend does.

        Raises:
            ValueError: the token holds a NUL.
        """
        if BETWEEN_TOKENS in token:
            raise ValueError(f"a token cannot hold a NUL: {token!r}")
        if self._socket is None:
            return
        self._tokens.append(token)
        if len(self._tokens) == 1:
            asyncio.get_running_loop().call_soon(self._send_tokens)

    def close(self) -> None:
        """Idempotent."""
        if self._socket is None or self._monitor is None or self._drain is None:
            return
        self._drain.close()
        self._monitor.close()
        self._socket.close()
        self._socket = self._monitor = self._drain = None
        for link in self._links.values():
            link.forget_retry()
        self._links.clear()
        self._away.clear()

    def _open(self) -> zmq.Socket[bytes]:
        """The socket is made with the first link: before that there is nobody to tell."""
        socket = self._socket = self._context.socket(
            zmq.XSUB, send_high_water=0, receive_high_water=self._high_water
        )
        # Subscriptions and tokens wait for a publisher that is not up yet, instead of vanishing.
        socket.setsockopt(zmq.IMMEDIATE, 0)
        # Nothing of ours is worth waiting for at the end.
        socket.setsockopt(zmq.LINGER, 0)
        self._monitor = Monitor(socket, self._on_event)
        self._drain = Drain(socket, self._burst)
        for name in self._topics:
            self._send(SUBSCRIBE + name)
        return socket

    def _send_tokens(self) -> None:
        tokens, self._tokens = self._tokens, []
        self._send(TOKEN + BETWEEN_TOKENS.join(tokens), len(tokens))

    def _send(self, frame: bytes, holds: int = 1) -> None:
        """Sends a frame that holds so many subscriptions or tokens."""
        if self._socket is None or self._drain is None:
            return
        self._socket.send(frame, _NOBLOCK)
        # The send may have eaten the signal of a message that came.
        self._drain.kick()
        for link in tuple(self._away):
            link.owed += holds
            if link.owed > _OWED + 2 * len(self._topics):
                self._renew(link)

    def _renew(self, link: _Link) -> None:
        """Throws away what waits for a publisher; a new link starts with all topics."""
        link.retry = None
        if self._socket is not None:
            self.renewed += 1
            link.owed = len(self._topics)
            self._context.reconnect(self._socket, link.address, link.server_key)

    def _burst(self, budget: int) -> bool:
        for _ in range(budget):
            if self._socket is None:
                return False
            try:
                # Frame by frame, whatever the sender thought: each names its topic itself.
                frame = self._socket.recv(_NOBLOCK)
            except zmq.Again:
                return False
            self._take(frame)
        return True

    def _take(self, frame: bytes) -> None:
        end = frame.find(b"\0") + 1
        if not end:
            self.refusals.refuse("unreadable", "a publisher", frame[:50])
            return
        topic = self._topics.get(frame[:end])
        if topic is None:
            self.left += 1
            return
        try:
            self._handlers.on_message(topic, frame[end:])
        except Exception:
            # One publication's fault must not end the reading.
            logger.exception("publication of %r could not be taken", topic)

    def _on_event(self, event: int, endpoint: str) -> None:
        for link in self._links_at(endpoint):
            if event == LINKED:
                self._on_linked(link)
            elif event == UNLINKED:
                self._on_unlinked(link)
            else:
                self._on_refused(link)

    def _on_refused(self, link: _Link) -> None:
        self.refusals.refuse("handshake", link.server_id, "are the keys right?")
        if link.retry is None:
            loop = asyncio.get_running_loop()
            link.retry = loop.call_later(RETRY_REFUSED, self._renew, link)

    def _on_linked(self, link: _Link) -> None:
        link.forget_retry()
        link.linked = True
        link.owed = 0
        self._away.discard(link)
        # Here libzmq sends the subscriptions again, if it has not yet.
        if self._drain is not None:
            self._drain.check()
        logger.info("publications linked: %s", link.server_id)
        self._handlers.on_link(link.server_id)

    def _on_unlinked(self, link: _Link) -> None:
        if not link.linked:
            return
        link.linked = False
        self._away.add(link)
        logger.info("publications unlinked: %s", link.server_id)
        self._handlers.on_unlink(link.server_id)

    def _links_at(self, endpoint: str) -> list[_Link]:
        """The links that libzmq means by `endpoint`.

        After a reconnect it names the numeric address also where we gave a host name; then all
        links by name at that port are meant. An `on_link` too many does no harm.
        """
        exact = [link for link in self._links.values() if link.address == endpoint]
        if exact:
            return exact
        port = urlsplit(endpoint).port
        return [
            link
            for link in self._links.values()
            if _is_name(link.address) and urlsplit(link.address).port == port
        ]


def _is_name(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    return ":" not in host and not host.replace(".", "").isdigit()
