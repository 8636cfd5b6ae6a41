"""Publishing from outside, over real servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cluster import UNLIMITED, Cluster
from tests.support.person import Person
from tests.support.timing import MS, eventually
from zchat import Application
from zchat.client import Publisher, StreamPosition
from zchat.config.settings import Journal
from zchat.errors import ConfigError, RequestError, TimedOut, Unavailable
from zchat.ops.cli import main

SMALL = {"gate": 1, "connector": 1, "chat": 2}
LONG = 20_000 * MS


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, SMALL, settings=UNLIMITED) as cluster:
        yield cluster


def news(number: int) -> dict[str, object]:
    return {"msg": str(number), "from": "harbour", "target": "*"}


def heard(person: Person) -> list[int]:
    return [int(body["msg"]) for body in person.pushes["onChat"]]


async def heard_all(person: Person, count: int) -> None:
    """Each of so many, once and in order."""
    await eventually(lambda: len(heard(person)) >= count, LONG)
    assert heard(person) == list(range(count))


async def test_members_get_it_with_its_place(cluster: Cluster) -> None:
    ann = await cluster.enter("ann", "pier")
    async with Publisher(cluster.folder) as publisher:
        place = await publisher.publish("pier", "onChat", news(0), uid="harbour")
    assert place == StreamPosition(place.epoch, 1)
    pushed = await ann.expect("onChat")
    assert (pushed["epoch"], pushed["offset"], pushed["msg"]) == (*place, "0")


async def test_the_order_is_that_of_the_calls(cluster: Cluster) -> None:
    ann = await cluster.enter("ann", "pier")
    async with Publisher(cluster.folder) as publisher:
        calls = [publisher.publish("pier", "onChat", news(number)) for number in range(100)]
        places = await asyncio.gather(*calls)
        assert publisher.waiting == 0
    assert [place.offset for place in places] == list(range(1, 101))
    await heard_all(ann, 100)


async def test_a_repeat_is_known(cluster: Cluster) -> None:
    async with Publisher(cluster.folder) as publisher, Publisher(cluster.folder) as other:
        first = await publisher.publish("pier", "onChat", news(0), uid="shop", cid="order-7")
        again = await other.publish("pier", "onChat", news(0), uid="shop", cid="order-7")
        third = await other.publish("pier", "onChat", news(0))
        fourth = await publisher.publish("pier", "onChat", news(0))
    assert again == first
    assert (third.offset, fourth.offset) == (2, 3)


async def test_it_may_be_for_some(cluster: Cluster) -> None:
    ann, bob = await cluster.enter_all(["ann", "bob"], "pier")
    async with Publisher(cluster.folder) as publisher:
        await publisher.publish("pier", "onChat", news(0), to=["ann"], members_only=True)
        with pytest.raises(RequestError) as refused:
            await publisher.publish("pier", "onChat", news(0), to=["cas"], members_only=True)
        await publisher.publish("pier", "onChat", news(1))
    assert refused.value.code == 404
    await heard_all(ann, 2)
    await eventually(lambda: heard(bob) == [1])


async def test_an_owner_may_die(cluster: Cluster) -> None:
    ann = await cluster.enter("ann", "pier")
    owner = cluster.owner_of("pier")
    async with Publisher(cluster.folder, timeout=LONG) as publisher:
        await publisher.publish("pier", "onChat", news(0))
        calls = [
            asyncio.create_task(publisher.publish("pier", "onChat", news(number)))
            for number in range(1, 60)
        ]
        await calls[5]
        await cluster.kill(owner)
        await cluster.start(owner)
        places = await asyncio.gather(*calls)
    assert [place.offset for place in places] == list(range(2, 61))
    await heard_all(ann, 60)


async def test_a_room_that_moves_is_followed(cluster: Cluster) -> None:
    ann = await cluster.enter("ann", "pier")
    owner = cluster.owner_of("pier")
    async with Publisher(cluster.folder, timeout=LONG) as publisher:
        await publisher.publish("pier", "onChat", news(0))
        cluster.unlist(owner)
        await eventually(lambda: cluster.owner_of("pier") != owner, LONG)
        await cluster.stop(owner)
        await publisher.publish("pier", "onChat", news(1))
        cluster.list_server("chat")
        await cluster.start(owner)
        await eventually(lambda: cluster.owner_of("pier") == owner, LONG)
        await publisher.publish("pier", "onChat", news(2))
    await heard_all(ann, 3)


async def test_a_journal_in_memory_has_no_row_to_agree_on(tmp_path: Path) -> None:
    settings = replace(UNLIMITED, journal=Journal(path=""))
    async with Cluster(tmp_path, SMALL, settings=settings) as cluster:
        rooms = [*cluster.rooms_of("chat-server-1", 1), *cluster.rooms_of("chat-server-2", 1)]
        async with Publisher(cluster.folder) as publisher:
            places = [await publisher.publish(room, "onChat", news(0)) for room in rooms]
    assert [place.offset for place in places] == [1, 1]


async def test_connectors_may_own_rooms(tmp_path: Path) -> None:
    app = Application(str(tmp_path / "app.py"))
    app.own_channels("connector")
    for expected, servers in enumerate(({"connector": 2, "chat": 1}, {"connector": 1}), 1):
        cluster = Cluster(tmp_path, servers, app=app)
        async with cluster, Publisher(tmp_path) as publisher:
            place = await publisher.publish("pier", "onNews", {})
        assert place.offset == expected


async def test_a_cluster_with_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZCHAT_ENV", raising=False)
    keyed = Cluster(tmp_path, SMALL)
    assert main(["--folder", str(tmp_path), "keys"]) == 0
    async with keyed as cluster:
        async with Publisher(cluster.folder) as publisher:
            place = await publisher.publish("pier", "onChat", news(0))
        assert place.offset == 1
        (tmp_path / "config" / "keys" / "operator.key_secret").unlink()
        with pytest.raises(ConfigError, match="zchat keys operator"):
            async with Publisher(cluster.folder):
                pytest.fail("it has no key")


# What is wrong


@pytest.fixture
def nobody(tmp_path: Path) -> Cluster:
    """A project whose servers do not run."""
    return Cluster(tmp_path, SMALL)


async def test_nobody_is_there(nobody: Cluster) -> None:
    async with Publisher(nobody.folder) as publisher:
        with pytest.raises(Unavailable, match="pier: not published: no server says"):
            await publisher.publish("pier", "onChat", news(0), timeout=50 * MS)


async def test_what_was_not_answered_is_unknown(cluster: Cluster) -> None:
    async with Publisher(cluster.folder) as publisher:
        await publisher.publish("pier", "onChat", news(0))
        running = cluster.running[cluster.owner_of("pier")]
        asked = asyncio.Event()

        async def never(*args: object) -> None:
            asked.set()
            await asyncio.Event().wait()

        running.methods.add("channel.publish", never, like=_publish)
        with pytest.raises(TimedOut) as unknown:
            await publisher.publish("pier", "onChat", news(1), cid="mine", timeout=200 * MS)
    assert asked.is_set()
    assert unknown.value.fields["cid"] == "mine"


async def _publish(
    name: str, route: str, body: bytes, uid: str, cid: str, to: list[str] | None, members: bool
) -> None:
    """What `channel.publish` takes."""


async def test_too_many_wait(nobody: Cluster) -> None:
    async with Publisher(nobody.folder, max_waiting=2) as publisher:
        waiting = [
            asyncio.create_task(publisher.publish("pier", "onChat", news(n), timeout=100 * MS))
            for n in range(2)
        ]
        await eventually(lambda: publisher.waiting == 2)
        with pytest.raises(Unavailable, match="2 wait already"):
            await publisher.publish("quay", "onChat", news(0))
        assert publisher.refused == 1
        for task in waiting:
            with pytest.raises(Unavailable):
                await task


async def test_the_end_comes_to_those_who_wait(nobody: Cluster) -> None:
    publisher = Publisher(nobody.folder)
    waiting = [
        asyncio.create_task(publisher.publish("pier", "onChat", news(number)))
        for number in range(2)
    ]
    await eventually(lambda: publisher.waiting == 2)
    await publisher.close()
    for task in waiting:
        with pytest.raises(Unavailable, match="closed"):
            await task
    with pytest.raises(RuntimeError, match="closed"):
        await publisher.publish("pier", "onChat", news(0))


async def test_what_cannot_be_sent_is_said_at_once(nobody: Cluster) -> None:
    protos = nobody.folder / "config" / "serverProtos.json"
    protos.write_text(json.dumps({"onBoat": {"required uInt32 length": 1}}))
    async with Publisher(nobody.folder) as publisher:
        with pytest.raises(ValueError, match="channel name"):
            await publisher.publish("", "onChat", news(0))
        with pytest.raises(ValueError, match="offset"):
            await publisher.publish("pier", "onChat", {"offset": 1})
        with pytest.raises(ValueError, match="push route"):
            await publisher.publish("pier", "", news(0))
        with pytest.raises(ValueError, match="a push on onBoat"):
            await publisher.publish("pier", "onBoat", {"length": "long"})
        assert publisher.waiting == 0


def test_a_folder_that_is_no_project(tmp_path: Path, nobody: Cluster) -> None:
    with pytest.raises(ConfigError, match=r"servers\.json"):
        Publisher(tmp_path / "none")
    (nobody.folder / "config" / "serverProtos.json").write_text('{"onBoat": {"x": 1}}')
    with pytest.raises(ConfigError, match=r"serverProtos\.json"):
        Publisher(nobody.folder)
