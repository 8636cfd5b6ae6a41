"""Hands clients out to connectors."""

from msgspec import Struct

from zchat import BackendSession, Handler, Unavailable, choose


class Query(Struct):
    uid: str


class GateHandler(Handler):
    async def query_entry(self, msg: Query, session: BackendSession) -> dict[str, object]:
        """The connector for this user: always the same one while it is alive."""
        connectors = {server.id: server for server in self.app.servers("connector", alive=True)}
        chosen = connectors.get(choose(msg.uid, connectors) or "")
        if chosen is None:
            raise Unavailable("no connector is running", code=500)
        host = chosen.client_host or session.host
        return {"code": 200, "host": host, "port": chosen.client_port}
