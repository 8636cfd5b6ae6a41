"""`app.channels`: the way from any server to the owners of rooms.

At the owner a call is a function call; elsewhere it travels to the owner. When a channel moves
while a call is under way, the call follows it until its deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from zchat.errors import Unavailable
from zchat.framework.channels.channel import Channel
from zchat.framework.channels.convoy import Convoy
from zchat.framework.channels.host import ChannelHost
from zchat.framework.channels.owned_channels import Moved
from zchat.framework.peers.deadline import in_time
from zchat.framework.peers.node import Unlisted
from zchat.framework.sessions.wire import Wire
from zchat.protocol.dictionary import EMPTY
from zchat.protocol.misfit import Misfit
from zchat.protocol.protobuf import MessageType
from zchat.protocol.protos import NO_PROTOS
from zchat.rooms.ring import Ring
from zchat.rooms.stream import Draft, StreamPosition, check_body, check_name

_PAUSE = 0.05

_PLAIN = Wire(EMPTY, NO_PROTOS)

Call = Callable[[str, str, Sequence[Any], float], Awaitable[Any]]
"""(server id, method, args, timeout) -> result"""


class Channels:
    """The author's way to channels.

    Args:
        server_id: this server.
        host: the channels owned here; None on servers that own none.
        ring: the ring of now.
        call: reaches other servers.
        timeout: seconds that a call may take, following moves included.
        schemas: of pushes, by route; without one a push is JSON.
        package: makes a push that is not published: (route, body).

    Attributes:
        refused: calls refused because too many waited for their channel.
    """

    def __init__(
        self,
        server_id: str,
        host: ChannelHost | None,
        ring: Callable[[], Ring],
        call: Call,
        timeout: float,
        schemas: Mapping[str, MessageType] = NO_PROTOS.at_server.outgoing,
        package: Callable[[str, Any], bytes] = _PLAIN.push,
    ) -> None:
        self._server_id = server_id
        self._host = host
        self._ring = ring
        self._remote = call
        self._timeout = timeout
        self._schemas = schemas
        self.package = package
        self._convoys: dict[str, Convoy] = {}
        self.refused = 0

    def get(self, name: str) -> Channel:
        """The channel of that name; it need not exist yet.

        Raises:
            ValueError: see `zchat.rooms.stream.check_name`.
        """
        check_name(name)
        return Channel(name, self)

    def create(self, name: str) -> Channel:
        """The same as `get`: a channel is there when its first member is."""
        return self.get(name)

    async def destroy(self, name: str) -> None:
        """Put all members of a channel out; see `Channel.destroy`."""
        await self.get(name).destroy()

    def check(self, route: str, body: dict[str, Any]) -> None:
        """Whether clients can be sent this body on this route.

        Raises:
            ValueError: it does not fit the route's schema.
        """
        schema = self._schemas.get(route)
        if schema is not None:
            try:
                check_body(msgspec.to_builtins(body, str_keys=True), schema)
            except Misfit as misfit:
                raise ValueError(f"a push on {route}: {misfit}") from None

    def owner(self, name: str) -> str | None:
        """The id of the server that owns the channel now."""
        return self._ring().owner(name)

    async def call(self, name: str, method: str, args: Sequence[Any]) -> Any:
        """Run a method of the channel at its owner, wherever that is by then.

        Raises:
            Unavailable: it moves about, or nobody owns it; nothing was done.
            TimedOut: the owner did not answer in time; it may have been done.
        """
        deadline = time.monotonic() + self._timeout
        while (left := deadline - time.monotonic()) > 0:
            try:
                return await self._at_owner(name, method, args, left)
            except Moved:
                await asyncio.sleep(min(_PAUSE, left))
        raise _on_its_way(name)

    async def publish(self, name: str, draft: Draft, members_only: bool) -> StreamPosition:
        """Have it published by the channel's owner, wherever that is by then; it is never overtaken
        by one that was published here later in that channel.

        Args:
            draft: one that `check` has nothing against.
            members_only: see `Channel.publish`.

        Raises:
            Unavailable, TimedOut: see `call`; Unavailable also when too many calls wait.
        """
        convoy = self._convoys.get(name)
        if convoy is None:
            here = self._server_id if self._host is not None else ""
            convoy = self._convoys[name] = Convoy(name, self._ring, here)
        try:
            return await self._follow(convoy, name, draft, members_only)
        finally:
            if convoy.empty:
                del self._convoys[name]

    async def _follow(
        self, convoy: Convoy, name: str, draft: Draft, members_only: bool
    ) -> StreamPosition:
        deadline = time.monotonic() + self._timeout
        number, gone = convoy.number(), self._go(convoy)
        refused_by = -1  # generation of the ring whose owner sent it back
        while (left := deadline - time.monotonic()) > 0:
            if not gone and not await _in_turn(convoy, number, left):
                break
            try:
                generation = self._ring().generation
                if refused_by == generation:  # its owner knows another one
                    await asyncio.sleep(min(_PAUSE, left))
                if (left := deadline - time.monotonic()) <= 0:
                    break
                place = await self._publish_at_owner(name, draft, members_only, left)
                convoy.taken = True
                return place
            except Moved:
                convoy.taken, gone, refused_by = False, False, generation
            finally:
                convoy.end()
        raise _on_its_way(name)

    def _go(self, convoy: Convoy) -> bool:
        try:
            return convoy.go()
        except Unavailable:
            self.refused += 1
            raise

    async def _publish_at_owner(
        self, name: str, draft: Draft, members_only: bool, left: float
    ) -> StreamPosition:
        if self._host is not None and self.owner(name) == self._server_id:
            # Each call less on this way counts: all that a busy worker does comes here.
            return await in_time(self._host.offer(name, draft, members_only), left)
        args = (draft.route, draft.body, draft.uid, draft.cid, draft.audience, members_only)
        return msgspec.convert(await self._at_owner(name, "publish", args, left), StreamPosition)

    async def _at_owner(self, name: str, method: str, args: Sequence[Any], left: float) -> Any:
        owner = self.owner(name)
        if owner is None:
            raise Unavailable("no server owns channels now")
        if owner == self._server_id and self._host is not None:
            return await in_time(getattr(self._host, method)(name, *args), left)
        try:
            return await self._remote(owner, f"channel.{method}", (name, *args), left)
        except Unlisted as error:  # it came, or went, before our servers.json said so
            raise Moved(error.message, owner=owner) from None


async def _in_turn(convoy: Convoy, number: int, left: float) -> bool:
    """Whether its turn came in time."""
    try:
        async with asyncio.timeout(left):
            await convoy.turn(number)
    except TimeoutError:
        return False
    return True


def _on_its_way(name: str) -> Unavailable:
    return Unavailable(f"channel {name} is on its way to another server")
