"""A chat room on picows, as its broadcast example has it: WebSocket in Cython on uvloop.

python -m bench.servers.picows_chat PORT
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from urllib.parse import parse_qs, urlparse

import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

rooms: defaultdict[str, set[WSTransport]] = defaultdict(set)


class Chat(WSListener):  # type: ignore[misc]
    """One member of the room that the URL names."""

    def __init__(self, request: WSUpgradeRequest) -> None:
        super().__init__()
        self._room = rooms[parse_qs(urlparse(request.path.decode()).query)["room"][0]]

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._room.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._room.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            said = json.loads(frame.get_payload_as_bytes())
            body = {"msg": said["msg"], "from": said["from"], "target": said["target"]}
            text = json.dumps(body).encode()
            for member in self._room:
                member.send(WSMsgType.TEXT, text)


async def main(port: int) -> None:
    """Serve until killed."""
    server = await ws_create_server(Chat, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
