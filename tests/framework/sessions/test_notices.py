"""How backends hear of sessions: each binding and each end once, whatever happens to links."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.application import application
from tests.support.cluster import Cluster
from tests.support.signing import H, signed_in
from tests.support.timing import MS, eventually
from zchat import BackendSession
from zchat.config.topology import Server
from zchat.errors import TimedOut
from zchat.framework.peers.methods import Methods, decode, encode
from zchat.framework.sessions import notices as module
from zchat.framework.sessions.hooks import SessionEvents, SessionHooks
from zchat.framework.sessions.notices import NoticeReceiver, NoticeSender
from zchat.frontend.session import Session, SessionTable
from zchat.frontend.sockets.connection import Connection

GRACE = 5.0
CONNECTOR = Server("c1", "connector", "127.0.0.1", 1, 2, frontend=True, client_port=3)
AREA = Server("a1", "area", "127.0.0.1", 1, 2)


class Ends:
    """A frontend and a backend, and the link between them, which may be down."""

    def __init__(self) -> None:
        self.up = True
        self.casts = 0
        self.said: list[tuple[str, str, int]] = []
        self.failures: list[Exception] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.frontend_methods, self.backend_methods = Methods(), Methods()
        hooks = SessionHooks(
            [(frozenset({"area"}), self.on_bound)], [(frozenset({"area"}), self.on_closed)]
        )
        self.sessions = SessionTable("c1", "life")
        self.sender = NoticeSender(
            self.sessions,
            SessionEvents(hooks, CONNECTOR, self.call, self.spawn),
            hooks.types,
            self.cast,
            self.frontend_methods,
        )
        self.receiver = NoticeReceiver(
            SessionEvents(hooks, AREA, self.call, self.spawn),
            GRACE,
            self.call,
            self.spawn,
            self.backend_methods,
        )

    def on_bound(self, session: BackendSession) -> None:
        self.said.append(("bound", session.uid, session.id))

    def on_closed(self, session: BackendSession, reason: str) -> None:
        self.said.append((reason, session.uid, session.id))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def cast(self, server: str, method: str, args: Sequence[Any]) -> bool:
        assert server == "a1"
        self.casts += 1
        if self.up:
            self.backend_methods.cast(method, encode(args))
        return self.up

    async def call(self, server: str, method: str, args: Sequence[Any], /) -> Any:
        assert server == "c1"
        if self.failures:
            raise self.failures.pop()
        return decode(await self.frontend_methods.invoke(method, encode(args)))

    def session(self, *, asks: bool = True) -> Session:
        fake = SimpleNamespace(remote_address="192.0.2.1", host="chat.example")
        session = self.sessions.open(cast(Connection, fake))
        if asks:
            self.ask(session)
        return session

    def ask(self, session: Session) -> None:
        """It sends a request to the backend."""
        self.sender.asked(session, "a1")
        self.receiver.meet(session.snapshot())

    def bind(self, session: Session, uid: str) -> None:
        session.bind(uid)
        self.sender.bound(session)

    def close(self, session: Session, reason: str = "client_closed") -> None:
        self.sessions.close(session)
        self.sender.closed(session, reason)

    async def heard(self) -> list[tuple[str, str, int]]:
        """What the backend's hooks were told since."""
        while self.tasks:
            await self.tasks.pop(0)
        said, self.said = self.said, []
        return said


async def test_a_backend_hears_of_sessions_that_asked_it() -> None:
    ends = Ends()
    session, stranger = ends.session(), ends.session(asks=False)
    ends.bind(session, "alice")
    ends.bind(stranger, "bob")
    ends.close(stranger)
    ends.ask(session)
    ends.close(session, "kicked")
    assert await ends.heard() == [("bound", "alice", 1), ("kicked", "alice", 1)]
    assert ends.casts == 2


async def test_who_is_bound_already_is_heard_of_with_the_first_request() -> None:
    ends = Ends()
    session = ends.session(asks=False)
    ends.bind(session, "alice")
    assert await ends.heard() == []
    ends.ask(session)
    ends.ask(session)
    assert await ends.heard() == [("bound", "alice", 1)]


async def test_what_was_lost_with_a_link_is_asked_for() -> None:
    ends = Ends()
    gone, bound, quiet = ends.session(), ends.session(), ends.session()
    ends.up = False
    ends.receiver.frontend_lost("life", 0.0)
    ends.close(gone)
    ends.bind(bound, "bob")
    ends.up = True
    ends.receiver.frontend_up("c1", "life")
    assert await ends.heard() == [("connection_lost", "", 1), ("bound", "bob", 2)]
    ends.receiver.tick(99.0)
    ends.close(quiet)
    ends.receiver.frontend_up("c1", "life")
    assert await ends.heard() == [("client_closed", "", 3)]


async def test_it_is_asked_again_when_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", MS)
    ends = Ends()
    gone = ends.session()
    ends.up = False
    ends.close(gone)
    ends.up, ends.failures = True, [TimedOut("late"), TimedOut("late")]
    ends.receiver.frontend_up("c1", "life")
    assert await ends.heard() == [("connection_lost", "", 1)]
    assert ends.failures == []


async def test_a_frontend_that_stays_away_has_no_sessions() -> None:
    ends = Ends()
    session = ends.session()
    ends.bind(session, "alice")
    ends.receiver.frontend_lost("life", 0.0)
    ends.receiver.tick(GRACE)
    ends.receiver.frontend_up("c1", "life")
    ends.ask(session)
    ends.close(session)
    assert await ends.heard() == [("bound", "alice", 1), ("connection_lost", "alice", 1)]


async def test_the_next_life_ends_the_sessions_of_the_former() -> None:
    ends = Ends()
    ends.session()
    ends.receiver.frontend_lost("life", 0.0)
    ends.receiver.frontend_up("c1", "next life")
    assert await ends.heard() == [("connection_lost", "", 1)]


async def test_another_life_knows_none_of_these() -> None:
    ends = Ends()
    ends.session()
    answer = await ends.call("c1", "session.which", ("another life", [1, 2]))
    assert answer == [None, None]
    assert [
        found is None for found in await ends.call("c1", "session.which", ("life", [1, 2]))
    ] == [
        False,
        True,
    ]


# In a cluster


class Chronicle:
    """What the hooks of a cluster were told."""

    def __init__(self) -> None:
        self.heard: Counter[tuple[str, str, str]] = Counter()
        """By (server type, event, uid)."""
        self.reasons: set[str] = set()

    def bound(self, where: str) -> Any:
        async def hook(session: BackendSession) -> None:
            self.heard[where, "bound", session.uid] += 1

        return hook

    def closed(self, where: str) -> Any:
        def hook(session: BackendSession, reason: str) -> None:
            self.heard[where, "closed", session.uid] += 1
            self.reasons.add(reason)

        return hook


@pytest.fixture
def chronicle() -> Chronicle:
    return Chronicle()


@pytest.fixture
async def cluster(tmp_path: Path, chronicle: Chronicle) -> AsyncIterator[Cluster]:
    app = application(tmp_path, {"connector/handler/h": H, "area/handler/h": H})
    for types in ("connector", "area"):
        app.on_session_bound(chronicle.bound(types), types=types)
        app.on_session_closed(chronicle.closed(types), types=types)
    servers = {"gate": 1, "connector": 1, "area": 1}
    async with Cluster(tmp_path, servers, app=app) as cluster:
        connector = cluster.running["connector-server-1"]
        await eventually(lambda: connector.node.is_up("area-server-1"))
        yield cluster


async def test_both_ends_hear_once(cluster: Cluster, chronicle: Chronicle) -> None:
    alice, bob = await signed_in(cluster, "alice", 0), await signed_in(cluster, "bob", 0)
    await alice.request("area.h.bind", {"uid": "alice"})
    await alice.request("area.h.bind", {"uid": "alice"})
    for person in (alice, bob):
        await person.close()
    wanted = {
        ("connector", "bound", "alice"): 1,
        ("connector", "bound", "bob"): 1,
        ("area", "bound", "alice"): 1,
        ("connector", "closed", "alice"): 1,
        ("connector", "closed", "bob"): 1,
        ("area", "closed", "alice"): 1,
    }
    await eventually(lambda: chronicle.heard.total() >= len(wanted))
    assert chronicle.heard == wanted


async def test_a_killed_frontend_closes_its_sessions_once(
    cluster: Cluster, chronicle: Chronicle
) -> None:
    alice = await signed_in(cluster, "alice", 0)
    await alice.request("area.h.bind", {"uid": "alice"})
    closed = ("area", "closed", "alice")
    await cluster.kill("connector-server-1")
    await eventually(lambda: chronicle.heard[closed] == 1, 5000 * MS)
    await cluster.start("connector-server-1")
    area = cluster.running["area-server-1"].node
    await eventually(lambda: "connector-server-1" in area.rpc_server.peers, 5000 * MS)
    assert chronicle.heard[closed] == 1
    assert "connection_lost" in chronicle.reasons
