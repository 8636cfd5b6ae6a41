"""What frontends say of their members, and what they get for gaps."""

from __future__ import annotations

import asyncio

import pytest

from tests.framework.channels.owner import GRACE, Owner, claim, publish, ref
from tests.support.timing import MS, eventually
from zchat.errors import Unavailable
from zchat.framework.channels import frontends
from zchat.frontend.answers import Compared
from zchat.rooms.ring import Ring
from zchat.rooms.stores.base import Append
from zchat.rooms.stream import Beat, PresenceChange, Publication


@pytest.fixture
async def owner() -> Owner:
    return Owner()


async def test_tokens_outlive_their_owner(owner: Owner) -> None:
    await owner.announce({"room": [claim("alice", 1, resume="mine")]}, "c1")
    joined = await owner.join("alice", ref(7, "c2"), resume="mine")
    assert joined.resume == "mine"
    assert owner.ordered("hub.evict") == [("c1", (1, "room", True))]


@pytest.mark.parametrize("first", ["c1", "c2"])
async def test_of_two_claims_with_one_token_the_later_session_stays(
    owner: Owner, first: str
) -> None:
    """The owner died before the former connection's frontend was told."""
    claims = {"c1": claim("alice", 1, 5, resume="mine"), "c2": claim("alice", 7, 9, resume="mine")}
    for frontend in sorted(claims, reverse=first == "c2"):
        await owner.announce({"room": [claims[frontend]]}, frontend)
    assert owner.ordered("hub.evict") == [("c1", (1, "room", True))]
    assert owner.host.channels["room"].presence.sessions("alice") == {ref(7, "c2")}


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


async def test_repairs_are_pages(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontends, "_REPAIR_PAGE", 2)
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
    monkeypatch.setattr(frontends, "_REPAIR_BYTES", 100)
    for _ in range(3):
        await owner.host.publish("room", "r", b'{"a":"%b"}' % (b"x" * 80), "", "", None, False)
    page = await owner.host.repair("room", 0)
    assert (page.first, len(page.items), page.offset) == (1, 1, 3)


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


async def test_the_younger_of_two_claims_is_put_out(owner: Owner) -> None:
    await owner.announce({"room": [claim("alice", 1, since=5)]}, "c1")
    await owner.announce({"room": [claim("alice", 7, since=4)]}, "c2")
    assert owner.ordered("hub.evict") == [("c1", (1, "room", False))]
    assert owner.host.counts["claims_lost"] == 1


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
    with pytest.raises(Unavailable, match="c1 is not connected, or has announced anew"):
        await announce
    assert await owner.host.members("room") == []
    await owner.announce({"room": [claim("alice")]})  # the link came up again, with the same life
    assert await owner.host.members("room") == ["alice"]


async def test_an_announce_that_was_given_up_claims_nobody(owner: Owner) -> None:
    """What a frontend says after a later one must not be undone when a channel is open at last."""
    owner.store.gate.clear()
    before = asyncio.ensure_future(owner.announce({"room": [claim("alice")]}))
    await asyncio.sleep(0)
    await owner.announce({})  # she has gone, and with her the last one in the room there
    owner.host.lost("room", "alice", ref(1), None)
    owner.store.gate.set()
    with pytest.raises(Unavailable, match="c1 is not connected, or has announced anew"):
        await before
    owner.tick(GRACE + 0.1)
    assert await owner.host.members("room") == []


async def test_nothing_is_remembered_of_lives_that_ended(owner: Owner) -> None:
    await owner.announce({})
    owner.host.frontend_lost("c1", "a life before")
    assert list(owner.host._frontends._latest) == ["c1"]
    owner.host.frontend_lost("c1", "life1")
    assert owner.host._frontends._latest == {}


async def test_an_announce_without_its_token_is_not_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner = Owner()
    monkeypatch.setattr(owner.host._frontends.links, "_timeout", 5 * MS)
    with pytest.raises(Unavailable, match="no link"):
        await owner.host.announce("c1", "life1", "chat-1", {}, True, b"chat-1/never")


async def test_who_is_not_claimed_any_more_leaves_after_the_grace(owner: Owner) -> None:
    """The word of its loss was lost; it came in long before these claims were made."""
    for session, name in enumerate(("ghost", "alice", "bob"), 1):
        await owner.join(name, ref(session))
    await owner.join("carol", ref(1, "c2"))
    owner.wall += 20
    await owner.join("dan", ref(4))
    await owner.announce({"room": [claim("alice", 2), claim("bob", 3)]})
    owner.tick(GRACE + 0.1)
    assert await owner.host.members("room") == ["alice", "bob", "carol", "dan"]
    assert owner.told[-1] == ("ghost", False)


# Rosters


def changes_of(found: Compared) -> list[tuple[str, bool]]:
    return [(change.uid, change.joined) for change in found.changes]


async def test_a_frontend_gets_the_list_that_its_member_gets(owner: Owner) -> None:
    await owner.join("alice", ref(1))
    await owner.join("bob", ref(1, "c2"))
    await owner.join("carol", ref(2))
    lists = [args[-3] for _, args in owner.ordered("hub.joined")]
    assert lists == [["alice"], ["alice", "bob"], ["alice", "bob", "carol"]]


async def test_a_roster_that_missed_changes_gets_them_as_they_were_told(owner: Owner) -> None:
    await owner.join("alice", ref(1))
    version = owner.host.channels["room"].presence.version
    await owner.join("bob", ref(2))
    await owner.host.leave("room", "bob", ref(2))
    found = await owner.host.compare("room", version, ["alice"], [])
    told = [frame for _, frame in owner.frames if isinstance(frame, PresenceChange)]
    assert found == Compared("e1", version + 2, told[1:])
    assert (await owner.host.compare("room", version + 2, ["alice"], [])).changes == []
    doubtful = await owner.host.compare("room", version + 2, ["alice"], ["alice", "bob"])
    assert changes_of(doubtful) == [("alice", True), ("bob", False)]


async def test_a_roster_is_seen_when_its_version_says_nothing(owner: Owner) -> None:
    await owner.join("alice", ref(1))
    version = owner.host.channels["room"].presence.version
    assert (await owner.host.compare("room", version - 1, None, [])).changes
    assert await owner.host.compare("room", 7, None, []) == Compared("e1", version, [], True)
    assert not (await owner.host.compare("room", 7, ["alice"], [])).unknown


async def test_a_list_is_compared_once_it_is_complete(owner: Owner) -> None:
    owner.change_ring("chat-1", "chat-9")
    owner.change_ring("chat-1", frontends=["c1", "c2"])
    await owner.announce({"room": [claim("alice")]})
    comparing = asyncio.ensure_future(owner.host.compare("room", 0, ["alice", "bob"], []))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not comparing.done()
    await owner.announce({"room": [claim("bob")]}, "c2")
    assert changes_of(await comparing) == []
    assert owner.told == []


async def test_who_nobody_claims_leaves_after_the_grace(owner: Owner) -> None:
    await owner.announce({"room": [claim("alice")]})
    for _ in range(2):
        await owner.host.compare("room", 0, ["alice", "ghost"], [])
    assert await owner.host.members("room") == ["alice", "ghost"]
    owner.tick(GRACE - 0.1)
    assert ("ghost", False) not in owner.told
    owner.tick(0.2)
    assert owner.told.count(("ghost", False)) == 1
    owner.tick(2.0)
    found = await owner.host.compare("room", 0, ["alice", "ghost", "other"], [])
    assert ("other", False) in changes_of(found)
    assert await owner.host.members("room") == ["alice"]


async def test_who_is_claimed_late_is_told(owner: Owner) -> None:
    await owner.announce({"room": [claim("alice")]}, "c1")
    await owner.announce({"room": [claim("bob")]}, "c2")
    assert owner.told == [("alice", True), ("bob", True)]  # both came when it was settled
    version = owner.host.channels["room"].presence.version
    await owner.announce({"room": [claim("bob")]}, "c2")
    assert owner.host.channels["room"].presence.version == version


async def test_a_change_of_members_is_in_the_next_beat(owner: Owner) -> None:
    await owner.join("alice", ref())
    owner.tick(1.0)
    beat = owner.frames[-1][1]
    assert isinstance(beat, Beat)
    version = owner.host.channels["room"].presence.version
    assert beat.positions == [("room", "e1", 0, version)]


async def test_a_roster_of_thousands(owner: Owner) -> None:
    everybody = [claim(f"person{number}", number) for number in range(1, 5001)]
    owner.change_ring("chat-1", frontends=["c1"])
    await owner.announce({"room": everybody})
    found = await owner.host.compare("room", 0, [], [])
    assert len(found.changes) == 5000
    roster = [one.uid for one in everybody]
    assert (await owner.host.compare("room", 0, roster, [])).changes == []


async def test_an_announce_by_another_ring_is_tried_again(owner: Owner) -> None:
    """What is left out of an answer is announced by nobody any more, so it must not be."""
    ring, owner.ring = owner.ring, Ring(0, ())
    with pytest.raises(Unavailable):
        await owner.host.announce("c1", "life1", ring.tag, {"room": [claim("alice")]}, True, b"t")
    owner.ring = ring
    assert [name for name, *_ in await owner.announce({"room": [claim("alice")]})] == ["room"]
    assert await owner.host.members("room") == ["alice"]


async def test_what_is_not_published_yet_is_no_repair(owner: Owner) -> None:
    """Else a frontend could be past the place at which a member comes in, who then misses it."""
    place = await publish(owner)
    publication = Publication(2, "onChat", b"{}", "alice", "", 0)
    await owner.store.append(1, [Append("room", place.epoch, [publication])])
    page = await owner.host.repair("room", 0)
    assert (page.first, len(page.items), page.offset) == (1, 1, 1)
    page = await owner.host.repair("room", 1)
    assert (page.first, page.items, page.offset) == (2, [], 1)
