"""The one handler of the probe; every server type has it, so each route has the code it had."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeAlias

from zchat import BackendSession, Handler, RequestError

Answer: TypeAlias = dict[str, Any]

SETTINGS = ("p", "rid")
"""The settings that the recorded conversations use."""


class H(Handler):
    """Answers in every way there is. What ended in an error there raises one here."""

    async def args(self, msg: Any, session: BackendSession) -> Answer:
        return {"args": msg}

    async def arr(self, msg: Any, session: BackendSession) -> list[int]:
        return [1, 2, 3]

    async def bind(self, msg: Any, session: BackendSession) -> Answer:
        return await _told(session.bind(msg["uid"]), session)

    async def echo(self, msg: Any, session: BackendSession) -> Answer:
        settings = {key: session.get(key) for key in SETTINGS if session.get(key) is not None}
        uid = session.uid or None
        return {"body": msg, "uid": uid, "sid": session.id, "settings": settings}

    async def err(self, msg: Any, session: BackendSession) -> None:
        raise RuntimeError("told to fail")

    async def errcode(self, msg: Any, session: BackendSession) -> None:
        raise RequestError("told to fail", code=1234, why="custom")

    async def errnocode(self, msg: Any, session: BackendSession) -> None:
        raise RequestError("told to fail", why="custom")

    async def kick(self, msg: Any, session: BackendSession) -> Answer:
        reason = msg.get("reason", "kick")
        if msg["how"] == "sid":
            await self.app.sessions.kick_session(session.ref, reason)
        else:
            await self.app.sessions.kick(msg.get("uid", session.uid), reason)
        return {"ok": 1}

    async def never(self, msg: Any, session: BackendSession) -> None:
        await asyncio.Event().wait()

    async def none(self, msg: Any, session: BackendSession) -> None:
        return

    async def nul(self, msg: Any, session: BackendSession) -> None:
        return None  # the reference tells `next(null)` from `next()`

    async def num(self, msg: Any, session: BackendSession) -> int:
        return 42

    async def objfirst(self, msg: Any, session: BackendSession) -> None:
        raise RequestError("an answer in place of an error", x=1)

    async def pbreq(self, msg: Any, session: BackendSession) -> Answer:
        return {"got": msg}

    async def pbresp(self, msg: Any, session: BackendSession) -> Answer:
        return {"n": 1} if msg.get("bad") else {"msg": "emoji \U0001f600 中", "code": 7}

    async def push(self, msg: Any, session: BackendSession) -> Answer:
        fails = await self.app.push_to([session.uid], msg["route"], msg["body"])
        return {"err": None, "fails": fails}

    async def pushmany(self, msg: Any, session: BackendSession) -> Answer:
        for number in range(msg["count"]):
            await self.app.push_to([session.uid], msg["route"], {"i": number})
        return {"ok": 1}

    async def route(self, msg: Any, session: BackendSession) -> Answer:
        return {"r": f"{self.app.server.type}.h.route", "keys": list(msg)}

    async def sessbyuid(self, msg: Any, session: BackendSession) -> Answer:
        found = await self.app.sessions.of(msg["uid"])
        return {"n": sum(other.frontend == session.frontend for other in found)}

    async def setonly(self, msg: Any, session: BackendSession) -> Answer:
        session.set(msg["k"], msg["v"])
        return {"v": session.get(msg["k"])}

    async def setpush(self, msg: Any, session: BackendSession) -> Answer:
        session.set(msg["k"], msg["v"])
        await session.push(msg["k"])
        return {"err": None}

    async def str(self, msg: Any, session: BackendSession) -> Any:
        return "text"

    async def strerr(self, msg: Any, session: BackendSession) -> None:
        raise RequestError("just a string")

    async def thr(self, msg: Any, session: BackendSession) -> None:
        raise KeyError("thrown")

    async def twice(self, msg: Any, session: BackendSession) -> Answer:
        return {"a": 1}

    async def unbind(self, msg: Any, session: BackendSession) -> Answer:
        return await _told(session.unbind(msg["uid"]), session)

    async def zero(self, msg: Any, session: BackendSession) -> int:
        return 0


async def _told(work: Awaitable[None], session: BackendSession) -> Answer:
    """How a binding went."""
    try:
        await work
    except RequestError as error:
        return {"err": error.message, "uid": session.uid or None}
    return {"err": None, "uid": session.uid or None}
