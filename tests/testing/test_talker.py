"""What one simulated person writes down, in a cluster of this process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from tests.support.cluster import Cluster
from tests.support.timing import MS, eventually
from zchat.ops.check import TALK
from zchat.testing.events import (
    Acked,
    Ended,
    Entered,
    Event,
    Lost,
    PeopleSeen,
    Received,
    Refused,
    Sent,
)
from zchat.testing.talker import Talker


class Pair:
    """ann and bob, in one room."""

    def __init__(self, cluster: Cluster) -> None:
        self.events: list[Event] = []
        self.ann, self.bob = (self._talker(cluster, name) for name in ("ann", "bob"))

    def _talker(self, cluster: Cluster, name: str) -> Talker:
        return Talker(
            cluster.url(),
            TALK,
            name,
            "pier",
            rng=Random(1),
            events=self.events,
            clock=time.monotonic,
            away=0.0,
        )

    def written(self, *kinds: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kinds)]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with Cluster(tmp_path) as cluster:
        pair = Pair(cluster)
        await pair.ann.start()
        await pair.bob.start()
        yield pair
        await pair.ann.close()
        await pair.bob.close()
        assert pair.written(Ended) == []


async def test_what_it_says_and_is_shown(pair: Pair) -> None:
    await pair.ann.say()
    await eventually(lambda: len(pair.written(Received)) == 2)
    [sent] = pair.written(Sent)
    [acked] = pair.written(Acked)
    assert isinstance(sent, Sent)
    assert isinstance(acked, Acked)
    assert (sent.client, sent.room, sent.to) == ("ann", "pier", None)
    assert (acked.id, acked.offset) == (sent.id, 1)
    for event in pair.written(Received):
        assert isinstance(event, Received)
        assert (event.id, event.sender, event.offset) == (sent.id, "ann", 1)


async def test_to_one_alone(pair: Pair) -> None:
    await pair.ann.say("bob")
    await eventually(lambda: pair.written(Received))
    [event] = pair.written(Received)
    assert isinstance(event, Received)
    assert event.client == "bob"


async def test_what_is_refused(pair: Pair) -> None:
    await pair.ann.say("nobody")
    [event] = pair.written(Refused)
    assert isinstance(event, Refused)
    assert "nobody is not here" in event.why


async def test_a_loss_and_a_return(pair: Pair) -> None:
    pair.bob.client.drop("on purpose")
    await eventually(lambda: pair.written(Lost))
    await pair.ann.say()
    await eventually(lambda: len(pair.written(Entered)) == 3)
    await eventually(lambda: len(pair.written(Received)) == 2)
    again = pair.written(Entered)[-1]
    assert isinstance(again, Entered)
    assert (again.client, again.recovered) == ("bob", True)


async def test_it_talks_until_its_time_is_over(pair: Pair) -> None:
    await pair.ann.live(time.monotonic() + 200 * MS, rate=100 / (1000 * MS), private=0.5)
    sends = pair.written(Sent)
    assert len(sends) > 2
    assert len(pair.written(Acked)) == len(sends)


async def test_whom_it_sees(pair: Pair) -> None:
    def seen() -> tuple[str, ...]:
        pair.ann.look()
        event = pair.events[-1]
        assert isinstance(event, PeopleSeen)
        return event.people

    await eventually(lambda: seen() == ("ann", "bob"))
    await pair.bob.close()
    await eventually(lambda: seen() == ("ann",))
