"""People who sign in, in an application of one handler."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.cluster import Cluster
from tests.support.person import Person
from tests.support.timing import MS, eventually
from zchat import BackendSession, Handler, StaleSession
from zchat.client import State


class H(Handler):
    """On connectors and areas alike."""

    async def bind(self, msg: Any, session: BackendSession) -> dict[str, Any]:
        await session.bind(msg["uid"])
        return {"uid": session.uid}

    async def unbind(self, msg: Any, session: BackendSession) -> dict[str, Any]:
        await session.unbind(msg["uid"])
        return {"uid": session.uid}

    async def count(self, msg: Any, session: BackendSession) -> dict[str, Any]:
        """One more, although others may count at the same time."""
        refused = 0
        while True:
            session.set("count", (session.get("count") or 0) + 1)
            await asyncio.sleep(0)
            try:
                await session.push("count")
            except StaleSession:
                refused += 1
            else:
                return {"count": session.get("count"), "refused": refused}

    async def kick(self, msg: Any, session: BackendSession) -> dict[str, Any]:
        if "uid" in msg:
            return {"kicked": await self.app.sessions.kick(msg["uid"], msg["reason"])}
        await session.kick(msg["reason"])
        return {"kicked": 1}


async def signed_in(cluster: Cluster, uid: str, connector: int) -> Person:
    person = await cluster.connect(uid, connector)
    person.listen("onNote")
    answer = await person.request("connector.h.bind", {"uid": uid})
    assert answer == {"uid": uid}
    return person


async def ending(person: Person) -> str:
    """Why a connection has ended for good."""
    await eventually(lambda: person.client.state is State.OFFLINE, 5000 * MS)
    assert person.ending is not None
    assert not person.ending.reconnect
    return person.ending.reason
