"""One person signed in twice: what is allowed, on one frontend and in the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.application import application
from tests.support.cluster import Cluster
from tests.support.person import Person
from tests.support.signing import H, ending, signed_in
from tests.support.timing import MS, eventually
from zchat import AlreadyMember, BadRequest, RequestError, SessionRef, Unavailable
from zchat.client import State
from zchat.framework.sessions.logins import LOGIN, Logins, Policy, SignedInElsewhere
from zchat.frontend.session import AlreadyBound, Session, SessionTable
from zchat.frontend.sockets.connection import Connection

ELSEWHERE = "signed in on another connection"


class Owner:
    """Stands for all login channels: says what was asked of it, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.error: RequestError | None = None
        self.meanwhile: Callable[[], object] = lambda: None

    def channel(self, name: str) -> Owner:
        self.name = name
        return self

    async def add(self, uid: str, session: SessionRef, *, exclusive: bool, resume: str) -> None:
        self.asked.append(("add", self.name, uid, session.session, exclusive, resume))
        await asyncio.sleep(0)
        self.meanwhile()
        if self.error is not None:
            raise self.error

    async def leave(self, uid: str, session: SessionRef) -> None:
        self.asked.append(("leave", self.name, uid, session.session))
        if self.error is not None:
            raise self.error


class Desk:
    """Logins with all that they meet."""

    def __init__(self, policy: Policy) -> None:
        self.owner = Owner()
        self.table = SessionTable("c1", "life")
        self.bound: list[str] = []
        self.dropped: list[str] = []
        self.logins = Logins(
            policy,
            self.owner.channel,
            lambda session: self.bound.append(session.uid),
            lambda session, channel: self.dropped.append(channel),
            lambda session: self.table.get(session.id) is session,
        )

    def session(self) -> Session:
        return self.table.open(cast(Connection, SimpleNamespace()))


async def test_whoever_may_sign_in_asks_nobody() -> None:
    desk = Desk("allow")
    one, two = desk.session(), desk.session()
    for session in (one, two, one):
        await desk.logins.sign_in(session, "alice")
    assert desk.bound == ["alice", "alice"]
    await desk.logins.sign_out(one, "alice")
    assert (one.uid, two.uid, desk.owner.asked) == ("", "alice", [])


@pytest.mark.parametrize(("policy", "token"), [("refuse", ""), ("newest", "newest")])
async def test_the_channel_of_the_uid_decides(policy: Policy, token: str) -> None:
    desk = Desk(policy)
    session = desk.session()
    await desk.logins.sign_in(session, "alice")
    await desk.logins.sign_in(session, "alice")
    assert desk.owner.asked == [("add", LOGIN + "alice", "alice", 1, True, token)]
    await desk.logins.sign_out(session, "alice")
    assert desk.owner.asked[1:] == [("leave", LOGIN + "alice", "alice", 1)]
    assert desk.bound == ["alice"]


async def test_who_is_refused_is_not_bound() -> None:
    desk = Desk("refuse")
    session = desk.session()
    for error, wanted in (
        (AlreadyMember("no"), SignedInElsewhere),
        (Unavailable("later"), Unavailable),
    ):
        desk.owner.error = error
        with pytest.raises(wanted):
            await desk.logins.sign_in(session, "alice")
    assert (session.uid, desk.bound) == ("", [])


async def test_who_went_meanwhile_gives_its_place_up() -> None:
    desk = Desk("refuse")
    session = desk.session()
    desk.owner.meanwhile = lambda: desk.table.close(session)
    with pytest.raises(RequestError, match="is gone"):
        await desk.logins.sign_in(session, "alice")
    assert desk.owner.asked[-1][0] == "leave"
    assert (session.uid, desk.bound) == ("", [])


async def test_who_became_somebody_else_meanwhile_gives_its_place_up() -> None:
    desk = Desk("refuse")
    session = desk.session()
    results = await asyncio.gather(
        desk.logins.sign_in(session, "alice"),
        desk.logins.sign_in(session, "bob"),
        desk.logins.sign_in(session, "alice"),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), AlreadyBound, type(None)]
    assert [entry for entry in desk.owner.asked if entry[0] == "leave"] == [
        ("leave", LOGIN + "bob", "bob", 1)
    ]
    assert (session.uid, desk.bound) == ("alice", ["alice"])


async def test_who_signs_out_without_an_owner_is_dropped() -> None:
    desk = Desk("newest")
    session = desk.session()
    await desk.logins.sign_in(session, "alice")
    desk.owner.error = Unavailable("away")
    await desk.logins.sign_out(session, "alice")
    assert (session.uid, desk.dropped) == ("", [LOGIN + "alice"])


@pytest.mark.parametrize("uid", ["", "a\0b", "\ud800", "x" * 200])
async def test_uids_that_are_none(uid: str) -> None:
    desk = Desk("refuse")
    with pytest.raises(BadRequest):
        await desk.logins.sign_in(desk.session(), uid)
    assert desk.owner.asked == []


# In a cluster


@asynccontextmanager
async def policed(folder: Path, policy: Policy) -> AsyncIterator[Cluster]:
    app = application(folder, {"connector/handler/h": H, "area/handler/h": H})
    app.single_session(policy)
    servers = {"gate": 1, "connector": 2, "area": 2}
    async with Cluster(folder, servers, app=app) as cluster:
        await eventually(
            lambda: all(
                running.ring().workers == {"area-server-1", "area-server-2"}
                and (running.owner is None or running.owner.host.settled)
                for running in cluster.running.values()
            ),
            5000 * MS,
        )
        yield cluster


@pytest.fixture
async def refusing(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with policed(tmp_path, "refuse") as cluster:
        yield cluster


@pytest.fixture
async def newest(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with policed(tmp_path, "newest") as cluster:
        yield cluster


async def try_to_sign_in(cluster: Cluster, uid: str, connector: int) -> tuple[Person, int]:
    """Somebody, and the code of its answer; 200 when it is signed in."""
    person = await cluster.connect(uid, connector)
    while True:  # an owner that takes a channel may not be found at once
        answer = await person.request("area.h.bind", {"uid": uid})
        if answer.get("code") != 503:
            return person, answer.get("code", 200)


async def where(cluster: Cluster, uid: str) -> list[str]:
    connectors = [name for name in cluster.running if name.startswith("connector")]
    found = await cluster.running[connectors[0]].app.sessions.of(uid)
    return sorted(session.frontend for session in found)


@pytest.mark.parametrize("connector", [0, 1])
async def test_the_newcomer_is_refused(refusing: Cluster, connector: int) -> None:
    alice = await signed_in(refusing, "alice", 0)
    other, code = await try_to_sign_in(refusing, "alice", connector)
    assert code == 409
    assert (await other.request("area.h.bind", {"uid": "bob"})) == {"uid": "bob"}
    assert (await alice.request("area.h.unbind", {"uid": "alice"})) == {"uid": ""}
    _, code = await try_to_sign_in(refusing, "alice", connector)
    assert code == 200


async def test_a_closed_connection_makes_room_at_once(refusing: Cluster) -> None:
    alice = await signed_in(refusing, "alice", 0)
    await alice.close()
    connector = refusing.running["connector-server-1"].frontend
    assert connector is not None
    await eventually(lambda: len(connector.sessions) == 0)
    _, code = await try_to_sign_in(refusing, "alice", 1)
    assert code == 200


@pytest.mark.parametrize("connector", [0, 1])
async def test_the_older_is_kicked_and_told_why(newest: Cluster, connector: int) -> None:
    alice = await signed_in(newest, "alice", 0)
    again = await signed_in(newest, "alice", connector)
    assert await ending(alice) == ELSEWHERE
    await eventually(lambda: again.client.state is State.ONLINE)
    assert await where(newest, "alice") == [f"connector-server-{connector + 1}"]
    third = await signed_in(newest, "alice", 1 - connector)
    assert await ending(again) == ELSEWHERE
    assert third.client.state is State.ONLINE


async def test_the_owner_is_killed_and_still_refuses(refusing: Cluster) -> None:
    alice = await signed_in(refusing, "alice", 0)
    owner = refusing.owner_of(LOGIN + "alice")
    await refusing.kill(owner)
    await refusing.start(owner)
    _, code = await try_to_sign_in(refusing, "alice", 1)
    assert code == 409
    assert (await alice.request("area.h.bind", {"uid": "alice"})) == {"uid": "alice"}


async def test_the_owner_is_killed_and_the_newest_still_wins(newest: Cluster) -> None:
    alice = await signed_in(newest, "alice", 0)
    owner = newest.owner_of(LOGIN + "alice")
    await newest.kill(owner)
    await newest.start(owner)
    _, code = await try_to_sign_in(newest, "alice", 1)
    assert code == 200
    assert await ending(alice) == ELSEWHERE


async def test_the_connector_is_killed_and_the_place_is_free(refusing: Cluster) -> None:
    await signed_in(refusing, "alice", 0)
    await refusing.kill("connector-server-1")
    owner = refusing.running[refusing.owner_of(LOGIN + "alice")]
    await eventually(lambda: "connector-server-1" not in owner.node.rpc_server.peers)
    _, code = await try_to_sign_in(refusing, "alice", 1)
    assert code == 200


async def test_both_are_killed_and_the_place_is_free(refusing: Cluster) -> None:
    await signed_in(refusing, "alice", 0)
    owner = refusing.owner_of(LOGIN + "alice")
    await refusing.kill("connector-server-1")
    await refusing.kill(owner)
    await refusing.start(owner)
    _, code = await try_to_sign_in(refusing, "alice", 1)
    assert code == 200
    await refusing.start("connector-server-1")
    _, code = await try_to_sign_in(refusing, "alice", 0)
    assert code == 409


async def test_of_many_at_once_one_is_not_refused(refusing: Cluster) -> None:
    tried = await asyncio.gather(
        *(try_to_sign_in(refusing, "alice", number % 2) for number in range(8))
    )
    assert sorted(code for _, code in tried) == [200] + [409] * 7
    assert len(await where(refusing, "alice")) == 1


async def test_of_many_at_once_one_stays(newest: Cluster) -> None:
    people = [await newest.connect("alice", number % 2) for number in range(8)]
    requests = (person.request("area.h.bind", {"uid": "alice"}) for person in people)
    answers = await asyncio.gather(*requests, return_exceptions=True)
    assert {"uid": "alice"} in answers
    await eventually(lambda: [person.client.state for person in people].count(State.ONLINE) == 1)
    assert len(await where(newest, "alice")) == 1


async def test_the_application_sees_no_channel_of_it(refusing: Cluster) -> None:
    channels = refusing.running["area-server-1"].channels
    with pytest.raises(ValueError, match="channel name"):
        channels.get(LOGIN + "alice")
