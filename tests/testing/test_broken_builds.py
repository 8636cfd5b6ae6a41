"""Builds of the chat that break a promise, each in another way: the checker tells them apart.

What is broken is one of the parts that an application may wrap: nothing in zchat itself has a
switch for it. zchat repairs what gets lost on the way, so a build that only lost frames would pass
by right: these forge, where zchat cannot notice.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cluster import UNLIMITED, Cluster
from tests.support.timing import eventually
from tests.testing.witness import Notes, Witness, enter_all
from zchat.chat.app import app as chat
from zchat.cluster.context import Context
from zchat.cluster.publisher import Publisher
from zchat.cluster.subscriber import Subscriber, SubscriberHandlers
from zchat.config.settings import Settings
from zchat.framework.app.parts import Parts, open_store
from zchat.ops.check import read_journal
from zchat.rooms.beat import TOPIC
from zchat.rooms.stores.base import Append, Fenced, History, Outcome, RingRow, Store, Stored
from zchat.rooms.stream import (
    Beat,
    Item,
    Published,
    StreamPosition,
    decode_frame,
    encode_frame,
)
from zchat.testing.checker import check
from zchat.testing.verdict import Kind, Minimums, Verdict

NAMES = ("ann", "bob", "cho", "dan")
ROOM = "pier"
SENDS = 25
ENOUGH = Minimums(acks=len(NAMES) * SENDS)


class Forging(Publisher):
    """Publishes something else once: of hundreds of publications, one is spoilt.

    Args:
        forge: makes items out of the items of a frame, at least two, and as many as there were.
    """

    def __init__(
        self,
        context: Context,
        on_token: Callable[[bytes], None],
        forge: Callable[[Sequence[Item]], Sequence[Item]],
    ) -> None:
        super().__init__(context, on_token)
        self._forge = forge
        self._forged = False

    def publish(self, topic: str, payload: bytes) -> None:
        frame = decode_frame(payload)
        if isinstance(frame, Published) and len(frame.items) > 1 and not self._forged:
            self._forged = True
            forged = Published(frame.epoch, frame.first, tuple(self._forge(frame.items)))
            payload = encode_frame(forged)
        super().publish(topic, payload)


def drop(items: Sequence[Item]) -> Sequence[Item]:
    """The last one is for nobody: its place is there, and nothing in it."""
    return [*items[:-1], Item(items[-1].package, ())]


def swap(items: Sequence[Item]) -> Sequence[Item]:
    """The last two are the wrong way round."""
    return [*items[:-2], *items[:-3:-1]]


def repeat(items: Sequence[Item]) -> Sequence[Item]:
    """The last one comes again, in the same package."""
    last = items[-1]
    return [*items[:-1], Item(last.package + last.package, last.audience)]


def broken_publisher(forge: Callable[[Sequence[Item]], Sequence[Item]]) -> Parts:
    return replace(
        chat.parts, publisher=lambda context, on_token: Forging(context, on_token, forge)
    )


class Deaf(Subscriber):
    """Loses the subscription of the room with the first publication, and nobody can tell.

    It forges the beats too: a beat that named the room would have the gap fetched.
    """

    def __init__(self, context: Context, handlers: SubscriberHandlers) -> None:
        super().__init__(context, replace(handlers, on_message=self._hear))
        self._told = handlers.on_message
        self._deaf = False

    def _hear(self, topic: str, payload: bytes) -> None:
        if topic == ROOM and self._deaf:
            return
        if topic == ROOM:
            self._deaf = isinstance(decode_frame(payload), Published)
        elif topic == TOPIC:
            payload = self._without_the_room(payload)
        self._told(topic, payload)

    def _without_the_room(self, payload: bytes) -> bytes:
        beat = decode_frame(payload)
        assert isinstance(beat, Beat)
        beat.positions[:] = [place for place in beat.positions if place[0] != ROOM]
        return encode_frame(beat)


async def run(cluster: Cluster, notes: Notes) -> Verdict:
    """Everybody talks to everybody, first one by one, then many messages at a time."""
    people = await enter_all(cluster, notes, NAMES, ROOM)
    try:
        for person in people:
            await person.send()
        await asyncio.gather(*(person.send() for person in people for _ in range(SENDS - 1)))
        await notes.quiet()
    finally:
        for person in people:
            await person.close()
    journal = await read_journal(cluster.settings, cluster.folder, [ROOM])
    return check(notes.events, journal, minimums=ENOUGH)


async def judge(folder: Path, parts: Parts) -> Verdict:
    app = copy.copy(chat)
    app.parts = parts
    async with Cluster(folder, app=app, settings=UNLIMITED) as cluster:
        return await run(cluster, Notes())


async def test_the_build_that_is_shipped(tmp_path: Path) -> None:
    verdict = await judge(tmp_path, chat.parts)
    assert verdict.ok, str(verdict)
    assert verdict.counts["received"] == len(NAMES) ** 2 * SENDS


@pytest.mark.parametrize(
    ("forge", "kinds"),
    [(drop, {Kind.LOST}), (swap, {Kind.ORDER}), (repeat, {Kind.TWICE})],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_build_that_forges(
    tmp_path: Path, forge: Callable[[Sequence[Item]], Sequence[Item]], kinds: set[Kind]
) -> None:
    verdict = await judge(tmp_path, broken_publisher(forge))
    assert verdict.kinds() == kinds, str(verdict)


async def test_a_build_that_loses_a_subscription(tmp_path: Path) -> None:
    verdict = await judge(tmp_path, replace(chat.parts, subscriber=Deaf))
    assert verdict.kinds() == {Kind.LOST}, str(verdict)


# Two workers that believe they own a room


class Stale:
    """A worker's journal that is behind with the ring until an append is fenced.

    Args:
        store: the journal.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._frozen: RingRow | None = None
        self.fenced = 0

    async def freeze(self) -> None:
        """Hear of no newer ring from now on."""
        self._frozen = await self._store.ring()

    async def ring(self) -> RingRow:
        return self._frozen or await self._store.ring()

    async def change_ring(self, generation: int, workers: frozenset[str]) -> RingRow:
        return self._frozen or await self._store.change_ring(generation, workers)

    async def append(self, generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        outcomes = await self._store.append(generation, appends)
        if any(isinstance(outcome, Fenced) for outcome in outcomes):
            self.fenced += 1
            self._frozen = None
        return outcomes

    async def open(self, channel: str) -> StreamPosition:
        return await self._store.open(channel)

    async def read(self, channel: str, after: int, limit: int) -> History:
        return await self._store.read(channel, after, limit)

    async def read_back(self, channel: str, before: int, limit: int) -> History:
        return await self._store.read_back(channel, before, limit)

    def let_go(self, channel: str, *, moved: bool) -> None:
        self._store.let_go(channel, moved=moved)

    async def close(self) -> None:
        await self._store.close()


class Unfenced(Stale):
    """Writes whatever it is told to, and says yes also to what it could not write."""

    async def append(self, generation: int, appends: Sequence[Append]) -> Sequence[Outcome]:
        await self._store.append(1 << 60, appends)
        return [Stored()] * len(appends)


async def split(folder: Path, kind: type[Stale]) -> tuple[Verdict, int]:
    """One worker takes over; the other goes on publishing what it was asked to before.

    Returns:
        the verdict, and how many batches were fenced.
    """
    stores: list[Stale] = []

    def store(settings: Settings, place: Path) -> Store:
        stores.append(kind(open_store(settings, place)))
        return stores[-1]

    app = copy.copy(chat)
    app.parts = replace(chat.parts, store=store)
    notes = Notes()
    async with Cluster(folder, app=app, settings=UNLIMITED) as cluster:
        behind = "chat-server-1"
        [room] = cluster.rooms_of(behind, 1)
        people = await enter_all(cluster, notes, NAMES, room)
        for person in people:
            await person.send()
        # Workers make their stores as they are started, the last listed first.
        await take_over(cluster, stores[1], behind, room)
        await asyncio.gather(*(person.send() for person in people))
        await say_to(cluster, behind, people[0])
        await notes.quiet()
        for person in people:
            await person.close()
        journal = await read_journal(cluster.settings, folder, [room])
    return check(notes.events, journal), sum(store.fenced for store in stores)


async def take_over(cluster: Cluster, late: Stale, behind: str, room: str) -> None:
    """The other worker makes itself the only one; `behind` does not hear of it."""
    await late.freeze()
    row = await late.ring()
    [other] = row.workers - {behind}
    store = open_store(cluster.settings, cluster.folder)
    try:
        await store.change_ring(row.generation, frozenset({other}))
    finally:
        await store.close()
    others = [running for name, running in cluster.running.items() if name != behind]
    await eventually(lambda: all(r.ring().owner(room) == other for r in others))


async def say_to(cluster: Cluster, server_id: str, person: Witness) -> None:
    """A send of this person that reaches this worker, whoever the owner is."""
    id_ = person.next_id()
    channel = cluster.running[server_id].channels.get(person.room)
    body = {"msg": id_, "from": person.name, "target": "*"}
    place = await channel.publish("onChat", body, uid=person.name, cid=id_)
    person.acknowledged(id_, *place)


async def test_a_worker_that_is_behind_is_fenced(tmp_path: Path) -> None:
    verdict, fenced = await split(tmp_path, Stale)
    assert verdict.ok, str(verdict)
    assert fenced > 0


async def test_a_build_that_appends_without_the_fence(tmp_path: Path) -> None:
    verdict, _ = await split(tmp_path, Unfenced)
    assert verdict.kinds() >= {Kind.CLASH, Kind.UNJOURNALLED}, str(verdict)
