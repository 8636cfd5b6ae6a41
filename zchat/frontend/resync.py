"""Keeps this frontend's channels and their owners agreed.

Each time a link to an owner comes up, or the ring changes, the frontend *announces*: it tells each
owner which members it has in that owner's channels, and learns where those channels stand. With the
announce goes a token through the subscriptions' pipe: the owner answers when its XPUB has shown it,
so that whatever is published past the answered positions reaches us. A gap is *fetched* from the
owner's history. Both are retried for as long as the owner is meant.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from zchat.errors import ZchatError
from zchat.frontend.hub import Hub, LocalChannel
from zchat.frontend.session import SessionTable
from zchat.rooms.follower import Run
from zchat.rooms.ring import Ring
from zchat.rooms.stream import Item, StreamPosition

logger = logging.getLogger("zchat.cluster")

_CHUNK = 500
_RETRY = 0.1


class Claim(msgspec.Struct, array_like=True, gc=False):
    """One member here, as its owner is told."""

    uid: str
    session: int
    since: float
    exclusive: bool


class Announced(msgspec.Struct, array_like=True, gc=False):
    """What an owner answers for one channel."""

    channel: str
    epoch: str
    offset: int
    version: int


class Repaired(msgspec.Struct, array_like=True, gc=False):
    """Fetched publications: `items` begin at `first`, the channel ends at `epoch`, `offset`."""

    epoch: str
    offset: int
    first: int
    items: list[Item]


class Call(Protocol):
    """An RPC to a server by id; raises a ZchatError when there is no good answer."""

    def __call__(self, server: str, method: str, args: Sequence[Any], /) -> Awaitable[Any]: ...


class Resync:
    """Announces and fetches.

    Args:
        hub: the channels here.
        sessions: the sessions here.
        send_token: down the subscriptions' pipe, to all owners.
        call: RPC to a server.
        ring: the ring of now.
    """

    def __init__(
        self,
        hub: Hub,
        sessions: SessionTable,
        send_token: Callable[[bytes], None],
        call: Call,
        ring: Callable[[], Ring],
    ) -> None:
        self._hub = hub
        self._sessions = sessions
        self._send_token = send_token
        self._call = call
        self._ring = ring
        self._tokens = 0
        self._announcing: dict[str, asyncio.Task[None]] = {}
        self._fetching: set[asyncio.Task[None]] = set()

    def announce(self, owner: str, *, restarted: bool = False) -> None:
        """Tell `owner` of its members here, even when there are none: it waits for our word.

        Args:
            restarted: the owner is a new process, so its numbering may be a new one.
        """
        for local in self._owned(owner):
            if restarted or local.owner != owner:
                local.follower.unplace()
        running = self._announcing.pop(owner, None)
        if running is not None:
            running.cancel()
        task = asyncio.get_running_loop().create_task(self._announce(owner), name="announce")
        self._announcing[owner] = task

    def forget(self, owner: str) -> None:
        """The server is gone: stop telling it. What it owned waits for its next owner."""
        running = self._announcing.pop(owner, None)
        if running is not None:
            running.cancel()

    def fetch(self, local: LocalChannel) -> None:
        """Fill the gap of a channel; does nothing while that is under way."""
        if not local.fetching:
            local.fetching = True
            task = asyncio.get_running_loop().create_task(self._fetch(local), name="fetch")
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)

    async def close(self) -> None:
        """Stop what is under way. Idempotent."""
        tasks = [*self._announcing.values(), *self._fetching]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._announcing.clear()

    def _owned(self, owner: str) -> list[LocalChannel]:
        ring = self._ring()
        return [local for local in self._hub.channels.values() if ring.owner(local.name) == owner]

    async def _announce(self, owner: str) -> None:
        chunks = list(_chunks(self._owned(owner)))
        for index, chunk in enumerate(chunks):
            last = index == len(chunks) - 1
            answers = await self._tell(owner, chunk, last=last)
            for answer in msgspec.convert(answers, list[Announced]):
                self._place(owner, answer)

    async def _tell(self, owner: str, chunk: Sequence[LocalChannel], *, last: bool) -> Any:
        """One announce, until it is answered: the caller is cancelled when it is pointless."""
        while True:
            claims = {local.name: _claims(local) for local in chunk}
            token = self._token(owner)
            me = (self._sessions.frontend, self._sessions.incarnation)
            args = (*me, self._ring().tag, claims, last, token)
            self._send_token(token)
            try:
                return await self._call(owner, "channel.announce", args)
            except ZchatError as error:
                logger.info("announce to %s: %s; again in %g s", owner, error, _RETRY)
                await asyncio.sleep(_RETRY)

    def _token(self, owner: str) -> bytes:
        self._tokens += 1
        return f"{owner}/{self._sessions.incarnation}/{self._tokens}".encode()

    def _place(self, owner: str, answer: Announced) -> None:
        local = self._hub.channels.get(answer.channel)
        if local is None:
            return
        local.owner = owner
        position = StreamPosition(answer.epoch, answer.offset)
        self._hub.place(local, position, answer.version)
        if local.follower.missing:
            self.fetch(local)

    async def _fetch(self, local: LocalChannel) -> None:
        try:
            while local.follower.missing and local.name in self._hub.channels:
                await self._fetch_page(local)
        finally:
            local.fetching = False

    async def _fetch_page(self, local: LocalChannel) -> None:
        position = local.follower.position
        assert position is not None
        try:
            args = (local.name, position.offset)
            raw = await self._call(local.owner, "channel.repair", args)
        except ZchatError as error:
            logger.info("repair of %s from %s: %s", local.name, local.owner, error)
            await asyncio.sleep(_RETRY)
            return
        page = msgspec.convert(raw, Repaired)
        tail = StreamPosition(page.epoch, page.offset)
        if tail.epoch != position.epoch:
            self._hub.place(local, tail, local.version)
            return
        self._hub.repair(local, tail, Run(page.first, page.items))
        self._hub.counters["repaired"] += len(page.items)
        if local.follower.position == position:
            await asyncio.sleep(_RETRY)  # the owner has not got there yet


def _chunks(channels: Sequence[LocalChannel]) -> Iterator[Sequence[LocalChannel]]:
    """Slices of at most 500 channels; one empty slice when there are none."""
    for start in range(0, len(channels) or 1, _CHUNK):
        yield channels[start : start + _CHUNK]


def _claims(local: LocalChannel) -> list[Claim]:
    """The admitted members: who still waits for its token is joined by its own request."""
    return [
        Claim(member.uid, member.session.id, member.since, member.exclusive)
        for member in local.memberships
        if member.position is not None
    ]
