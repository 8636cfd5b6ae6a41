"""A thousand people on the real process set, every message counted."""

from __future__ import annotations

import asyncio
import itertools
import resource
import secrets
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from tests.support.person import Person
from tests.support.processes import UNLIMITED, Processes
from tests.support.timing import MS
from zchat.client import connect
from zchat.client.client import GATE_ROUTE
from zchat.frontend.sockets.descriptors import raise_limit

PEOPLE = 1000
AT_ONCE = 50
"""How many come in at the same time."""

END = "the end"
PATIENT = 30_000 * MS
"""Each single answer may take so long: on shared cores a thousand logins are work."""

T = TypeVar("T")

pytestmark = pytest.mark.timeout(180)
"""A machine with other things to do needs longer than other tests have."""


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    """Each person is a socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > PEOPLE + 500
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    deadline = f"\n[cluster]\ndrain = 0\nrequest_deadline = {PATIENT}\n"
    servers = {"gate": 1, "connector": 2, "chat": 2}
    async with Processes(tmp_path, servers, UNLIMITED + deadline) as processes:
        await gate_knows(processes, 2)
        yield processes


async def gate_knows(processes: Processes, count: int) -> None:
    """Wait until the gate hands out so many connectors."""
    async with connect(processes.url("gate-server-1")) as gate, asyncio.timeout(PATIENT):
        ports: set[int | None] = set()
        while len(ports) < count:
            query = {"uid": secrets.token_hex(4)}
            ports.add((await gate.request(GATE_ROUTE, query)).get("port"))
            ports.discard(None)


class Crowd:
    """People who come in many at a time; all leave in the end."""

    def __init__(self, processes: Processes) -> None:
        self._gate = processes.url("gate-server-1")
        self._door = asyncio.Semaphore(AT_ONCE)
        self.people: list[Person] = []

    async def enter(self, name: str, room: str) -> tuple[Person, list[str]]:
        """Somebody through the gate into a room; returns who was there."""
        async with self._door:
            person = Person(name, self._gate, name, timeout=PATIENT, reconnect=False)
            self.people.append(person)
            await person.start()
            return person, await person.enter(room)

    async def leave(self) -> None:
        """Everybody goes."""
        await asyncio.gather(*(person.close() for person in self.people))


@pytest.fixture
async def crowd(processes: Processes) -> AsyncIterator[Crowd]:
    crowd = Crowd(processes)
    yield crowd
    await crowd.leave()


async def everybody(work: Sequence[Awaitable[T]]) -> list[T]:
    """All at once; nothing is left running when one fails."""
    return list(await asyncio.gather(*work))


async def say_all(person: Person, texts: Sequence[str]) -> None:
    """One message after the other, each acknowledged."""
    for text in texts:
        assert "offset" in await person.say(text)


async def check_room(people: Sequence[Person], sent: Sequence[Sequence[str]]) -> None:
    """Everybody heard everything once, and in one order.

    Args:
        people: everybody in the room.
        sent: what was said in it, a sequence for each who spoke.
    """
    # It is behind all others in the room's one order, so nothing of theirs can come later.
    await people[0].say(END)
    count = sum(map(len, sent)) + 1
    everything = await people[0].heard(count, PATIENT)
    assert sorted(everything) == sorted([*itertools.chain(*sent), END])
    place = {text: index for index, text in enumerate(everything)}
    for texts in sent:
        assert sorted(texts, key=place.__getitem__) == list(texts)
    for person in people:
        assert await person.heard(count, PATIENT) == everything
        offsets = [push["offset"] for push in person.pushes["onChat"]]
        assert offsets == list(range(1, count + 1))


def check_arrivals(came: Sequence[tuple[Person, list[str]]], names: Sequence[str]) -> None:
    """Who was there and who somebody was told of make up everybody, each once."""
    for person, users in came:
        added = [push["user"] for push in person.pushes["onAdd"]]
        assert sorted(users + added) == sorted(names)
        assert person.pushes["onLeave"] == []


async def test_one_room(crowd: Crowd) -> None:
    names = [f"p{number}" for number in range(PEOPLE)]
    came = await everybody([crowd.enter(name, "lobby") for name in names])
    people = [person for person, _ in came]
    sent = [[f"{person.name} says {number}" for number in range(3)] for person in people[::25]]
    await everybody(
        [say_all(person, texts) for person, texts in zip(people[::25], sent, strict=True)]
    )
    await check_room(people, sent)
    check_arrivals(came, names)


async def test_two_hundred_rooms(crowd: Crowd) -> None:
    rooms = {f"room{room}": [f"p{room}x{seat}" for seat in range(5)] for room in range(200)}
    came = await everybody(
        [crowd.enter(rooms[room][seat], room) for seat in range(5) for room in rooms]
    )
    known = {person.name: (person, users) for person, users in came}
    sent = {name: [f"{name} says {number}" for number in range(3)] for name in known}
    await everybody([say_all(known[name][0], texts) for name, texts in sent.items()])
    for names in rooms.values():
        await check_room([known[name][0] for name in names], [sent[name] for name in names])
        check_arrivals([known[name] for name in names], names)
