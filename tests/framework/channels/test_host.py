"""An owner as a whole: what it publishes, and what is not its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.framework.channels.owner import Owner, publish, ref
from zchat.framework.channels.owned_channels import Moved
from zchat.rooms.presence import NotMember
from zchat.rooms.stream import Published, Pushed, StreamPosition


@pytest.fixture
async def owner() -> Owner:
    return Owner()


async def private(owner: Owner, cid: str, *to: str) -> StreamPosition:
    audience = list(to)
    return await owner.host.publish("room", "onChat", b"{}", "alice", cid, audience, True)


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


async def test_a_publication_for_members_only(owner: Owner) -> None:
    await owner.join("bob", ref())
    assert (await private(owner, "1", "bob")).offset == 1
    with pytest.raises(NotMember, match="carol is not here"):
        await private(owner, "2", "bob", "carol")
    assert (await owner.host.publish("room", "r", b"{}", "", "", None, True)).offset == 2


async def test_a_repeat_has_its_place_whoever_has_left_since(owner: Owner) -> None:
    await owner.join("bob", ref())
    first = await private(owner, "1", "bob")
    await owner.host.leave("room", "bob", ref())
    assert await private(owner, "1", "bob") == first
    with pytest.raises(NotMember):
        await private(owner, "2", "bob")
    assert owner.host.published == 1


async def test_a_repeat_of_what_is_under_way_is_known_too(owner: Owner) -> None:
    await owner.join("bob", ref())
    first = asyncio.ensure_future(private(owner, "1", "bob"))
    await asyncio.sleep(0)
    owner.host.channels["room"].presence.leave("bob", ref())
    assert await private(owner, "1", "bob") == await first


async def test_what_cannot_be_sent_is_not_journalled(owner: Owner) -> None:
    with pytest.raises(ValueError, match="push route"):
        await owner.host.publish("room", "x" * 256, b"{}", "", "", None, False)
    assert (await publish(owner)).offset == 1


async def test_closing_lets_what_is_under_way_end(owner: Owner) -> None:
    call = asyncio.ensure_future(publish(owner))
    await asyncio.sleep(0)
    await owner.host.close()
    assert (await call).offset == 1
    await owner.host.close()


async def test_what_is_not_ours_has_moved(owner: Owner) -> None:
    owner.change_ring("chat-2")
    calls: list[Callable[[], Any]] = [
        lambda: owner.join("alice", ref()),
        lambda: owner.host.leave("room", "alice", ref()),
        lambda: owner.host.members("room"),
        lambda: owner.host.count("room"),
        lambda: owner.host.sessions("room", "alice"),
        lambda: owner.host.push("room", b"", None),
        lambda: owner.host.destroy("room"),
        lambda: publish(owner),
        lambda: owner.host.repair("room", 0),
    ]
    for call in calls:
        with pytest.raises(Moved) as moved:
            await call()
        assert moved.value.fields == {"owner": "chat-2"}
    assert owner.host.channels == {}


async def test_who_is_here(owner: Owner) -> None:
    await owner.join("alice", ref(1), exclusive=False)
    await owner.join("alice", ref(2, "c2"), exclusive=False)
    await owner.join("alice", ref(1), exclusive=False)
    await owner.join("bob", ref(3))
    assert await owner.host.members("room") == ["alice", "bob"]
    assert await owner.host.count("room") == 2, "two sessions are one member, twice is once"
    assert await owner.host.sessions("room", "alice") == [ref(1), ref(2, "c2")]
    assert await owner.host.sessions("room", "carol") == []


async def test_a_push_is_handed_on_and_names_who_is_not_there(owner: Owner) -> None:
    await owner.join("alice", ref())
    owner.frames.clear()
    assert await owner.host.push("room", b"ping", ["bob", "alice"]) == ["bob"]
    assert await owner.host.push("room", b"pong", None) == []
    assert owner.frames == [
        ("room", Pushed(b"ping", ("bob", "alice"))),
        ("room", Pushed(b"pong", None)),
    ]
    assert (await publish(owner)).offset == 1, "it has no place in the order"
