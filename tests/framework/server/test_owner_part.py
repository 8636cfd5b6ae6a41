"""An owner of channels in its cluster: restarts, conflicts, links that break."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.framework.server.test_running import says_until_heard
from tests.support.cluster import FAST, Cluster
from tests.support.person import Person
from tests.support.timing import MS, eventually
from zchat.chat.app import app as chat
from zchat.cluster.publisher import Publisher
from zchat.errors import StartError
from zchat.framework.app import parts
from zchat.framework.channels.host import ChannelHost
from zchat.framework.server.frontend_part import FrontendPart
from zchat.frontend.session import Session
from zchat.rooms.stream import PresenceChange, PresenceChanges, decode_frame

CHAT = "chat-server-1"
TWO_DOORS = {"gate": 1, "connector": 2, "chat": 1}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, TWO_DOORS) as cluster:
        yield cluster


def host(cluster: Cluster) -> ChannelHost:
    owner = cluster.running[CHAT].owner
    assert owner is not None
    return owner.host


def frontend(cluster: Cluster, index: int) -> FrontendPart:
    part = cluster.running[f"connector-server-{index + 1}"].frontend
    assert part is not None
    return part


def only_session(cluster: Cluster, index: int) -> Session:
    (session,) = frontend(cluster, index).sessions
    return session


async def test_only_owners_own(cluster: Cluster) -> None:
    owning = {name for name, running in cluster.running.items() if running.owner is not None}
    assert owning == {CHAT}


async def test_status_counts(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    await alice.say("hello")
    owner = cluster.running[CHAT].owner
    assert owner is not None
    status = owner.status()
    assert (status["channels"], status["published"]) == (1, 1)
    assert status["counters"].keys() >= {
        "appends_fenced",
        "channels_forgotten",
        "link_tokens_forgotten",
        "publications_refused",
        "publications_repeated",
        "xpub_refused",
    }
    assert not any(status["counters"].values())


async def test_of_two_claims_to_one_name_the_older_wins_and_the_other_is_told(
    cluster: Cluster,
) -> None:
    """Two owners may each have let one in while the ring changed: the next one must choose."""
    old = await cluster.enter("alice", "lobby", connector=0)
    young = await cluster.enter("bob", "lobby", connector=1)
    await cluster.kill(CHAT)
    (membership,) = (only_session(cluster, 1).memberships or {}).values()
    membership.uid = "alice"
    await cluster.start(CHAT)
    await eventually(lambda: host(cluster).settled)
    await eventually(lambda: young.client.state.value != "online")
    assert host(cluster).counts["claims_lost"] >= 1  # it may be claimed again before it is gone
    await says_until_heard(old, "mine", old)
    presence = host(cluster).channels["lobby"].presence
    await eventually(lambda: presence.uids() == ["alice"])  # bob, whom nobody claimed, is lost
    (left,) = host(cluster).channels["lobby"].presence.members["alice"].sessions
    assert left.frontend == "connector-server-1"


async def test_who_goes_while_the_link_is_down_is_let_go_afterwards(cluster: Cluster) -> None:
    """The link breaks and comes back so fast that the owner never knew; it must learn of it."""
    alice = await cluster.enter("alice", "lobby", connector=0)
    bob = await cluster.enter("bob", "lobby", connector=1)
    await alice.expect("onAdd")
    node = cluster.running["connector-server-2"].node
    node.client.disconnect(CHAT)
    await bob.close()
    await eventually(lambda: len(frontend(cluster, 1).sessions) == 0)
    assert host(cluster).channels["lobby"].presence.uids() == ["alice", "bob"]
    node.follow(node.topology, [node.topology.get(CHAT)])
    assert await alice.expect("onLeave") == {"route": "onLeave", "user": "bob"}


async def test_members_stay_while_publications_are_linked_again(cluster: Cluster) -> None:
    alice = await cluster.enter("alice", "lobby", connector=0)
    bob = await cluster.enter("bob", "lobby", connector=1)
    await alice.say("one")
    await bob.heard(1)
    part = frontend(cluster, 1)
    server = cluster.running[CHAT].server
    part._subscriber.disconnect(CHAT)
    assert "offset" in await alice.say("two")
    part._subscriber.connect(CHAT, server.pub_address)
    assert await bob.heard(2) == ["one", "two"]  # fetched, once the announce shows the gap
    await alice.say("three")
    assert await bob.heard(3) == ["one", "two", "three"]
    assert (alice.pushes["onLeave"], bob.pushes["onLeave"]) == ([], [])


async def test_members_are_told_what_cannot_be_fetched_any_more(tmp_path: Path) -> None:
    settings = replace(
        FAST,
        rooms=replace(FAST.rooms, history=5, repeat_window=5),
        journal=replace(FAST.journal, path=""),
    )
    async with Cluster(tmp_path, TWO_DOORS, settings=settings) as cluster:
        alice = await cluster.enter("alice", "lobby", connector=0)
        bob = await cluster.enter("bob", "lobby", connector=1)
        heard: list[Any] = []
        bob.client.on("onHistoryLost", heard.append)
        bob.client.on("onChat", lambda body: heard.append(body["offset"]))
        part = frontend(cluster, 1)
        part._subscriber.disconnect(CHAT)
        for number in range(1, 21):
            await alice.say(str(number))
        part._subscriber.connect(CHAT, cluster.running[CHAT].server.pub_address)
        await eventually(lambda: len(heard) == 6)
        epoch = bob.pushes["onChat"][0]["epoch"]
        assert heard == [{"epoch": epoch, "after": 0, "before": 16}, 16, 17, 18, 19, 20]
        counters = part.status()["counters"]
        assert (counters["history_lost"], counters["items_lost"]) == (1, 15)


async def test_a_new_epoch_is_told_once_and_goes_on_after_the_last_offset(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine started anew, and what was written last may be gone; connectors lived on."""
    alice = await cluster.enter("alice", "lobby", connector=0)
    bob = await cluster.enter("bob", "lobby", connector=1)
    told: dict[str, list[Any]] = {"alice": [], "bob": []}
    for person in (alice, bob):
        person.client.on("onHistoryLost", told[person.name].append)
    for said in ("one", "two", "three"):
        await alice.say(said)
    await bob.heard(3)
    await cluster.kill(CHAT)
    (tmp_path / "boot").write_text("another boot")
    monkeypatch.setattr(parts, "_BOOT", tmp_path / "boot")
    await cluster.start(CHAT)
    await says_until_heard(alice, "four", bob)
    await says_until_heard(alice, "five", bob)
    await alice.heard(5)
    assert alice.texts == bob.texts == ["one", "two", "three", "four", "five"]
    places = [(push["epoch"], push["offset"]) for push in bob.pushes["onChat"]]
    old, new = places[0][0], places[-1][0]
    assert old != new
    assert places == [*((old, n) for n in (1, 2, 3)), (new, 4), (new, 5)]
    hole = {"epoch": new, "after": 0, "before": 4}
    assert told["alice"] == told["bob"] == [hole]


async def test_a_taken_port_says_who_asks_and_leaves_nothing_open(cluster: Cluster) -> None:
    running = cluster.running[CHAT]
    with pytest.raises(StartError) as caught:
        await cluster.start(CHAT)
    address = running.server.router_address
    asked = f"{CHAT}: peers cannot start: cannot bind {address}: Address already in use"
    assert str(caught.value).startswith(asked)
    assert cluster.running[CHAT] is running


async def test_stopping_twice_is_stopping_once(cluster: Cluster) -> None:
    owner = cluster.running[CHAT].owner
    assert owner is not None
    await cluster.stop(CHAT)
    await owner.stop()


# Who is here


class LossyPublisher(Publisher):
    """Loses every second frame of changes of a member list."""

    changes = 0
    lost = 0

    def publish(self, topic: str, payload: bytes) -> None:
        if isinstance(decode_frame(payload), PresenceChange | PresenceChanges):
            LossyPublisher.changes += 1
            if LossyPublisher.changes % 2 == 0:
                LossyPublisher.lost += 1
                return
        super().publish(topic, payload)


class Watcher:
    """Whom a client shows, and that it hears of nobody's coming or going twice."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.people: set[str] = set()
        self.surprises: list[str] = []
        person.client.on("onAdd", self._add)
        person.client.on("onLeave", self._leave)

    async def enter(self, room: str) -> None:
        self.people = set(await self.person.enter(room))

    def _add(self, body: dict[str, str]) -> None:
        if body["user"] in self.people:
            self.surprises.append(f"+{body['user']}")
        self.people.add(body["user"])

    def _leave(self, body: dict[str, str]) -> None:
        if body["user"] not in self.people:
            self.surprises.append(f"-{body['user']}")
        self.people.discard(body["user"])


async def watch(cluster: Cluster, name: str, connector: int) -> Watcher:
    watcher = Watcher(await cluster.connect(name, connector))
    await watcher.enter("lobby")
    return watcher


async def test_lists_are_right_in_the_end_although_changes_are_lost(tmp_path: Path) -> None:
    LossyPublisher.changes = LossyPublisher.lost = 0
    lossy = copy(chat)
    lossy.parts = replace(chat.parts, publisher=LossyPublisher)
    async with Cluster(tmp_path, TWO_DOORS, app=lossy) as cluster:
        watchers = [await watch(cluster, f"person{n}", n % 2) for n in range(12)]
        staying = [w for n, w in enumerate(watchers) if n % 3]
        for watcher in watchers[::3]:
            await watcher.person.close()
        expected = {watcher.person.name for watcher in staying}
        await eventually(lambda: all(w.people == expected for w in staying), 8000 * MS)
        assert LossyPublisher.lost >= 2
        assert [watcher.surprises for watcher in staying] == [[]] * len(staying)
        compared = [frontend(cluster, n).resync.counters["compared"] for n in (0, 1)]
        assert min(compared) > 0
        assert frontend(cluster, 0).status()["counters"]["compared"] == compared[0]


async def test_who_dies_with_connector_and_worker_leaves_after_the_grace(cluster: Cluster) -> None:
    alice = await watch(cluster, "alice", 0)
    bob = await watch(cluster, "bob", 1)
    carol = await watch(cluster, "carol", 0)
    await eventually(lambda: alice.people == {"alice", "bob", "carol"})
    await cluster.kill("connector-server-2")
    await cluster.kill(CHAT)
    await bob.person.close()
    await cluster.start(CHAT)
    stay = {"alice", "carol"}
    await eventually(lambda: alice.people == carol.people == stay, 8000 * MS)
    for watcher in (alice, carol):
        assert watcher.person.pushes["onLeave"] == [{"route": "onLeave", "user": "bob"}]
    late = await watch(cluster, "late", 0)
    assert late.people == {"alice", "carol", "late"}
    await eventually(lambda: "late" in alice.people)
    assert [watcher.surprises for watcher in (alice, carol, late)] == [[], [], []]


async def test_who_comes_back_within_the_grace_makes_no_noise(tmp_path: Path) -> None:
    rooms = replace(FAST.rooms, grace=20_000 * MS)
    settings = replace(FAST, rooms=rooms)
    async with Cluster(tmp_path, TWO_DOORS, settings=settings) as cluster:
        alice = await watch(cluster, "alice", 0)
        bob = await watch(cluster, "bob", 1)
        await eventually(lambda: "bob" in alice.people)
        await cluster.kill("connector-server-2")
        await cluster.kill(CHAT)
        await bob.person.close()
        await cluster.start(CHAT)
        await eventually(lambda: "lobby" in host(cluster).channels)
        presence = host(cluster).channels["lobby"].presence
        await eventually(lambda: presence.uids() == ["alice", "bob"])
        again = await watch(cluster, "bob", 0)
        await says_until_heard(again.person, "back", alice.person)
        assert alice.people == again.people == {"alice", "bob"}
        assert alice.surprises == again.surprises == []
        assert alice.person.pushes["onLeave"] == []
