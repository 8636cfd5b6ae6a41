"""What clients meet first."""

from zchat import BackendSession, Handler


class EntryHandler(Handler):
    async def entry(self, msg: dict[str, object], session: BackendSession) -> dict[str, object]:
        """Answers the route connector.entryHandler.entry."""
        return {"code": 200, "msg": "game server is ok."}
