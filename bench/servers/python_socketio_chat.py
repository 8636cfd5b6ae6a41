"""A chat room on python-socketio, as its documentation scales it: uvicorn, processes on one Redis.

python -m bench.servers.python_socketio_chat PORT REDIS_PORT
"""

from __future__ import annotations

import sys
from typing import Any

import socketio
import uvicorn


def chat(redis_port: int) -> socketio.AsyncServer:
    """The server with its two events; `join` is acknowledged."""
    redis = socketio.AsyncRedisManager(f"redis://127.0.0.1:{redis_port}/0")
    server = socketio.AsyncServer(async_mode="asgi", client_manager=redis, cors_allowed_origins="*")

    @server.on("join")  # type: ignore[untyped-decorator]
    async def join(sid: str, msg: dict[str, str]) -> dict[str, int]:
        await server.save_session(sid, msg)
        await server.enter_room(sid, msg["rid"])
        return {"ok": 1}

    @server.on("chat")  # type: ignore[untyped-decorator]
    async def say(sid: str, msg: dict[str, Any]) -> None:
        session = await server.get_session(sid)
        body = {"msg": msg["content"], "from": session["username"], "target": msg["target"]}
        await server.emit("chat", body, room=session["rid"])

    return server


if __name__ == "__main__":
    uvicorn.run(
        socketio.ASGIApp(chat(int(sys.argv[2]))),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        ws="websockets",
        ws_per_message_deflate=False,
        backlog=4096,
        log_level="error",
        access_log=False,
    )
