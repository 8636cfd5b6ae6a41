"""A chat room as Tornado's documentation has it: `write_message` to each member.

python -m bench.servers.tornado_chat PORT
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import defaultdict

from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

rooms: defaultdict[str, set[Chat]] = defaultdict(set)


class Chat(WebSocketHandler):
    """One member of the room that the URL names."""

    def check_origin(self, origin: str) -> bool:
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        rooms[self.get_argument("room")].add(self)

    def on_close(self) -> None:
        rooms[self.get_argument("room")].discard(self)

    def on_message(self, message: str | bytes) -> None:
        said = json.loads(message)
        text = json.dumps({"msg": said["msg"], "from": said["from"], "target": said["target"]})
        for member in rooms[self.get_argument("room")]:
            try:
                member.write_message(text)
            except WebSocketClosedError:
                logging.info("a member went while it was written to")


async def main(port: int) -> None:
    """Serve until killed."""
    Application([("/ws", Chat)]).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
