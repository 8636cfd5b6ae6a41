"""An application that hands whatever clients send to sessions, calls, pushes and channels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from zchat import BackendSession, Handler, Remote

Word = Annotated[str, Meta(min_length=1, max_length=60)]
"""Short enough for the route of a push, in bytes too."""

Name = Annotated[str, Meta(pattern="^[^\\0]{1,200}$")]
"""What a channel may be called."""


class Setting(Struct):
    key: Word
    value: Any


class Who(Struct):
    uid: Word


class Ask(Struct):
    method: Literal["take", "give"]
    args: list[Any]


class Note(Struct):
    route: Word
    body: dict[str, Any]
    channel: Name = "pier"
    uids: list[str] = []


class Tools(Handler):
    """On connectors and areas alike."""

    async def set(self, msg: Setting, session: BackendSession) -> dict[str, Any]:
        session.set(msg.key, msg.value)
        await session.push(msg.key)
        return {"value": session.get(msg.key)}

    async def bind(self, msg: Who, session: BackendSession) -> dict[str, Any]:
        await session.bind(msg.uid)
        return {"uid": session.uid}

    async def unbind(self, msg: Who, session: BackendSession) -> dict[str, Any]:
        await session.unbind(msg.uid)
        return {"uid": session.uid}

    async def ask(self, msg: Ask, session: BackendSession) -> dict[str, Any]:
        remote = self.app.rpc.area.tools_remote
        call = remote.take if msg.method == "take" else remote.give
        return {"said": await call(session, *msg.args)}

    async def ask_all(self, msg: Ask, session: BackendSession) -> dict[str, Any]:
        found = await self.app.rpc.area.tools_remote.take.to_all(*msg.args)
        return {"failed": sum(isinstance(result, Exception) for result in found.values())}

    async def tell(self, msg: Note, session: BackendSession) -> dict[str, Any]:
        return {"missed": await self.app.push_to(msg.uids, msg.route, msg.body)}

    async def join(self, msg: Note, session: BackendSession) -> dict[str, Any]:
        joined = await self.app.channels.get(msg.channel).add(session.uid or "nobody", session)
        return {"members": joined.members}

    async def post(self, msg: Note, session: BackendSession) -> dict[str, Any]:
        place = await self.app.channels.get(msg.channel).publish(
            msg.route, msg.body, to=msg.uids or None
        )
        return {"offset": place.offset}


class ToolsRemote(Remote):
    """Takes arguments of several types, and gives them back."""

    async def take(self, name: str, number: int, table: dict[str, float], rest: Any = None) -> Any:
        return [name, number, table, rest]

    async def give(self, name: str = "") -> Any:
        return name
