"""The network between simulated processes: links that are late, stall and break.

A link is one TCP connection. Each way is first in, first out. When it breaks, what is under way on
it is lost both ways, and each end hears of it at a moment of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any, Protocol

from tests.sim.loop import VirtualLoop
from tests.sim.process import Process
from tests.sim.timeline import Timeline

RETRY = 0.1
"""Seconds between two tries to connect; up to as much again at random."""


class End(Protocol):
    """What has a link: its process, and who hears that the link is no more."""

    process: Process | None

    def unlinked(self, link: Link) -> None: ...


class Listener(Protocol):
    """What can be connected to."""

    process: Process | None

    def accept(self, link: Link, hello: Any) -> None:
        """A link was made; `hello` is what the other end says of itself."""


class Link:
    """One connection; `client` is the end that connected."""

    __slots__ = ("_last", "_network", "broken", "client", "server", "stalled")

    def __init__(self, network: Network, client: End, server: End) -> None:
        self._network = network
        self._last = [0.0, 0.0]
        self.client = client
        self.server = server
        self.broken = False
        self.stalled = 0.0
        """Until when nothing comes through."""

    def to_server(self, deliver: Callable[..., object], *args: Any) -> None:
        """Have the server's end call `deliver` when this has come through."""
        self._send(0, self.server, deliver, args)

    def to_client(self, deliver: Callable[..., object], *args: Any) -> None:
        """Likewise, the other way."""
        self._send(1, self.client, deliver, args)

    def _send(self, way: int, end: End, deliver: Callable[..., object], args: Any) -> None:
        if self.broken:
            return
        network = self._network
        when = max(self._last[way], network.loop.now + network.delay(), self.stalled)
        self._last[way] = when
        context = network.context_of(end.process)
        network.loop.call_at(when, self._arrive, deliver, args, context=context)

    def _arrive(self, deliver: Callable[..., object], args: Any) -> None:
        if not self.broken:
            self._network.events += 1
            deliver(*args)

    def close(self, end: End) -> None:
        """Close it in order: what this end has written still arrives, then the other one hears."""
        if end is self.client:
            self.to_server(self._closed_by, end)
        else:
            self.to_client(self._closed_by, end)

    def _closed_by(self, end: End) -> None:
        other = self.server if end is self.client else self.client
        self.break_off(tell=())
        other.unlinked(self)

    def break_off(self, tell: tuple[End, ...] | None = None, within: float = 0.3) -> None:
        """Lose what is under way; each end in `tell` (both) hears of it within so many seconds."""
        if self.broken:
            return
        self.broken = True
        network = self._network
        network.forget(self)
        for end in (self.client, self.server) if tell is None else tell:
            context = network.context_of(end.process)
            delay = network.random.random() * within
            network.loop.call_later(delay, end.unlinked, self, context=context)

    def __str__(self) -> str:
        return f"{self.client} to {self.server}"


class Network:
    """All links.

    Args:
        loop: whose clock it goes by.
        random: decides delays.
        timeline: is told of links that come and go.
    """

    def __init__(self, loop: VirtualLoop, random: Random, timeline: Timeline) -> None:
        self.loop = loop
        self.random = random
        self.timeline = timeline
        self.events = 0
        """What came through, and what the world did beside."""
        self.slowness = 1.0
        """Times the usual delay."""
        self.dropping = 0.0
        """Of publications between servers, how many of one are lost singly."""
        self.dropped = 0
        self.links: dict[Link, None] = {}
        self._listeners: dict[str, Listener] = {}
        self._cut: dict[tuple[str, str], float] = {}
        self._outside = Context()

    def delay(self) -> float:
        """Seconds that something takes on its way: mostly little, now and then a lot."""
        chance = self.random.random()
        return self.slowness * (0.0003 + 0.002 * chance + (0.05 * chance if chance > 0.97 else 0))

    def listen(self, address: str, listener: Listener) -> None:
        """Be there for those who connect."""
        self._listeners[address] = listener

    def unlisten(self, address: str, listener: Listener) -> None:
        """Be there no more."""
        if self._listeners.get(address) is listener:
            del self._listeners[address]

    def connect(self, client: End, address: str, hello: Any) -> Link | None:
        """A link to whoever listens there; None when nobody does, or the way is cut."""
        listener = self._listeners.get(address)
        if listener is None or (listener.process is not None and listener.process.dead):
            return None
        if self._is_cut(str(client), str(listener)):
            return None
        link = Link(self, client, client)
        listener.accept(link, hello)
        self.links[link] = None
        self.events += 1
        return link

    def retry(self, connect: Callable[[], object], process: Process | None) -> None:
        """Try again in a moment."""
        delay = RETRY * (1 + self.random.random())
        self.loop.call_later(delay, connect, context=self.context_of(process))

    def context_of(self, process: Process | None) -> Context:
        """In which what happens to an end runs: not in that of whoever caused it."""
        return self._outside if process is None else process.context

    def forget(self, link: Link) -> None:
        """It is broken."""
        self.events += 1
        self.links.pop(link, None)

    def kill(self, process: Process) -> None:
        """Its sockets are gone: the other ends hear of it."""
        for address, listener in list(self._listeners.items()):
            if listener.process is process:
                del self._listeners[address]
        for link in list(self.links):
            if link.client.process is process:
                link.break_off((link.server,))
            elif link.server.process is process:
                link.break_off((link.client,))

    def cut(self, link: Link, seconds: float) -> None:
        """Break a link, and let none like it be made for so long."""
        self._cut[str(link.client), str(link.server)] = self.loop.now + seconds
        link.break_off()

    def heal(self) -> None:
        """From now on the network is good."""
        self._cut.clear()
        self.dropping = 0.0
        self.slowness = 1.0

    def _is_cut(self, client: str, server: str) -> bool:
        return self._cut.get((client, server), 0.0) > self.loop.now
