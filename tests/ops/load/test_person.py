"""One of the people of a load, in a cluster of this process."""

from __future__ import annotations

import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ops.load.bare import WELCOME, serving
from tests.support.cluster import FAST, Cluster
from tests.support.timing import eventually
from zchat.client import Disconnected
from zchat.config.settings import Settings
from zchat.errors import RequestError
from zchat.frontend.sockets.frames import frame
from zchat.ops.check import TALK
from zchat.ops.load.person import Person
from zchat.ops.load.plan import Plan
from zchat.ops.load.tape import Tape
from zchat.protocol.handshake import refusal

PLAN = Plan("b", people=3, rooms=1, rate=10.0, seconds=100.0, warmup=0.1)
SMALL = {"connector": 1, "chat": 1}


class Crew:
    """People in one room, who share a tape."""

    def __init__(self, cluster: Cluster) -> None:
        self.url = cluster.url("connector")
        self.tape = Tape(PLAN)
        self.tape.start(time.monotonic())
        self.people = [Person(number, PLAN, TALK, self.tape) for number in range(3)]

    async def come(self) -> None:
        for person in self.people:
            await person.come(self.url)


@asynccontextmanager
async def crew(folder: Path, settings: Settings = FAST) -> AsyncIterator[tuple[Cluster, Crew]]:
    async with Cluster(folder, SMALL, settings=settings) as cluster:
        crew = Crew(cluster)
        try:
            yield cluster, crew
        finally:
            for person in crew.people:
                person.leave()


async def test_all_are_shown_what_one_says(tmp_path: Path) -> None:
    async with crew(tmp_path) as (_, found):
        await found.come()
        first = found.people[0]
        for message in (0, 3, 6):
            first.say(message)
        await eventually(lambda: found.tape.received == 9)
        await eventually(lambda: len(first.acks) == 3)
        assert [ack.message for ack in first.acks] == list(first.sent) == [0, 3, 6]
        assert first.waiting == {}
        assert [p.id for p in found.tape.publications] == ["bm0", "bm3", "bm6"]
        assert {p.sender for p in found.tape.publications} == {"bp0"}
        assert [person.shown for person in found.people] == [array("I", [0, 1, 2])] * 3
        assert [ack.offset for ack in first.acks] == [p.offset for p in found.tape.publications]
        assert (found.tape.sent, found.tape.answered, found.tape.owed) == (3, 3, 9)


async def test_it_knows_where_it_came_in(tmp_path: Path) -> None:
    async with crew(tmp_path) as (_, found):
        await found.people[0].come(found.url)
        found.people[0].say(0)
        await eventually(lambda: found.tape.received == 1)
        await found.people[1].come(found.url)
        epoch, offset = found.people[1].place
        assert epoch == found.people[0].place[0] == found.tape.publications[0].epoch
        assert (found.people[0].place[1], offset) == (0, 1)


async def test_only_what_comes_after_the_warm_up_is_measured(tmp_path: Path) -> None:
    async with crew(tmp_path) as (_, found):
        await found.come()
        found.people[0].say(0)
        found.people[0].say(PLAN.unmeasured)
        await eventually(lambda: found.tape.answered == 2 and found.tape.received == 6)
        assert len(found.tape.acknowledged) == 1
        assert sum(map(len, found.tape.delivered)) == 3


async def test_what_is_refused(tmp_path: Path) -> None:
    one = replace(FAST, limits=replace(FAST.limits, requests_in_flight=1))
    async with crew(tmp_path, one) as (_, found):
        await found.come()
        for message in range(5):
            found.people[0].say(message)
        await eventually(lambda: found.tape.answered == 5)
        first = found.people[0]
        assert len(first.acks) + len(first.refusals) == 5
        assert first.refusals
        assert first.refusals[0].why == "too many requests at once"


async def test_who_talks_too_much_is_thrown_out_and_told_why(tmp_path: Path) -> None:
    slow = replace(FAST, limits=replace(FAST.limits, messages_per_second=1, messages_burst=5))
    async with crew(tmp_path, slow) as (_, found):
        await found.come()
        for message in range(20):
            found.people[0].say(message)
        await eventually(lambda: found.people[0].gone)
        assert found.people[0].gone == "too many messages per second"
        assert found.tape.gone == 1
        before = len(found.people[0].sent)
        found.people[0].say(21)
        assert (len(found.people[0].sent), found.people[0].unsent) == (before, 1)


async def test_a_lost_connector(tmp_path: Path) -> None:
    async with crew(tmp_path) as (cluster, found):
        await found.come()
        await cluster.kill("connector-server-1")
        await eventually(lambda: found.tape.gone == 3)


async def test_heartbeats_are_answered(tmp_path: Path) -> None:
    beating = replace(FAST, client=replace(FAST.client, heartbeat=1))
    async with crew(tmp_path, beating) as (_, found):
        await found.come()
        later = time.monotonic() + 2.5
        await eventually(lambda: time.monotonic() > later)
        assert found.tape.gone == 0


async def test_a_name_that_is_taken(tmp_path: Path) -> None:
    async with crew(tmp_path) as (_, found):
        await found.people[0].come(found.url)
        double = Person(0, PLAN, TALK, found.tape)
        try:
            with pytest.raises(RequestError, match="answered with code 500"):
                await double.come(found.url)
        finally:
            double.leave()


async def test_a_handshake_that_is_refused() -> None:
    person = Person(0, PLAN, TALK, Tape(PLAN))
    async with serving(WELCOME, frame(refusal(501))) as bare:
        with pytest.raises(Disconnected, match="handshake refused with code 501"):
            await person.come(bare.url)
        person.leave()


async def test_a_server_that_makes_no_sense() -> None:
    person = Person(0, PLAN, TALK, Tape(PLAN))
    async with serving(WELCOME, frame(b"\x09\0\0\0")) as bare:
        with pytest.raises(Disconnected, match="package type 9"):
            await person.come(bare.url)
