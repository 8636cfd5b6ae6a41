"""Orders as they come over the wire between servers, and what their owners are told of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from tests.frontend.audience import EPOCH, LOBBY, OWNER, Stage, connection_of
from tests.support.cluster import Cluster
from tests.support.timing import eventually
from zchat.errors import Unavailable
from zchat.framework.peers.methods import Methods, encode
from zchat.framework.sessions.logins import LOGIN
from zchat.framework.sessions.owner_orders import OwnerOrders
from zchat.frontend.resync import Resync
from zchat.frontend.session import Session
from zchat.frontend.sockets.disconnect import KICKED, RESUMED, SIGNED_IN_ELSEWHERE
from zchat.rooms.ring import Ring

CONNECTOR = "connector-server-1"
TOKEN = b"token"


class FakeResync:
    """Keeps what owners would be told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def gone(self, owner: str, channel: str, uid: str, session: int, order: bytes) -> None:
        self.told.append(("gone", owner, channel, uid, session, order))

    def came_in(self, channel: str, owner: str, epoch: str) -> None:
        self.told.append(("came in", channel, owner, epoch))


class Desk:
    """The orders of a frontend that has a real hub."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.resync = FakeResync()
        self.ring = Ring(1, [OWNER])
        self.methods = Methods()
        resync = cast(Resync, self.resync)
        parts = (self.stage.sessions, self.stage.hub, resync, self.cast)
        OwnerOrders(*parts, lambda: self.ring, self.methods)

    def cast(self, *told: Any) -> bool:
        self.resync.told.append(told)
        return True

    def order(self, method: str, *args: Any) -> None:
        self.methods.cast(f"hub.{method}", encode(args))

    def join(self, session: int, channel: str = LOBBY, token: bytes = TOKEN) -> None:
        self.order("join", session, channel, "alice", OWNER, token, 0, False)

    def joined(self, session: int, uids: Sequence[str] = ("alice",)) -> None:
        place = (OWNER, EPOCH, 4, 1, TOKEN)
        self.order("joined", session, LOBBY, "alice", *place, 1.5, False, "resume", uids, False, [])

    def channels_of(self, session: Session) -> list[str]:
        return list(session.memberships or ())

    def taken(self) -> list[tuple[Any, ...]]:
        told, self.resync.told = self.resync.told, []
        return told


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def session(desk: Desk) -> Session:
    return desk.stage.open()


def test_a_member_comes_in(desk: Desk, session: Session) -> None:
    desk.join(session.id)
    desk.joined(session.id)
    assert desk.stage.subscriber.asked == [("subscribe", LOBBY), ("token", TOKEN)]
    member = desk.stage.lobby.live[session.id]
    assert (member.uid, member.owner, member.resume) == ("alice", OWNER, "resume")
    assert member.position == (EPOCH, 4)
    assert desk.taken() == [("came in", LOBBY, OWNER, EPOCH)]


def test_the_owner_hears_of_who_is_gone(desk: Desk, session: Session) -> None:
    desk.join(session.id)
    desk.stage.close(session)
    desk.joined(session.id)
    desk.join(99)
    gone = ("gone", OWNER, LOBBY, "alice")
    assert desk.taken() == [(*gone, session.id, TOKEN), (*gone, 99, TOKEN)]


def test_the_owner_hears_of_whose_request_was_refused(desk: Desk, session: Session) -> None:
    desk.stage.hub.refused(session, 7)
    desk.order("join", session.id, LOBBY, "alice", OWNER, TOKEN, 7, False)
    assert desk.taken() == [("gone", OWNER, LOBBY, "alice", session.id, TOKEN)]
    assert desk.channels_of(session) == []


def test_of_who_is_in_by_another_order_only_the_refused_one_fails(
    desk: Desk, session: Session
) -> None:
    desk.join(session.id)
    desk.joined(session.id)
    desk.taken()
    desk.stage.hub.refused(session, 7)
    for uid, channel in (("alice", LOBBY), ("bob", LOBBY), ("alice", "kitchen")):
        desk.order("join", session.id, channel, uid, OWNER, b"refused", 7, False)
    assert desk.taken() == [
        (OWNER, "channel.refused", (b"refused",)),
        ("gone", OWNER, LOBBY, "bob", session.id, b"refused"),
        ("gone", OWNER, "kitchen", "alice", session.id, b"refused"),
    ]
    assert desk.channels_of(session) == [LOBBY]
    assert desk.stage.lobby.live[session.id].order == TOKEN


def test_a_join_is_undone_unless_another_was_ordered_since(desk: Desk, session: Session) -> None:
    desk.join(session.id)
    desk.order("undo", session.id, LOBBY, b"another")
    assert desk.channels_of(session) == [LOBBY]
    desk.order("undo", session.id, LOBBY, TOKEN)
    desk.order("undo", 99, LOBBY, TOKEN)
    assert desk.channels_of(session) == []


def test_a_member_leaves(desk: Desk, session: Session) -> None:
    desk.join(session.id)
    for _ in range(2):  # the second comes late
        desk.order("leave", session.id, LOBBY, OWNER)
    desk.order("leave", 99, LOBBY, OWNER)
    assert desk.channels_of(session) == []
    assert desk.taken() == []


def test_the_owner_of_now_hears_of_a_leave_by_another(desk: Desk, session: Session) -> None:
    desk.join(session.id)
    desk.ring = Ring(2, ["chat-server-2"])
    desk.order("leave", session.id, LOBBY, OWNER)
    assert desk.taken() == [("gone", "chat-server-2", LOBBY, "alice", session.id, TOKEN)]


@pytest.mark.parametrize(
    ("channel", "resumed", "expected"),
    [
        (LOBBY, True, RESUMED),
        (LOBBY, False, KICKED.because("somebody else has your name in lobby")),
        (f"{LOGIN}alice", True, SIGNED_IN_ELSEWHERE),
        (f"{LOGIN}alice", False, SIGNED_IN_ELSEWHERE),
    ],
)
def test_who_is_put_out_of_its_place_is_told_why(
    desk: Desk, session: Session, channel: str, resumed: bool, expected: object
) -> None:
    desk.join(session.id, channel)
    desk.order("evict", session.id, channel, resumed)
    assert connection_of(session).disconnect == expected
    assert desk.channels_of(session) == []
    desk.stage.close(session)
    desk.order("evict", session.id, channel, resumed)  # late
    assert connection_of(session).closes == 1


async def test_who_is_in_stays_when_its_owner_obeys_a_request_that_was_given_up(
    tmp_path: Path,
) -> None:
    async with Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 1}) as cluster:
        await cluster.enter("alice", "lobby", connector=0)
        owner, frontend = (
            cluster.running["chat-server-1"].owner,
            cluster.running[CONNECTOR].frontend,
        )
        assert owner is not None
        assert frontend is not None
        session = next(s for s in frontend.sessions if s.uid == "alice")
        frontend.hub.refused(session, 77)
        with pytest.raises(Unavailable, match=f"{CONNECTOR} did not follow the order"):
            await owner.host.join("lobby", "alice", session.ref, True, None, "", 77)
        presence = owner.host.channels["lobby"].presence
        assert presence.sessions("alice") == {session.ref}
        assert not presence.losing


async def test_a_leave_by_a_former_owner_is_told_to_the_owner_of_now(tmp_path: Path) -> None:
    """It has heard of the member from the frontend, and would keep it for ever."""
    async with Cluster(tmp_path, {"gate": 1, "connector": 1, "chat": 1}) as cluster:
        await cluster.enter("alice", "lobby", connector=0)
        await cluster.enter("bob", "lobby", connector=0)
        worker, frontend = cluster.running["chat-server-1"], cluster.running[CONNECTOR].frontend
        assert worker.owner is not None
        assert frontend is not None
        session = next(s for s in frontend.sessions if s.uid == "alice")
        presence = worker.owner.host.channels["lobby"].presence
        for _ in range(2):  # the second comes late
            assert worker.node.cast(CONNECTOR, "hub.leave", (session.id, "lobby", "chat-server-2"))
        await eventually(lambda: presence.uids() == ["bob"])
