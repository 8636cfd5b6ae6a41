"""Talk."""

from msgspec import Struct

from zchat import BackendSession, Handler, RequestError, retry


class Say(Struct):
    content: str
    target: str
    cid: str = ""


class ChatHandler(Handler):
    @retry
    async def send(self, msg: Say, session: BackendSession) -> dict[str, object]:
        """Say something to everybody in the room, or to one."""
        room = self.app.channels.get(session.get("rid"))
        if msg.target != "*" and msg.target not in await room.members():
            raise RequestError(f"{msg.target} is not here")
        body = {"msg": msg.content, "from": session.uid, "target": msg.target}
        to = None if msg.target == "*" else [msg.target]
        await room.publish("onChat", body, uid=session.uid, cid=msg.cid, to=to)
        return {}
