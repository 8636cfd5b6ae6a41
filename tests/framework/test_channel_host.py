"""An owner's channels, with frontends, clocks and a XPUB of our own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support.logs import ExpectedLogs
from tests.support.timing import MS, eventually
from zchat.errors import TimedOut, Unavailable
from zchat.framework import channel_host
from zchat.framework.channel_host import ChannelHost, Moved
from zchat.framework.joins import Joined
from zchat.frontend.resync import Claim
from zchat.protocol.dictionary import RouteDictionary
from zchat.rooms.channel import Framer, PresencePushes
from zchat.rooms.presence import AlreadyMember, SessionRef
from zchat.rooms.ring import Ring
from zchat.rooms.stores.memory import MemoryStore
from zchat.rooms.stream import PresenceChange, Published, StreamFrame, StreamPosition, decode_frame

LIVES = {"c1": "life1", "c2": "life2"}
GRACE = 5.0


def ref(session: int = 1, frontend: str = "c1") -> SessionRef:
    return SessionRef(frontend, LIVES[frontend], session)


class SlowStore(MemoryStore):
    """Opens channels when told to, and fails when told to."""

    def __init__(self) -> None:
        epochs = itertools.count(1)
        super().__init__(lambda: f"e{next(epochs)}", 1000)
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def open(self, channel: str) -> StreamPosition:
        await self.gate.wait()
        if self.broken:
            raise OSError("disk on fire")
        return await super().open(channel)


class Owner:
    """A host, and all that it says to others.

    Frontends show each token at once, unless `silent`.
    """

    def __init__(self, **options: Any) -> None:
        self.now = 100.0
        self.wall = 1_700_000_000.0
        self.ring = Ring(1, ("chat-1",))
        self.store = SlowStore()
        self.casts: list[tuple[str, str, tuple[Any, ...]]] = []
        self.frames: list[tuple[str, StreamFrame]] = []
        self.connected = dict(LIVES)
        self.silent = False
        arguments: dict[str, Any] = {
            "server_id": "chat-1",
            "incarnation": "me",
            "ring": lambda: self.ring,
            "learn_ring": self.learn_ring,
            "store": self.store,
            "framer": Framer(PresencePushes("onJoin", "onLeave"), RouteDictionary((), ())),
            "publish": lambda topic, data: self.frames.append((topic, decode_frame(data))),
            "cast": self.cast,
            "grace": GRACE,
            "join_timeout": 5000 * MS,
            "clock": lambda: self.now,
            "wall_clock": lambda: self.wall,
        }
        self.host = ChannelHost(**{**arguments, **options})
        self.host.ring_changed([])

    async def learn_ring(self) -> None:
        raise AssertionError("nobody else changes this ring")

    def cast(self, frontend: str, incarnation: str, method: str, args: Sequence[Any]) -> bool:
        if self.connected.get(frontend) != incarnation:
            return False
        self.casts.append((frontend, method, tuple(args)))
        if method == "hub.join" and not self.silent:
            asyncio.get_running_loop().call_soon(self.host.on_token, args[4])
        return True

    def ordered(self, method: str) -> list[tuple[str, tuple[Any, ...]]]:
        """(frontend, arguments) of each order of that name."""
        return [(frontend, args) for frontend, name, args in self.casts if name == method]

    @property
    def tokens(self) -> list[bytes]:
        return [args[4] for _, args in self.ordered("hub.join")]

    @property
    def told(self) -> list[tuple[str, bool]]:
        """(uid, joined) of each change that was published."""
        return [(f.uid, f.joined) for _, f in self.frames if isinstance(f, PresenceChange)]

    async def join(
        self, uid: str, session: SessionRef, name: str = "room", exclusive: bool = True
    ) -> Joined:
        return await self.host.join(name, uid, session, exclusive, None, 0)

    def start(self, uid: str, session: SessionRef) -> asyncio.Task[Joined]:
        return asyncio.get_running_loop().create_task(self.join(uid, session))

    async def announce(
        self, claims: dict[str, list[Claim]], frontend: str = "c1", last: bool = True
    ) -> list[tuple[str, str, int]]:
        token = b"chat-1/announce/%d" % id(claims)
        self.host.on_token(token)
        life = LIVES[frontend]
        found = await self.host.announce(frontend, life, self.ring.tag, claims, last, token)
        return [(a.channel, a.epoch, a.offset) for a in found]

    def change_ring(self, *workers: str, frontends: Sequence[str] = ()) -> None:
        self.ring = Ring(self.ring.generation + 1, workers)
        self.host.ring_changed(frontends)

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.host.tick()


@pytest.fixture
async def owner() -> Owner:
    return Owner()


async def publish(owner: Owner, name: str = "room") -> StreamPosition:
    return await owner.host.publish(name, "onChat", b"{}", "alice", "", None)


# Joins


async def test_a_join_is_ordered_admitted_told_and_confirmed_in_that_order(owner: Owner) -> None:
    joined = await owner.host.join("room", "alice", ref(), True, None, 42)
    assert joined == Joined(StreamPosition("e1", 0), ["alice"])
    version = int(owner.wall * 1000) + 1
    token = owner.tokens[0]
    assert owner.casts == [
        ("c1", "hub.join", (1, "room", "alice", "chat-1", token, 42)),
        ("c1", "hub.joined", (1, "room", "alice", "chat-1", "e1", 0, version, owner.wall, True)),
    ]
    assert owner.frames == [
        ("room", PresenceChange("e1", version, "alice", True, owner.frames[0][1].package))  # type: ignore[union-attr]
    ]


async def test_nobody_is_admitted_before_the_token_is_seen(owner: Owner) -> None:
    owner.silent = True
    join = owner.start("alice", ref())
    await eventually(lambda: owner.tokens)
    owner.host.on_token(b"me/999")
    owner.host.on_token(b"other/1")
    assert (await owner.host.members("room"), owner.frames) == ([], [])
    owner.host.on_token(owner.tokens[0])
    owner.host.on_token(owner.tokens[0])  # links that come up again repeat it
    assert (await join).members == ["alice"]
    assert len(owner.ordered("hub.joined")) == 1


async def test_who_is_in_is_not_ordered_again(owner: Owner) -> None:
    await owner.join("alice", ref())
    owner.silent = True
    assert (await owner.join("alice", ref())).members == ["alice"]
    assert len(owner.tokens) == 1


async def test_a_taken_name_is_refused_before_anything_is_ordered(owner: Owner) -> None:
    await owner.join("alice", ref(1))
    with pytest.raises(AlreadyMember):
        await owner.join("alice", ref(1, "c2"))
    assert [frontend for frontend, _, _ in owner.casts] == ["c1", "c1"]


async def test_of_two_joins_at_once_the_first_token_wins(owner: Owner) -> None:
    owner.silent = True
    joins = [owner.start("alice", ref(1, "c1")), owner.start("alice", ref(1, "c2"))]
    await eventually(lambda: len(owner.tokens) == 2)
    for token in reversed(owner.tokens):
        owner.host.on_token(token)
    assert (await joins[1]).members == ["alice"]
    with pytest.raises(AlreadyMember):
        await joins[0]
    assert owner.ordered("hub.leave") == [("c1", (1, "room"))]
    assert owner.told == [("alice", True)]
    assert owner.host.channels["room"].presence.sessions("alice") == {ref(1, "c2")}


async def test_a_frontend_that_is_not_connected(owner: Owner) -> None:
    del owner.connected["c1"]
    with pytest.raises(Unavailable, match="c1 is not connected to chat-1"):
        await owner.join("alice", ref())
    owner.tick()
    assert owner.host.channels == {}


async def test_a_frontend_that_does_not_follow_the_order() -> None:
    owner = Owner(join_timeout=10 * MS)
    owner.silent = True
    with pytest.raises(TimedOut, match="c1 did not join room in time"):
        await owner.join("alice", ref())
    assert owner.ordered("hub.leave") == [("c1", (1, "room"))]
    owner.host.on_token(owner.tokens[0])  # too late
    assert await owner.host.members("room") == []
    assert owner.told == []


async def test_a_join_given_up_after_it_was_admitted_is_undone(owner: Owner) -> None:
    owner.silent = True
    join = owner.start("alice", ref())
    await eventually(lambda: owner.tokens)
    owner.host.on_token(owner.tokens[0])
    join.cancel()
    with pytest.raises(asyncio.CancelledError):
        await join
    assert owner.told == [("alice", True), ("alice", False)]
    assert owner.ordered("hub.leave") == [("c1", (1, "room"))]


async def test_a_join_given_up_undoes_no_other_of_the_same_session(owner: Owner) -> None:
    owner.silent = True
    first, second = owner.start("alice", ref()), owner.start("alice", ref())
    await eventually(lambda: len(owner.tokens) == 2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert owner.ordered("hub.leave") == []
    owner.host.on_token(owner.tokens[1])
    assert (await second).members == ["alice"]
    third = owner.start("alice", ref(2))
    await asyncio.gather(third, return_exceptions=True)
    assert owner.ordered("hub.leave") == []
    assert await owner.host.members("room") == ["alice"]


async def test_joins_of_a_frontend_that_dies_come_to_nothing(owner: Owner) -> None:
    owner.silent = True
    join = owner.start("alice", ref())
    await eventually(lambda: owner.tokens)
    owner.host.frontend_lost("c1", "life1")
    owner.host.on_token(owner.tokens[0])  # it was on its way
    with pytest.raises(Unavailable, match="c1 is gone"):
        await join
    assert await owner.host.members("room") == []


# Leaves and losses


async def test_a_leave_is_ordered_and_told(owner: Owner) -> None:
    await owner.join("alice", ref())
    await owner.host.leave("room", "alice", ref())
    assert owner.ordered("hub.leave") == [("c1", (1, "room"))]
    assert owner.told == [("alice", True), ("alice", False)]
    await owner.host.leave("room", "alice", ref())
    assert len(owner.told) == 2


async def test_a_loss_is_told_after_the_grace(owner: Owner) -> None:
    await owner.join("alice", ref())
    owner.host.lost("room", "alice", ref())
    owner.host.lost("unknown", "alice", ref())
    owner.tick(GRACE - 0.1)
    assert owner.told == [("alice", True)]
    owner.tick(0.2)
    assert owner.told == [("alice", True), ("alice", False)]
    assert owner.host.channels == {}


async def test_a_dead_frontends_members_leave_and_others_stay(owner: Owner) -> None:
    await owner.join("alice", ref(1, "c1"))
    await owner.join("bob", ref(1, "c2"))
    await owner.join("carol", ref(2, "c1"), "other")
    owner.host.frontend_lost("c1", "an earlier life")
    owner.tick(GRACE)
    owner.host.frontend_lost("c1", "life1")
    owner.tick(GRACE)
    assert await owner.host.members("room") == ["bob"]
    assert "other" not in owner.host.channels


async def test_versions_go_on_when_a_channel_was_forgotten(owner: Owner) -> None:
    await owner.join("alice", ref())
    await owner.host.leave("room", "alice", ref())
    owner.tick()
    assert owner.host.channels == {}
    owner.wall += 0.5
    await owner.join("alice", ref())
    versions = [frame.version for _, frame in owner.frames if isinstance(frame, PresenceChange)]
    assert versions == sorted(set(versions))


# The life of channels


async def test_channels_with_nobody_in_them_do_not_stay(owner: Owner) -> None:
    await owner.host.members("looked-at")
    await owner.host.leave("left", "alice", ref())
    await owner.host.repair("repaired", 0)
    await publish(owner, "published")
    await owner.announce({"announced": []}, last=False)
    assert len(owner.host.channels) == 5
    owner.tick()
    assert owner.host.channels == {}
    assert await publish(owner, "published") == StreamPosition("e4", 2)


async def test_an_announce_of_many_channels_loses_none_to_a_tick(owner: Owner) -> None:
    claims = {name: [claim("alice")] for name in ("one", "two")}
    announce = asyncio.ensure_future(owner.announce(claims))
    await eventually(lambda: "one" in owner.host.channels)
    owner.store.gate.clear()
    await asyncio.sleep(0)
    owner.tick()
    owner.store.gate.set()
    assert [name for name, _, _ in await announce] == ["one", "two"]
    for name in claims:
        assert await owner.host.members(name) == ["alice"]


async def test_a_channel_stays_while_somebody_waits_to_come_in(owner: Owner) -> None:
    owner.silent = True
    join = owner.start("alice", ref())
    await eventually(lambda: owner.tokens)
    owner.tick()
    owner.host.on_token(owner.tokens[0])
    assert (await join).members == ["alice"]
    assert "room" in owner.host.channels


async def test_what_is_not_ours_has_moved(owner: Owner) -> None:
    owner.change_ring("chat-2")
    calls: list[Callable[[], Any]] = [
        lambda: owner.join("alice", ref()),
        lambda: owner.host.leave("room", "alice", ref()),
        lambda: owner.host.members("room"),
        lambda: publish(owner),
        lambda: owner.host.repair("room", 0),
    ]
    for call in calls:
        with pytest.raises(Moved) as moved:
            await call()
        assert moved.value.fields == {"owner": "chat-2"}
    assert owner.host.channels == {}


async def test_a_ring_without_us_takes_everything_along(owner: Owner) -> None:
    await owner.join("alice", ref())
    assert (await publish(owner)).epoch == "e1"
    owner.silent = True
    join = owner.start("bob", ref(2))
    await eventually(lambda: len(owner.tokens) == 2)
    waiting = asyncio.ensure_future(publish(owner))
    await asyncio.sleep(0)
    owner.change_ring("chat-2")
    for moved in (join, waiting):
        with pytest.raises(Moved):
            await moved
    assert owner.host.channels == {}
    owner.host.on_token(owner.tokens[1])
    assert owner.told == [("alice", True)], "members are not told to leave: they move along"
    owner.change_ring("chat-1")
    assert (await publish(owner)).epoch == "e2"


async def test_a_ring_that_changes_while_a_channel_is_opened(owner: Owner) -> None:
    owner.store.gate.clear()
    call = asyncio.ensure_future(owner.host.members("room"))
    await asyncio.sleep(0)
    owner.change_ring("chat-2")
    owner.store.gate.set()
    with pytest.raises(Moved):
        await call
    assert owner.host.channels == {}


async def test_calls_at_once_open_a_channel_once(owner: Owner) -> None:
    owner.store.gate.clear()
    calls = [asyncio.ensure_future(publish(owner)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    owner.store.gate.set()
    positions = await asyncio.gather(*calls[1:])
    assert [position.offset for position in positions] == [1, 2]


async def test_a_journal_that_cannot_be_opened(owner: Owner, expected_logs: ExpectedLogs) -> None:
    expected_logs("zchat.cluster", "room cannot be opened")
    owner.store.broken = True
    with pytest.raises(Unavailable) as error:
        await owner.host.members("room")
    assert "fire" not in error.value.message
    owner.store.broken = False
    assert await owner.host.members("room") == []


async def test_closing_lets_what_is_under_way_end(owner: Owner) -> None:
    call = asyncio.ensure_future(publish(owner))
    await asyncio.sleep(0)
    await owner.host.close()
    assert (await call).offset == 1
    await owner.host.close()


# Publications and repairs


async def test_publications_are_framed_and_counted(owner: Owner) -> None:
    positions = await asyncio.gather(*(publish(owner) for _ in range(3)))
    assert [position.offset for position in positions] == [1, 2, 3]
    assert owner.host.published == 3
    offsets = [
        frame.first + index
        for _, frame in owner.frames
        if isinstance(frame, Published)
        for index in range(len(frame.items))
    ]
    assert offsets == [1, 2, 3]


async def test_what_cannot_be_sent_is_not_journalled(owner: Owner) -> None:
    with pytest.raises(ValueError, match="push route"):
        await owner.host.publish("room", "x" * 256, b"{}", "", "", None)
    assert (await publish(owner)).offset == 1


async def test_repairs_are_pages(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_host, "_REPAIR_PAGE", 2)
    for _ in range(3):
        await publish(owner)
    pages = [await owner.host.repair("room", after) for after in (0, 2, 3, 9)]
    assert [(page.first, len(page.items), page.offset) for page in pages] == [
        (1, 2, 3),
        (3, 1, 3),
        (4, 0, 3),
        (4, 0, 3),
    ]


async def test_repairs_have_a_bound_in_bytes(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_host, "_REPAIR_BYTES", 100)
    for _ in range(3):
        await owner.host.publish("room", "r", b'{"a":"%b"}' % (b"x" * 80), "", "", None)
    page = await owner.host.repair("room", 0)
    assert (page.first, len(page.items), page.offset) == (1, 1, 3)


# Announces


def claim(uid: str, session: int = 1, since: float = 1.0, exclusive: bool = True) -> Claim:
    return Claim(uid, session, since, exclusive)


async def test_a_new_owner_waits_for_announces_before_it_speaks(owner: Owner) -> None:
    owner.change_ring("chat-1", "chat-9")
    owner.change_ring("chat-1", frontends=["c1", "c2"])
    members = asyncio.ensure_future(owner.host.members("room"))
    assert await owner.announce({"room": [claim("alice")]}) == [("room", "e1", 0)]
    states = [owner.host.settled, members.done()]
    await owner.announce({"room": [claim("bob")]}, "c2", last=False)
    states.append(owner.host.settled)
    await owner.announce({}, "c2")
    assert [*states, owner.host.settled] == [False, False, False, True]
    assert await members == ["alice", "bob"]
    assert owner.told == []


async def test_a_channel_that_one_frontend_told_of_still_waits_for_the_others(
    owner: Owner,
) -> None:
    owner.change_ring("chat-1", frontends=["c1", "c2"])
    await owner.announce({"room": [claim("alice")]})
    members = asyncio.ensure_future(owner.host.members("room"))
    joins = owner.start("bob", ref(1, "c2"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not members.done()
    await owner.announce({"room": [claim("bob", 7)]}, "c2")
    assert await members == ["alice", "bob"]
    with pytest.raises(AlreadyMember):
        await joins


async def test_it_does_not_wait_for_ever(owner: Owner) -> None:
    owner.change_ring("chat-1", frontends=["c1"])
    members = asyncio.ensure_future(owner.host.members("room"))
    owner.tick(0.9)
    assert not owner.host.settled
    owner.tick(0.2)
    assert await members == []
    await owner.announce({"room": [claim("alice")]})
    assert await owner.host.members("room") == ["alice"]


async def test_what_was_ours_before_needs_no_announce(owner: Owner) -> None:
    await owner.join("alice", ref())
    owner.change_ring("chat-1", frontends=["c1"])
    assert await owner.host.members("room") == ["alice"]
    assert not owner.host.settled


async def test_another_change_of_the_ring_means_waiting_again(owner: Owner) -> None:
    owner.change_ring("chat-1", frontends=["c1"])
    members = asyncio.ensure_future(owner.host.members("room"))
    await asyncio.sleep(0)
    owner.tick(2)
    owner.change_ring("chat-1", "x" * 9, frontends=["c1"])
    owner.ring = Ring(9, ("chat-1",))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not members.done()
    owner.tick(2)
    assert await members == []


async def test_the_younger_of_two_claims_is_put_out(owner: Owner) -> None:
    await owner.announce({"room": [claim("alice", 1, since=5)]}, "c1")
    await owner.announce({"room": [claim("alice", 7, since=4)]}, "c2")
    assert owner.ordered("hub.evict") == [("c1", (1, "room"))]
    assert owner.host.counters["claims_lost"] == 1


async def test_channels_that_are_not_ours_are_left_out(owner: Owner) -> None:
    owner.change_ring("chat-2")
    assert await owner.announce({"room": [claim("alice")]}) == []
    assert owner.host.channels == {}


async def test_claims_of_a_frontend_that_died_meanwhile_do_not_count(owner: Owner) -> None:
    owner.store.gate.clear()
    announce = asyncio.ensure_future(owner.announce({"room": [claim("alice")]}))
    await asyncio.sleep(0)
    owner.host.frontend_lost("c1", "life1")
    owner.store.gate.set()
    with pytest.raises(Unavailable, match="c1 is not connected"):
        await announce
    assert await owner.host.members("room") == []
    await owner.announce({"room": [claim("alice")]})  # the link came up again, with the same life
    assert await owner.host.members("room") == ["alice"]


async def test_an_announce_without_its_token_is_not_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner = Owner()
    monkeypatch.setattr(owner.host._links, "_timeout", 5 * MS)
    with pytest.raises(Unavailable, match="no link"):
        await owner.host.announce("c1", "life1", "chat-1", {}, True, b"chat-1/never")


async def test_lives_that_ended_are_not_remembered_for_ever(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_host, "_ENDED_LIMIT", 3)
    for number in range(10):
        owner.host.frontend_lost("c1", f"life{number}")
    assert list(owner.host._ended) == ["life7", "life8", "life9"]
