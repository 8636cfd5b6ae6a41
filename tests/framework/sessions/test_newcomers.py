"""Clients that said in their handshake who they are."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.application import application
from tests.support.cluster import Cluster
from tests.support.signing import H, ending
from zchat import RequestError, SignedInElsewhere
from zchat.framework.sessions.entrance import Handshake
from zchat.framework.sessions.logins import Logins
from zchat.framework.sessions.newcomers import Newcomers
from zchat.frontend.session import Session, SessionTable
from zchat.frontend.sockets.connection import Connection
from zchat.frontend.sockets.disconnect import SIGNED_IN_ELSEWHERE, TOO_MANY_MESSAGES, Disconnect
from zchat.protocol.message import Message


class Hall:
    """Where they arrive; whether they are let in is said by the test."""

    remote_address = host = ""

    def __init__(self) -> None:
        self.disconnect: Disconnect | None = None
        self.taken: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.word: asyncio.Future[RequestError | None] = asyncio.get_running_loop().create_future()
        take = lambda session, message: self.taken.append(message)  # noqa: E731
        self.newcomers = Newcomers(cast(Logins, self), take, self.spawn, limit=2)
        self.session = SessionTable("c1", "life").open(cast(Connection, self))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def close(self, disconnect: Disconnect) -> None:
        self.disconnect = disconnect

    async def sign_in(self, session: Session, uid: str) -> None:
        error = await self.word
        if error is not None:
            raise error

    async def say(self, *messages: int, then: RequestError | None) -> None:
        self.newcomers.begin(self.session, "alice")
        for message in messages:
            self.newcomers.take(self.session, cast(Message, message))
        assert self.taken == []
        self.word.set_result(then)
        await asyncio.gather(*self.tasks)


async def test_messages_wait_until_it_is_signed_in() -> None:
    hall = Hall()
    await hall.say(1, 2, then=None)
    assert (hall.taken, hall.disconnect) == ([1, 2], None)
    hall.newcomers.take(hall.session, cast(Message, 3))
    assert hall.taken == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "name", "reason"),
    [
        (SignedInElsewhere("x"), SIGNED_IN_ELSEWHERE.name, SIGNED_IN_ELSEWHERE.reason),
        (RequestError("nobody knows"), "unavailable", "nobody knows"),
    ],
)
async def test_who_is_refused_is_told_why(error: RequestError, name: str, reason: str) -> None:
    hall = Hall()
    await hall.say(1, then=error)
    assert hall.taken == []
    assert hall.disconnect is not None
    assert (hall.disconnect.name, hall.disconnect.reason) == (name, reason)


async def test_who_talks_too_much_meanwhile_is_closed() -> None:
    hall = Hall()
    await hall.say(1, 2, 3, then=None)
    assert (hall.taken, hall.disconnect) == ([], TOO_MANY_MESSAGES)


async def test_an_authenticated_client_meets_the_policy(tmp_path: Path) -> None:
    app = application(tmp_path, {"connector/handler/h": H, "area/handler/h": H})
    app.single_session("newest")

    @app.authenticate
    def who(handshake: Handshake) -> str:
        return str(handshake.user["name"])

    servers = {"gate": 1, "connector": 2, "area": 1}
    async with Cluster(tmp_path, servers, app=app) as cluster:
        alice = await cluster.connect("alice", 0, user={"name": "alice"})
        assert await alice.request("connector.h.bind", {"uid": "alice"}) == {"uid": "alice"}
        await asyncio.gather(ending(alice), cluster.connect("alice", 1, user={"name": "alice"}))
