"""Rooms, for connectors."""

from zchat import Remote, SessionRef, Wish


class ChatRemote(Remote):
    async def add(self, uid: str, session: SessionRef, rid: str, wish: Wish) -> dict[str, object]:
        """Make somebody a member; returns who is there, and what they missed."""
        room = self.app.channels.get(rid)
        joined = await room.add(uid, session, exclusive=True, wish=wish)
        return {"users": joined.members, **joined.answer()}

    async def kick(self, uid: str, session: SessionRef, rid: str) -> None:
        """Take somebody out."""
        await self.app.channels.get(rid).leave(uid, session)
