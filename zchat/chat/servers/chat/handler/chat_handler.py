"""Talk."""

from msgspec import Struct

from zchat import BackendSession, Handler, retry


class Say(Struct):
    content: str
    target: str
    cid: str = ""


class Look(Struct):
    before: int | None = None
    after: int | None = None
    limit: int = 50


class ChatHandler(Handler):
    @retry
    async def send(self, msg: Say, session: BackendSession) -> dict[str, object]:
        """Say something to everybody in the room, or to one; answers its place there."""
        room = self.app.channels.get(session.get("rid"))
        body = {"msg": msg.content, "from": session.uid, "target": msg.target}
        to = None if msg.target == "*" else [msg.target]
        place = await room.publish(
            "onChat", body, uid=session.uid, cid=msg.cid, to=to, members_only=True
        )
        return {"epoch": place.epoch, "offset": place.offset}

    async def history(self, msg: Look, session: BackendSession) -> dict[str, object]:
        """What was said in the room; `next` goes on in the same direction, while `more`."""
        room = self.app.channels.get(session.get("rid"))
        page = await room.history(session.uid, before=msg.before, after=msg.after, limit=msg.limit)
        return page.answer()
