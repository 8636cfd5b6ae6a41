"""Lets people into rooms."""

from zchat import AlreadyMember, BackendSession, Handler, RequestError, Wish, serial
from zchat.chat.names import checked


class Switch(Wish, kw_only=True):
    rid: str


class Enter(Switch, kw_only=True):
    username: str


class EntryHandler(Handler):
    @serial
    async def enter(self, msg: Enter, session: BackendSession) -> dict[str, object]:
        """Sign in and enter a room; `error` is true when the name is taken there."""
        name = checked(msg.username, "username")
        if session.uid not in ("", name):
            raise RequestError(f"you are {session.uid} on this connection")
        return await self._move(session, name, msg)

    @serial
    async def switch_room(self, msg: Switch, session: BackendSession) -> dict[str, object]:
        """Leave the room for another one, on the same connection."""
        if session.get("rid") is None:
            raise RequestError("enter a room first")
        return await self._move(session, session.uid, msg)

    async def _move(self, session: BackendSession, name: str, msg: Switch) -> dict[str, object]:
        rooms, old = self.app.rpc.chat.chat_remote, session.get("rid")
        who, rid = (name, session.ref), checked(msg.rid, "rid")
        session.set("rid", rid)
        try:
            answer = await rooms.add(session, *who, rid, msg, retry=True)
        except AlreadyMember:
            return {"code": 500, "error": True}
        await session.bind(name)
        await session.push("rid")
        if old not in (None, rid):
            session.set("rid", old)
            try:
                await rooms.kick(session, *who, old, timeout=1)
            except RequestError:
                await session.drop(old)
        return {**answer}
