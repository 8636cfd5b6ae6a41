"""Announces, fetches and losses, against owners that are functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from tests.frontend.audience import EPOCH, LOBBY, OWNER, Stage, change, heard, items_of
from tests.support.timing import MS, eventually
from zchat.errors import Unavailable
from zchat.frontend.answers import Announced, Claim, Compared, Repaired
from zchat.frontend.resync import Resync
from zchat.rooms.ring import Ring
from zchat.rooms.stream import Beat, PresenceChange, StreamPosition, encode_frame

OTHER = "chat-server-2"
ME = ("connector-server-1", "0123456789abcdef")


class World:
    """A hub and a Resync whose calls wait for the test to answer them."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.ring = Ring(1, [OWNER])
        self.calls: list[Asked] = []
        self.compares: list[Asked] = []
        self.casts: list[tuple[str, str, Any]] = []
        self.reachable = True
        self.now = 100.0
        self.tokens: list[bytes] = []
        self.resync = Resync(
            self.stage.hub,
            self.stage.sessions,
            self.tokens.append,
            self._call,
            self._cast,
            lambda: self.ring,
            clock=lambda: self.now,
        )
        self.stage.hub.publications._fetch = self.resync.fetch
        self.stage.hub.rosters._compare = self.resync.compare
        self.stage.hub._lost = self.resync.lost

    async def _call(self, server: str, method: str, args: Sequence[Any]) -> Any:
        asked = Asked(server, method, args)
        (self.compares if method == "channel.compare" else self.calls).append(asked)
        return await asked.answer

    def _cast(self, server: str, method: str, args: Sequence[Any]) -> bool:
        if self.reachable:
            self.casts.append((server, method, args))
        return self.reachable

    async def asked(self, method: str) -> Asked:
        """The next call, once it is made."""
        await eventually(lambda: self.calls)
        asked = self.calls.pop(0)
        assert asked.method == method
        return asked

    async def compared(self) -> Asked:
        """The next comparison, once it is asked for."""
        await eventually(lambda: self.compares)
        return self.compares.pop(0)

    async def quiet(self) -> None:
        """Nothing is asked but comparisons."""
        for _ in range(5):
            await asyncio.sleep(0)
        assert self.calls == []


class Asked:
    """One call under way."""

    def __init__(self, server: str, method: str, args: Sequence[Any]) -> None:
        self.server = server
        self.method = method
        self.args = args
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def give(self, *answer: Any) -> None:
        """As it comes off the wire: plain lists."""
        self.answer.set_result(msgspec.to_builtins(list(answer)))

    def page(self, offset: int, first: int, *names: str, epoch: str = EPOCH) -> None:
        items = list(items_of(*names))
        raw = msgspec.msgpack.decode(msgspec.msgpack.encode(Repaired(epoch, offset, first, items)))
        self.answer.set_result(raw)

    def fail(self, text: str = "away") -> None:
        self.answer.set_exception(Unavailable(text))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.resync.close()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zchat.frontend.resync._RETRY", 2 * MS)


def claims_of(asked: Asked) -> dict[str, list[Claim]]:
    claims: dict[str, list[Claim]] = asked.args[3]
    return claims


# Announces


async def test_an_announce_tells_of_the_members(world: World) -> None:
    alice, bob = world.stage.enter("alice"), world.stage.enter("bob", channel="kitchen")
    world.stage.join("carol")  # not admitted: her own request joins her
    world.resync.announce(OWNER)
    asked = await world.asked("channel.announce")
    frontend, incarnation, ring, claims, last, token = asked.args
    assert (asked.server, frontend, incarnation, ring) == (OWNER, *ME, OWNER)
    assert claims == {
        LOBBY: [Claim("alice", alice.id, 1.5, True, f"resume {alice.id}")],
        "kitchen": [Claim("bob", bob.id, 1.5, True, f"resume {bob.id}")],
    }
    assert last
    assert world.tokens == [token]
    assert token.startswith(b"chat-server-1/0123456789abcdef/")


async def test_an_owner_of_nothing_is_told_so(world: World) -> None:
    world.resync.announce(OWNER)
    asked = await world.asked("channel.announce")
    assert claims_of(asked) == {}
    assert asked.args[4]
    asked.give()
    await world.quiet()


async def test_channels_of_others_are_not_told(world: World) -> None:
    world.ring = Ring(1, [OWNER, OTHER])
    for number in range(20):
        world.stage.enter("alice", channel=f"room{number}")
    for owner in (OWNER, OTHER):
        world.resync.announce(owner)
        claims = claims_of(await world.asked("channel.announce"))
        assert claims
        assert all(world.ring.owner(name) == owner for name in claims)


async def test_many_channels_go_in_slices(world: World) -> None:
    for number in range(1001):
        world.stage.enter("alice", channel=f"room{number}")
    world.resync.announce(OWNER)
    sizes = []
    for last in (False, False, True):
        asked = await world.asked("channel.announce")
        assert asked.args[4] is last
        sizes.append(len(claims_of(asked)))
        asked.give()
    assert sizes == [500, 500, 1]
    assert len(set(world.tokens)) == 3
    await world.quiet()


async def test_an_announce_is_repeated_until_it_is_answered(world: World) -> None:
    world.stage.enter("alice")
    world.resync.announce(OWNER)
    (await world.asked("channel.announce")).fail()
    world.stage.enter("bob")
    (await world.asked("channel.announce")).give("nonsense")
    asked = await world.asked("channel.announce")
    assert [claim.uid for claim in claims_of(asked)[LOBBY]] == ["alice", "bob"]
    asked.give(Announced(LOBBY, EPOCH, 0, 2))
    assert len(set(world.tokens)) == 3
    await world.quiet()


async def test_another_announce_takes_the_place_of_the_first(world: World) -> None:
    world.resync.announce(OWNER)
    first = await world.asked("channel.announce")
    world.resync.announce(OWNER)
    second = await world.asked("channel.announce")
    assert first.answer.cancelled()
    second.give()
    await world.quiet()


async def test_a_forgotten_owner_is_told_nothing_more(world: World) -> None:
    world.stage.join("alice")
    world.resync.announce(OWNER)
    asked = await world.asked("channel.announce")
    world.resync.forget(OWNER)
    world.resync.forget(OWNER)
    await eventually(asked.answer.cancelled)
    await world.quiet()
    assert world.stage.hub.channels == {}  # its join died with it


async def test_a_restarted_owner_says_where_channels_stand(world: World) -> None:
    alice = world.stage.enter("alice", 5)
    carol = world.stage.join("carol")
    world.resync.announce(OWNER, restarted=True)
    assert carol.memberships is None
    world.stage.publish(1, "new one", epoch="e2")
    asked = await world.asked("channel.announce")
    asked.give(Announced(LOBBY, "e2", 1, 1))
    await eventually(lambda: heard(alice) == ["lost e2 0-1", "new one"])
    await world.quiet()


async def test_an_owner_that_is_only_linked_again_lets_frames_pass(world: World) -> None:
    alice = world.stage.enter("alice")
    world.resync.announce(OWNER)
    asked = await world.asked("channel.announce")
    world.stage.publish(1, "one")
    await eventually(lambda: heard(alice) == ["one"])
    asked.give(Announced(LOBBY, EPOCH, 2, 1))
    fetch = await world.asked("channel.repair")
    assert fetch.args == (LOBBY, 1)
    fetch.page(2, 2, "two")
    await eventually(lambda: heard(alice) == ["one", "two"])


async def test_a_channel_that_moves_waits_for_its_new_owner(world: World) -> None:
    alice = world.stage.enter("alice")
    world.stage.publish(1, "one")
    world.ring = Ring(2, [OTHER])
    world.resync.announce(OTHER)
    world.stage.publish(1, "uno", epoch="e2")
    asked = await world.asked("channel.announce")
    assert asked.server == OTHER
    assert heard(alice) == ["one"]
    asked.give(Announced(LOBBY, "e2", 1, 1))
    await eventually(lambda: heard(alice) == ["one", "lost e2 0-1", "uno"])
    assert world.stage.lobby.owner == OTHER


async def test_the_answer_of_an_owner_that_is_none_any_more_is_not_believed(world: World) -> None:
    world.stage.enter("alice")
    world.resync.announce(OWNER)
    asked = await world.asked("channel.announce")
    world.ring = Ring(2, [OTHER])
    world.resync.announce(OTHER)
    (await world.asked("channel.announce")).give(Announced(LOBBY, "e2", 0, 1))
    await eventually(lambda: world.stage.lobby.owner == OTHER)
    asked.give(Announced(LOBBY, EPOCH, 7, 1), Announced("unknown", EPOCH, 7, 1))
    await world.quiet()
    assert world.stage.lobby.owner == OTHER
    assert world.stage.lobby.follower.position == StreamPosition("e2", 0)


# Rosters


def given(asked: Asked, version: int, *changes: PresenceChange, epoch: str = EPOCH) -> None:
    """Answer a comparison, as it comes off the wire."""
    raw = msgspec.msgpack.encode(Compared(epoch, version, list(changes)))
    asked.answer.set_result(msgspec.msgpack.decode(raw))


async def test_a_roster_that_is_behind_is_compared(world: World) -> None:
    alice = world.stage.enter("alice", uids=["alice"])
    world.stage.presence(3, "carol")
    asked = await world.compared()
    assert (asked.server, asked.args) == (OWNER, (LOBBY, 1, None, []))
    world.stage.presence(4, "dave")  # asked already
    given(asked, 3, change(2, "bob"), change(3, "carol"))
    asked = await world.compared()
    assert asked.args[1] == 3
    given(asked, 4, change(4, "dave"))
    await eventually(lambda: heard(alice) == ["+bob", "+carol", "+dave"])
    await eventually(lambda: not world.stage.lobby.comparing)
    assert (world.compares, world.resync.counters["compared"]) == ([], 2)
    assert world.resync.counters["changes_compared"] == 3


async def test_an_owner_that_cannot_tell_by_the_version_is_shown_the_roster(world: World) -> None:
    alice = world.stage.enter("alice", uids=["alice", "bob"])
    world.stage.presence(3000, "carol")
    asked = await world.compared()
    assert asked.args[1:3] == (1, None)
    asked.give(EPOCH, 3000, [], True)
    asked = await world.compared()
    assert (asked.args[1], sorted(asked.args[2])) == (1, ["alice", "bob"])
    given(asked, 3000, change(3000, "bob", False), change(3000, "carol"))
    await eventually(lambda: heard(alice) == ["-bob", "+carol"])
    await eventually(lambda: not world.stage.lobby.comparing)
    assert world.compares == []


async def test_a_comparison_is_repeated_until_it_is_answered(world: World) -> None:
    alice = world.stage.enter("alice", uids=["alice"])
    world.stage.presence(3, "bob")
    (await world.compared()).fail()
    (await world.compared()).give("nonsense")
    given(await world.compared(), 3, change(3, "stranger", epoch="e0"), epoch="e0")
    given(await world.compared(), 3, change(3, "bob"))
    await eventually(lambda: heard(alice) == ["+bob"])


async def test_an_announce_whose_answer_is_ahead_is_followed_by_a_comparison(world: World) -> None:
    world.stage.enter("alice", version=4, uids=["alice"])
    world.resync.announce(OWNER)
    (await world.asked("channel.announce")).give(Announced(LOBBY, EPOCH, 0, 4))
    await world.quiet()
    assert world.compares == []
    world.resync.announce(OWNER)
    (await world.asked("channel.announce")).give(Announced(LOBBY, EPOCH, 0, 5))
    assert (await world.compared()).args[1] == 4


async def test_a_new_owner_is_asked_with_a_roster_in_doubt(world: World) -> None:
    alice = world.stage.enter("alice", version=4, uids=["alice", "bob"])
    world.resync.announce(OWNER, restarted=True)
    (await world.asked("channel.announce")).give(Announced(LOBBY, EPOCH, 0, 4))
    asked = await world.compared()
    assert asked.args[1] == 0
    assert sorted(asked.args[2]) == ["alice", "bob"]
    given(asked, 104, change(100, "bob", False))
    await eventually(lambda: heard(alice) == ["-bob"])


async def test_a_beat_that_is_ahead_is_followed_by_a_comparison(world: World) -> None:
    world.stage.enter("alice", version=4, uids=["alice"])
    for number, version in enumerate((4, 5), 1):
        await world.quiet()
        assert world.compares == []
        beat = Beat(OWNER, "life", number, [(LOBBY, EPOCH, 0, version)])
        world.resync.on_beat(encode_frame(beat))
    assert (await world.compared()).args[1] == 4


async def test_what_an_earlier_owner_says_of_its_list_is_not_used(world: World) -> None:
    alice = world.stage.enter("alice", version=4, uids=["alice"])
    world.stage.presence(6, "bob")
    late = await world.compared()
    world.ring = Ring(2, [OTHER])
    world.resync.announce(OTHER)
    given(late, 6, change(5, "ghost"), change(6, "bob"))
    (await world.asked("channel.announce")).give(Announced(LOBBY, EPOCH, 0, 100))
    asked = await world.compared()
    assert (asked.server, asked.args[1]) == (OTHER, 0)
    given(asked, 101, change(101, "bob"))
    await eventually(lambda: heard(alice) == ["+bob"])


async def test_few_comparisons_are_under_way_at_once(world: World) -> None:
    people = [world.stage.enter("alice", channel=f"room{number}") for number in range(30)]
    world.resync.announce(OWNER, restarted=True)
    channels = [f"room{number}" for number in range(30)]
    answers = [Announced(name, EPOCH, 0, 100) for name in channels]
    (await world.asked("channel.announce")).give(*answers)
    world.stage.close(people[29])  # while it waits for its turn
    for _ in range(29):
        await eventually(lambda: world.compares)
        await world.quiet()
        assert len(world.compares) <= 8
        given(world.compares.pop(), 100)
    await world.quiet()
    assert world.compares == []
    assert world.resync.counters["compared"] == 29


async def test_nothing_is_compared_for_a_channel_that_was_left(world: World) -> None:
    alice = world.stage.enter("alice")
    world.stage.presence(3, "bob")
    asked = await world.compared()
    world.stage.hub.leave(alice, LOBBY)
    asked.fail()
    await world.quiet()
    assert world.compares == []


# Members that came in by the wrong door


async def test_a_member_of_an_earlier_owner_is_claimed_from_the_new_one(world: World) -> None:
    world.stage.enter("alice")
    bob = world.stage.join("bob")
    world.ring = Ring(2, [OTHER])
    world.resync.announce(OTHER)
    first = await world.asked("channel.announce")
    world.stage.joined(bob)
    world.resync.came_in(LOBBY, OWNER, EPOCH)
    world.resync.came_in(LOBBY, OWNER, EPOCH)
    first.give(Announced(LOBBY, "e2", 0, 1))
    second = await world.asked("channel.announce")
    assert [claim.uid for claim in claims_of(first)[LOBBY]] == ["alice"]
    assert {claim.uid for claim in claims_of(second)[LOBBY]} == {"alice", "bob"}
    second.give(Announced(LOBBY, "e2", 0, 2))
    await world.quiet()
    world.resync.came_in(LOBBY, OTHER, "e2")  # as it should be
    await world.quiet()
    world.resync.came_in(LOBBY, OTHER, EPOCH)  # from its earlier life
    assert claims_of(await world.asked("channel.announce"))


async def test_without_an_owner_there_is_nobody_to_tell(world: World) -> None:
    world.stage.enter("alice")
    world.ring = Ring(2, [])
    world.resync.came_in(LOBBY, OWNER, EPOCH)
    await world.quiet()


# Losses


def lost(
    owner: str, channel: str, uid: str, session: int, *, closed: bool = True
) -> tuple[str, str, Any]:
    order = None if closed else f"token {session}".encode()
    return owner, "channel.lost", (channel, uid, (*ME, session), order)


async def test_a_loss_is_told(world: World) -> None:
    alice = world.stage.enter("alice")
    world.stage.close(alice)
    assert world.casts == [lost(OWNER, LOBBY, "alice", alice.id)]


async def test_a_loss_is_told_to_the_next_owner_too(world: World) -> None:
    world.ring = Ring(1, [OWNER, OTHER])
    room = next(f"r{n}" for n in range(100) if world.ring.owner(f"r{n}") == OTHER)
    alice = world.stage.enter("alice", channel=room)
    world.stage.close(alice)
    assert sorted(world.casts) == [
        lost(OWNER, room, "alice", alice.id),
        lost(OTHER, room, "alice", alice.id),
    ]


async def test_a_loss_while_the_link_is_down_is_told_after_the_next_announce(world: World) -> None:
    alice, bob = world.stage.enter("alice"), world.stage.enter("bob")
    world.reachable = False
    world.stage.close(alice)
    assert world.casts == []
    world.reachable = True
    world.resync.announce(OWNER)
    asked = await world.asked("channel.announce")
    assert [claim.session for claim in claims_of(asked)[LOBBY]] == [bob.id]
    assert world.casts == []
    asked.give()
    await eventually(lambda: world.casts == [lost(OWNER, LOBBY, "alice", alice.id)])


async def test_a_loss_is_told_again_when_its_link_may_have_lost_it(world: World) -> None:
    alice, bob = world.stage.enter("alice"), world.stage.enter("bob")
    world.stage.close(alice)
    world.stage.hub.closed(bob)
    world.stage.join("bob", session=bob)  # the same connection comes back
    world.casts.clear()
    for _ in range(2):
        world.resync.announce(OWNER)
        (await world.asked("channel.announce")).give()
        await eventually(lambda: world.casts == [lost(OWNER, LOBBY, "alice", alice.id)])
        world.casts.clear()
    world.now += 31.0
    world.resync.announce(OWNER)
    (await world.asked("channel.announce")).give()
    await world.quiet()
    assert world.casts == []


async def test_a_loss_is_told_again_of_who_is_in_under_another_uid(world: World) -> None:
    session = world.stage.enter("alice")
    world.stage.join("bob", session=session)
    world.casts.clear()
    world.resync.announce(OWNER)
    (await world.asked("channel.announce")).give()
    await eventually(lambda: world.casts == [lost(OWNER, LOBBY, "alice", session.id, closed=False)])


async def test_who_goes_while_being_claimed_is_taken_back(world: World) -> None:
    alice, bob, carol = (world.stage.enter(name) for name in ("alice", "bob", "carol"))
    world.resync.announce(OWNER)
    asked = await world.asked("channel.announce")
    world.stage.close(alice)
    world.stage.hub.leave(bob, LOBBY)
    world.casts.clear()  # these may have come before the claims, which bring the members back
    asked.give()
    await eventually(
        lambda: (
            world.casts
            == [
                lost(OWNER, LOBBY, "alice", alice.id),
                lost(OWNER, LOBBY, "bob", bob.id, closed=False),
            ]
        )
    )
    assert carol.memberships


async def test_who_was_claimed_by_an_announce_that_was_given_up_is_taken_back(
    world: World,
) -> None:
    """The owner was stopped: the loss came to it first, and then the claim that was older."""
    alice = world.stage.enter("alice")
    world.resync.announce(OWNER)
    await world.asked("channel.announce")
    world.stage.close(alice)
    world.casts.clear()
    world.resync.announce(OWNER)
    asked = await world.asked("channel.announce")
    assert claims_of(asked) == {}
    asked.give()
    again = lost(OWNER, LOBBY, "alice", alice.id)
    await eventually(lambda: world.casts and set(map(repr, world.casts)) == {repr(again)})


async def test_losses_that_cannot_be_told_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zchat.frontend.losses._LIMIT", 2)
    world.reachable = False
    for _ in range(3):
        world.stage.close(world.stage.enter("alice"))
    assert world.resync.counters["losses_dropped"] == 1
    world.resync.forget(OWNER)
    world.reachable = True
    world.resync.announce(OWNER)
    (await world.asked("channel.announce")).give()
    await world.quiet()
    assert world.casts == []


# Fetches


async def test_a_gap_is_filled_page_by_page(world: World) -> None:
    alice = world.stage.enter("alice")
    world.stage.publish(5, "five")
    world.stage.publish(6, "six")
    first = await world.asked("channel.repair")
    assert (first.server, first.args) == (OWNER, (LOBBY, 0))
    first.page(6, 1, "one", "two")
    second = await world.asked("channel.repair")
    assert second.args == (LOBBY, 2)
    second.page(6, 3, "three", "four")
    await eventually(lambda: len(heard(alice)) == 6)
    assert heard(alice) == ["one", "two", "three", "four", "five", "six"]
    assert world.resync.counters["repaired"] == 4
    await world.quiet()
    assert not world.stage.lobby.fetching


async def test_a_fetch_is_repeated_until_it_is_answered(world: World) -> None:
    alice = world.stage.enter("alice")
    world.stage.publish(2, "two")
    (await world.asked("channel.repair")).fail()
    (await world.asked("channel.repair")).give("nonsense")
    (await world.asked("channel.repair")).page(0, 1)  # the owner has not got there yet
    (await world.asked("channel.repair")).page(2, 1, "one", "two")
    await eventually(lambda: heard(alice) == ["one", "two"])
    await world.quiet()


async def test_a_fetch_finds_a_new_epoch(world: World) -> None:
    alice = world.stage.enter("alice", 3)
    world.stage.publish(5, "five")
    (await world.asked("channel.repair")).page(2, 1, "uno", "due", epoch="e2")
    asked = await world.asked("channel.repair")
    assert asked.args == (LOBBY, 0)
    asked.page(2, 1, "uno", "due", epoch="e2")
    await eventually(lambda: heard(alice) == ["lost e2 0-1", "uno", "due"])


async def test_what_was_fetched_of_an_earlier_owner_is_not_used(world: World) -> None:
    alice = world.stage.enter("alice", 3)
    world.stage.publish(5, "five")
    fetch = await world.asked("channel.repair")
    world.ring = Ring(2, [OTHER])
    world.resync.announce(OTHER)
    announce = await world.asked("channel.announce")
    fetch.page(0, 1, epoch="e0")
    await world.quiet()
    assert world.stage.lobby.follower.position is None
    announce.give(Announced(LOBBY, "e2", 0, 1))
    world.stage.publish(1, "uno", epoch="e2")
    await eventually(lambda: heard(alice) == ["lost e2 0-1", "uno"])


async def test_an_answer_for_an_epoch_that_was_left_does_not_bring_it_back(world: World) -> None:
    alice = world.stage.enter("alice", 3)
    world.stage.publish(5, "five")
    late = await world.asked("channel.repair")
    world.stage.hub.place(world.stage.lobby, StreamPosition("e3", 1))
    late.page(2, 1, "uno", "due", epoch="e2")
    asked = await world.asked("channel.repair")
    assert world.stage.lobby.follower.position == StreamPosition("e3", 0)
    asked.page(1, 1, "new", epoch="e3")
    await eventually(lambda: heard(alice) == ["lost e3 0-1", "new"])


async def test_nothing_is_fetched_for_a_channel_that_was_left(world: World) -> None:
    alice = world.stage.enter("alice")
    world.stage.publish(2, "two")
    asked = await world.asked("channel.repair")
    world.stage.hub.leave(alice, LOBBY)
    world.stage.join("alice", session=alice)  # the same name, another stay
    asked.fail()
    await world.quiet()
    assert heard(alice) == []


async def test_after_close_nothing_begins(world: World) -> None:
    world.stage.enter("alice")
    world.stage.publish(2, "two")
    world.resync.announce(OWNER)
    asked = [await world.asked("channel.repair"), await world.asked("channel.announce")]
    await world.resync.close()
    await world.resync.close()
    assert all(call.answer.cancelled() for call in asked)
    world.resync.announce(OWNER)
    world.stage.publish(4, "four")
    await world.quiet()
