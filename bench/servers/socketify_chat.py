"""A chat room on socketify, as its documentation has it: subscribe and publish of uWebSockets.

python -m bench.servers.socketify_chat PORT
"""

from __future__ import annotations

import json
import sys
from typing import Any

from socketify import App, CompressOptions, OpCode


def upgrade(response: Any, request: Any, context: Any) -> None:
    """Remember which room the URL names."""
    response.upgrade(
        request.get_header("sec-websocket-key"),
        request.get_header("sec-websocket-protocol"),
        request.get_header("sec-websocket-extensions"),
        context,
        {"room": request.get_query("room")},
    )


def opened(member: Any) -> None:
    """Enter the room."""
    member.subscribe(member.get_user_data()["room"])


def say(member: Any, message: str, _: Any) -> None:
    """Tell the room; in socketify a publication reaches its sender too."""
    said = json.loads(message)
    text = json.dumps({"msg": said["msg"], "from": said["from"], "target": said["target"]})
    member.publish(member.get_user_data()["room"], text, OpCode.TEXT)


def main(port: int) -> None:
    """Serve until killed, on all interfaces unless the host is named."""
    app = App()
    app.ws(
        "/ws",
        {
            "compression": CompressOptions.DISABLED,
            "idle_timeout": 0,
            "upgrade": upgrade,
            "open": opened,
            "message": say,
        },
    )
    app.listen({"port": port, "host": "127.0.0.1"})
    app.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
