"""An owner of channels in its cluster: restarts, conflicts, links that break."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.framework.test_running import says_until_heard
from tests.support.cluster import Cluster
from tests.support.timing import eventually
from zchat.errors import ConfigError
from zchat.framework.channel_host import ChannelHost
from zchat.framework.frontend_part import FrontendPart
from zchat.frontend.session import Session

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
    assert owner.status() == {
        "channels": 1,
        "published": 1,
        "counters": {"publications_refused": 0},
    }


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
    assert host(cluster).counters["claims_lost"] == 1
    await says_until_heard(old, "mine", old)
    assert host(cluster).channels["lobby"].presence.uids() == ["alice"]
    (left,) = host(cluster).channels["lobby"].presence.members["alice"].sessions
    assert left.frontend == "connector-server-1"


async def test_who_goes_while_the_link_is_down_is_let_go_afterwards(cluster: Cluster) -> None:
    """The link breaks and comes back so fast that the owner never knew; it must learn of it."""
    alice = await cluster.enter("alice", "lobby", connector=0)
    bob = await cluster.enter("bob", "lobby", connector=1)
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


async def test_a_taken_port_says_who_asks_and_leaves_nothing_open(cluster: Cluster) -> None:
    running = cluster.running[CHAT]
    with pytest.raises(ConfigError) as caught:
        await cluster.start(CHAT)
    asked = f"{CHAT}: cannot bind {running.server.router_address}: Address already in use"
    assert str(caught.value).startswith(asked)
    assert cluster.running[CHAT] is running


async def test_stopping_twice_is_stopping_once(cluster: Cluster) -> None:
    owner = cluster.running[CHAT].owner
    assert owner is not None
    await cluster.stop(CHAT)
    await owner.stop()
