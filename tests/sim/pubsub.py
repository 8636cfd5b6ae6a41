"""XPUB and XSUB on the simulated network, which may lose publications singly."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.network import Link, Network
from tests.sim.pipes import SimContext
from tests.sim.process import Process
from zchat.cluster.subscriber import SubscriberHandlers


class SimPublisher:
    """Stands for zchat.cluster.publisher.Publisher."""

    def __init__(self, context: SimContext, on_token: Callable[[bytes], None]) -> None:
        self.process: Process | None = context.process
        self._network: Network = context.network
        self._on_token = on_token
        self._address = ""
        self._topics: dict[Link, set[str]] = {}
        self._closed = False

    def bind(self, address: str) -> str:
        self._address = address
        self._network.listen(address, self)
        return address

    def accept(self, link: Link, hello: object) -> None:
        """A subscriber links."""
        link.server = self
        self._topics[link] = set()

    def publish(self, topic: str, payload: bytes) -> None:
        if self._closed:
            raise RuntimeError("not bound")
        network = self._network
        for link, topics in self._topics.items():
            if topic not in topics:
                continue
            if network.dropping and network.random.random() < network.dropping:
                network.dropped += 1
                network.timeline.add(self, f"a publication in {topic!r} to {link.client} is lost")
            else:
                link.to_client(link.client.take, topic, payload)  # type: ignore[attr-defined]

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._network.unlisten(self._address, self)
            for link in list(self._topics):
                link.close(self)

    def subscribe(self, link: Link, topic: str) -> None:
        """That subscriber wants a topic."""
        if link in self._topics:
            self._topics[link].add(topic)

    def unsubscribe(self, link: Link, topic: str) -> None:
        """It does not any more."""
        if link in self._topics:
            self._topics[link].discard(topic)

    def take_token(self, token: bytes) -> None:
        """A token has come."""
        if not self._closed:
            self._on_token(token)

    def unlinked(self, link: Link) -> None:
        self._topics.pop(link, None)

    def __str__(self) -> str:
        return str(self.process)


class _Way:
    """One publisher that a subscriber connects to."""

    def __init__(self, subscriber: SimSubscriber, server_id: str, address: str) -> None:
        self.process: Process | None = subscriber.process
        self.server_id = server_id
        self.address = address
        self.link: Link | None = None
        self.waiting: list[bytes] = []
        """Tokens for a publisher that is away."""
        self.closed = False
        self._subscriber = subscriber
        self.connect()

    def connect(self) -> None:
        """Try to link; with a link the topics go out first, then the tokens that waited."""
        if self.closed:
            return
        network = self._subscriber.network
        link = self.link = network.connect(self, self.address, None)
        if link is None:
            network.retry(self.connect, self.process)
            return
        for topic in self._subscriber.topics:
            link.to_server(link.server.subscribe, link, topic)  # type: ignore[attr-defined]
        tokens, self.waiting = self.waiting, []
        for token in tokens:
            link.to_server(link.server.take_token, token)  # type: ignore[attr-defined]
        network.loop.call_later(network.delay(), self._linked, link)

    def _linked(self, link: Link) -> None:
        if self.link is link and not self.closed:
            network = self._subscriber.network
            network.timeline.add(self.process, f"publications linked: {self.server_id}")
            self._subscriber.handlers.on_link(self.server_id)

    def send_token(self, token: bytes) -> None:
        """Behind the subscriptions made before; kept while the publisher is away."""
        if self.link is not None:
            self.link.to_server(self.link.server.take_token, token)  # type: ignore[attr-defined]
        else:
            self.waiting.append(token)

    def take(self, topic: str, payload: bytes) -> None:
        """A publication has come."""
        if not self.closed:
            self._subscriber.take(topic, payload)

    def unlinked(self, link: Link) -> None:
        if self.closed or self.link is not link:
            return
        self.link = None
        network = self._subscriber.network
        network.timeline.add(self.process, f"publications unlinked: {self.server_id}")
        self._subscriber.handlers.on_unlink(self.server_id)
        network.retry(self.connect, self.process)

    def close(self) -> None:
        """Not wanted any more."""
        self.closed = True
        if self.link is not None:
            self.link.close(self)

    def __str__(self) -> str:
        return str(self.process)


class SimSubscriber:
    """Stands for zchat.cluster.subscriber.Subscriber."""

    def __init__(self, context: SimContext, handlers: SubscriberHandlers) -> None:
        self.process = context.process
        self.network: Network = context.network
        self.handlers = handlers
        self.topics: dict[str, None] = {}
        self._ways: dict[str, _Way] = {}

    def connect(self, server_id: str, address: str, server_key: bytes | None = None) -> None:
        way = self._ways.get(server_id)
        if way is not None and way.address == address:
            return
        self.disconnect(server_id)
        self._ways[server_id] = _Way(self, server_id, address)

    def disconnect(self, server_id: str) -> None:
        way = self._ways.pop(server_id, None)
        if way is not None:
            way.close()

    def subscribe(self, topic: str) -> None:
        if topic not in self.topics:
            self.topics[topic] = None
            for link in self._links():
                link.to_server(link.server.subscribe, link, topic)  # type: ignore[attr-defined]

    def unsubscribe(self, topic: str) -> None:
        if topic in self.topics:
            del self.topics[topic]
            for link in self._links():
                link.to_server(link.server.unsubscribe, link, topic)  # type: ignore[attr-defined]

    def send_token(self, token: bytes) -> None:
        for way in self._ways.values():
            way.send_token(token)

    def close(self) -> None:
        for server_id in list(self._ways):
            self.disconnect(server_id)

    def take(self, topic: str, payload: bytes) -> None:
        """A publication has come; an XSUB does not filter, so its wrapper does."""
        if topic in self.topics:
            self.handlers.on_message(topic, payload)

    def _links(self) -> list[Link]:
        return [way.link for way in self._ways.values() if way.link is not None]
