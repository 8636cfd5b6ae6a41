"""The part of a server that owns channels: its XPUB, its host, and what others may call of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from zchat.config.settings import Settings
from zchat.framework.app.parts import Parts
from zchat.framework.channels.host import ChannelHost
from zchat.framework.peers.methods import Methods
from zchat.framework.peers.node import Node
from zchat.rooms.channel import Framer
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import RingRow, Store


class OwnerPart:
    """Makes a server an owner of channels.

    Args:
        node: its links.
        methods: where it offers the channels' methods.
        framer: builds what is published.
        store: the journal.
        parts: makes the XPUB.
        ring: the ring of now.
        learn_ring: reads the ring from the journal.
        settings: of the cluster.
    """

    def __init__(
        self,
        node: Node,
        methods: Methods,
        framer: Framer,
        store: Store,
        parts: Parts,
        ring: Callable[[], Ring],
        learn_ring: Callable[[], Awaitable[None]],
        settings: Settings,
    ) -> None:
        self._node = node
        self._store = store
        self._publisher = parts.publisher(node.context, lambda token: self.host.on_token(token))
        self.host = ChannelHost(
            server_id=node.server.id,
            incarnation=node.incarnation,
            ring=ring,
            learn_ring=learn_ring,
            store=store,
            framer=framer,
            publish=self._publisher.publish,
            cast=node.cast_to_life,
            grace=settings.rooms.grace,
            join_timeout=settings.cluster.request_deadline,
            beat=settings.rooms.beat,
            repeat_window=settings.rooms.repeat_window,
            repeat_age=settings.rooms.repeat_age,
        )
        for name in ("join", "leave", "members", "publish", "history"):
            methods.add(f"channel.{name}", getattr(self.host, name))
        for name in ("count", "sessions", "push", "destroy"):
            methods.add(f"channel.{name}", getattr(self.host, name))
        for name in ("announce", "repair", "compare"):
            methods.add(f"channel.{name}", getattr(self.host, name))
        methods.add_cast("channel.lost", self.host.lost)
        methods.add_cast("channel.refused", self.host.refused)
        methods.add("ring.get", self._ring_row)

    def start(self) -> None:
        """Listen for subscribers.

        Raises:
            OSError: the address is taken.
        """
        self._publisher.bind(self._node.server.pub_address)
        self.ring_changed()

    def ring_changed(self) -> None:
        """Another ring: see `ChannelHost.ring_changed`."""
        self.host.ring_changed(self._announcers())

    def status(self) -> dict[str, Any]:
        """What `zchat status` shows of this part."""
        return {
            "channels": len(self.host.channels),
            "published": self.host.published,
            "counters": {
                **self.host.counts,
                "xpub_refused": self._publisher.refusals.total,
                # Only the journal in memory has to forget channels.
                "channels_forgotten": getattr(self._store, "forgotten", 0),
            },
        }

    async def stop(self) -> None:
        """Finish and let go. Idempotent."""
        await self.host.close()
        self._publisher.close()

    def _announcers(self) -> Sequence[str]:
        return [server.id for server in self._node.topology.servers if server.takes_clients]

    async def _ring_row(self) -> RingRow:
        return await self._store.ring()
