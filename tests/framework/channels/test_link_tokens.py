"""Tokens and their waiters, in either order."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.timing import MS
from zchat.errors import Unavailable
from zchat.framework.channels import link_tokens
from zchat.framework.channels.link_tokens import LinkTokens


@pytest.fixture
def tokens() -> LinkTokens:
    return LinkTokens("chat-1", timeout=5000 * MS)


async def test_a_token_that_comes_first(tokens: LinkTokens) -> None:
    tokens.seen(b"chat-1/life/1")
    await tokens.wait(b"chat-1/life/1")


async def test_a_waiter_that_comes_first(tokens: LinkTokens) -> None:
    waiting = [asyncio.ensure_future(tokens.wait(b"chat-1/life/%d" % n)) for n in (1, 2)]
    await asyncio.sleep(0)
    tokens.seen(b"chat-1/life/2")
    await waiting[1]
    assert not waiting[0].done()
    tokens.seen(b"chat-1/life/1")
    await waiting[0]


@pytest.mark.parametrize("token", [b"chat-11/life/1", b"chat-2/life/1", b"", b"\xff", b"chat-1"])
async def test_others_tokens_are_ignored(token: bytes) -> None:
    tokens = LinkTokens("chat-1", timeout=0)
    tokens.seen(token)
    with pytest.raises(Unavailable):
        await tokens.wait(token)


async def test_a_token_is_good_for_one_wait() -> None:
    tokens = LinkTokens("chat-1", timeout=5 * MS)
    tokens.seen(b"chat-1/life/1")
    await tokens.wait(b"chat-1/life/1")
    with pytest.raises(Unavailable):
        await tokens.wait(b"chat-1/life/1")


async def test_nobody_waits_for_ever() -> None:
    tokens = LinkTokens("chat-1", timeout=5 * MS)
    with pytest.raises(Unavailable, match="no link"):
        await tokens.wait(b"chat-1/life/1")
    assert tokens._waiting == {}


async def test_when_full_the_oldest_is_forgotten_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_tokens, "_REMEMBERED", 2)
    tokens = LinkTokens("chat-1", timeout=0)
    for number in (1, 2, 3):
        tokens.seen(b"chat-1/life/%d" % number)
    assert tokens.forgotten == 1
    await tokens.wait(b"chat-1/life/3")
    await tokens.wait(b"chat-1/life/2")
    with pytest.raises(Unavailable):
        await tokens.wait(b"chat-1/life/1")
