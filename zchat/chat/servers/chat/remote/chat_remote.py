"""Rooms, for connectors."""

from zchat import Position, Remote, SessionRef


class ChatRemote(Remote):
    async def add(
        self, uid: str, session: SessionRef, rid: str, since: Position | None, resume: str
    ) -> dict[str, object]:
        """Make somebody a member; returns who is there, and what they missed."""
        room = self.app.channels.get(rid)
        joined = await room.add(uid, session, exclusive=True, since=since, resume=resume)
        return {"users": joined.members, **joined.answer()}

    async def kick(self, uid: str, session: SessionRef, rid: str) -> None:
        """Take somebody out."""
        await self.app.channels.get(rid).leave(uid, session)
