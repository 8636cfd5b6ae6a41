"""Who owns a channel, as servers say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.timing import MS, eventually
from zchat.client.owners import Owners
from zchat.errors import Unavailable


class Servers:
    """What servers would answer: (generation, workers) by id; None: nothing."""

    def __init__(self, **known: tuple[int, list[str]] | None) -> None:
        self.known = known
        self.asked: list[str] = []

    @property
    def up(self) -> list[str]:
        return list(self.known)

    async def call(self, server_id: str, method: str, args: object, timeout: float) -> Any:
        self.asked.append(server_id)
        await asyncio.sleep(0)
        known = self.known[server_id]
        if known is None:
            raise Unavailable("gone")
        return {"generation": known[0], "ring": known[1]}


async def test_the_highest_generation_counts() -> None:
    servers = Servers(a=(1, ["a"]), b=(2, ["b"]), c=None, d=(3, []))
    assert await Owners(servers).owner("pier", 1) == "b"


async def test_many_ask_once_until_it_is_forgotten() -> None:
    servers = Servers(a=(1, ["a"]))
    owners = Owners(servers)
    assert set(await asyncio.gather(*(owners.owner(f"r{n}", 1) for n in range(9)))) == {"a"}
    assert servers.asked == ["a"]
    servers.known["a"] = (2, ["b"])
    assert await owners.owner("pier", 1) == "a"
    owners.forget()
    assert await owners.owner("pier", 1) == "b"


async def test_it_waits_for_somebody_who_knows() -> None:
    servers = Servers()
    owners = Owners(servers)
    asking = asyncio.create_task(owners.owner("pier", 1000 * MS))
    await asyncio.sleep(0)
    servers.known["a"] = (0, [])
    owners.heard()
    await eventually(lambda: servers.asked == ["a", "a"])
    servers.known["a"] = (1, ["a"])
    assert await asking == "a"


async def test_but_not_for_ever() -> None:
    with pytest.raises(Unavailable, match="no server says"):
        await Owners(Servers()).owner("pier", 10 * MS)


async def test_who_waits_is_told_of_the_end() -> None:
    owners = Owners(Servers())
    asking = asyncio.create_task(owners.owner("pier", 1000 * MS))
    await asyncio.sleep(0)
    owners.close()
    with pytest.raises(Unavailable, match="closed"):
        await asking
