"""DEALER and ROUTER on the simulated network, with the events that zchat's own wrappers give."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.network import Link, Network
from tests.sim.process import Process, current_process
from zchat.cluster.refusals import Refusals
from zchat.cluster.router import UnreachableError


class SimContext:
    """Stands for zchat.cluster.context.Context: it knows the process and its network."""

    network: Network
    """Set for each run."""

    def __init__(self, security: object = None, io_threads: int = 1) -> None:
        self.process = current_process()

    def reload_allowed(self) -> None:
        """There are no keys."""

    def close(self) -> None:
        """Sockets are closed by those who made them."""


class SimDealer:
    """Stands for zchat.cluster.dealer.Dealer."""

    def __init__(
        self,
        context: SimContext,
        routing_id: bytes,
        address: str,
        server_key: bytes | None,
        on_message: Callable[[bytes], int],
        on_wake: Callable[[], None],
        on_linked: Callable[[], None],
        on_unlinked: Callable[[], None],
    ) -> None:
        self.linked = False
        self.process: Process | None = context.process
        self._network = context.network
        self._routing_id = routing_id
        self._address = address
        self._on_message = on_message
        self._on_wake = on_wake
        self._on_linked = on_linked
        self._on_unlinked = on_unlinked
        self._link: Link | None = None
        self._closed = False
        self._connect()

    def write(self, message: bytes) -> bool:
        if self._closed or self._link is None:
            return False
        self._link.to_server(self._link.server.take, self._routing_id, message)  # type: ignore[attr-defined]
        return True

    def look(self) -> None:
        """What becomes of the link is told by the network."""

    def check(self) -> None:
        """What has come is told by the network."""

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.linked = False
            if self._link is not None:
                self._link.close(self)

    def _connect(self) -> None:
        if self._closed:
            return
        self._link = self._network.connect(self, self._address, self._routing_id)
        if self._link is None:
            self._network.retry(self._connect, self.process)
        else:
            self._link.to_client(self._shaken)

    def _shaken(self) -> None:
        """The handshake is done; what the ROUTER wrote comes after."""
        if not self._closed:
            self.linked = True
            self._network.timeline.add(self.process, f"linked to {self._address}")
            self._on_linked()

    def take(self, message: bytes) -> None:
        """A message has come."""
        if not self._closed:
            self._on_message(message)
            self._on_wake()

    def unlinked(self, link: Link) -> None:
        if self._closed or self._link is not link:
            return
        self._link = None
        self.linked = False
        self._network.timeline.add(self.process, f"link to {self._address} broken")
        self._on_unlinked()
        self._network.retry(self._connect, self.process)

    def __str__(self) -> str:
        return str(self.process)


class SimRouter:
    """Stands for zchat.cluster.router.Router."""

    def __init__(
        self,
        context: SimContext,
        address: str,
        refusals: Refusals,
        on_message: Callable[[bytes, bytes], int],
        on_wake: Callable[[], None],
        on_unlinked: Callable[[], None],
    ) -> None:
        self.address = address
        self.process: Process | None = context.process
        self._network = context.network
        self._on_message = on_message
        self._on_wake = on_wake
        self._on_unlinked = on_unlinked
        self._links: dict[bytes, Link] = {}
        self._closed = False
        self._network.listen(address, self)

    def accept(self, link: Link, hello: bytes) -> None:
        """A DEALER links; one of the same name is replaced (ROUTER_HANDOVER)."""
        link.server = self
        older = self._links.pop(hello, None)
        if older is not None:
            older.break_off((older.client,))
        self._links[hello] = link

    def write(self, identity: bytes, message: bytes) -> bool:
        if self._closed:
            return False
        link = self._links.get(identity)
        if link is None:
            raise UnreachableError
        link.to_client(link.client.take, message)  # type: ignore[attr-defined]
        return True

    def check(self) -> None:
        """What has come is told by the network."""

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._network.unlisten(self.address, self)
            for link in self._links.values():
                link.close(self)

    def take(self, identity: bytes, message: bytes) -> None:
        """A message has come."""
        if not self._closed:
            self._on_message(identity, message)
            self._on_wake()

    def unlinked(self, link: Link) -> None:
        for identity, known in list(self._links.items()):
            if known is link:
                del self._links[identity]
        if not self._closed:
            self._on_unlinked()

    def __str__(self) -> str:
        return str(self.process)
