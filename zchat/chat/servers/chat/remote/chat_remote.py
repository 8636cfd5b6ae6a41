"""Rooms, for connectors."""

from zchat import Remote, SessionRef


class ChatRemote(Remote):
    async def add(self, uid: str, session: SessionRef, rid: str) -> list[str]:
        """Make somebody a member; returns who is there."""
        return await self.app.channels.get(rid).add(uid, session, exclusive=True)

    async def kick(self, uid: str, session: SessionRef, rid: str) -> None:
        """Take somebody out."""
        await self.app.channels.get(rid).leave(uid, session)
