"""An owner of channels for tests, with frontends, a clock and a XPUB of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

from tests.support.timing import MS
from zchat.framework.channels.host import ChannelHost
from zchat.framework.channels.joins import Joined
from zchat.frontend.answers import Claim
from zchat.protocol.dictionary import RouteDictionary
from zchat.rooms.channel import Framer, PresencePushes
from zchat.rooms.presence import SessionRef
from zchat.rooms.ring import Ring
from zchat.rooms.stores.memory import MemoryStore
from zchat.rooms.stream import PresenceChange, StreamFrame, StreamPosition, decode_frame

LIVES = {"c1": "life1", "c2": "life2"}
GRACE = 5.0


def ref(session: int = 1, frontend: str = "c1") -> SessionRef:
    return SessionRef(frontend, LIVES[frontend], session)


class SlowStore(MemoryStore):
    """Opens channels when told to, and fails when told to."""

    def __init__(self) -> None:
        epochs = itertools.count(1)
        super().__init__(lambda: f"e{next(epochs)}", 1000)
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False
        self.opened = 0

    async def open(self, channel: str) -> StreamPosition:
        await self.gate.wait()
        self.opened += 1
        if self.broken:
            raise OSError("disk on fire")
        return await super().open(channel)


class Owner:
    """A host, and all that it says to others.

    Frontends show each token at once, unless `silent`.
    """

    def __init__(self, **options: Any) -> None:
        self.now = 100.0
        self.wall = 1_700_000_000.0
        self.ring = Ring(1, ("chat-1",))
        self.store = SlowStore()
        self.casts: list[tuple[str, str, tuple[Any, ...]]] = []
        self.frames: list[tuple[str, StreamFrame]] = []
        self.connected = dict(LIVES)
        self.silent = False
        tokens = itertools.count(1)
        arguments: dict[str, Any] = {
            "server_id": "chat-1",
            "incarnation": "me",
            "ring": lambda: self.ring,
            "learn_ring": self.learn_ring,
            "store": self.store,
            "framer": Framer(PresencePushes("onJoin", "onLeave"), RouteDictionary((), ())),
            "publish": lambda topic, data: self.frames.append((topic, decode_frame(data))),
            "cast": self.cast,
            "grace": GRACE,
            "join_timeout": 5000 * MS,
            "moment": 0.0,
            "clock": lambda: self.now,
            "wall_clock": lambda: self.wall,
            "new_token": lambda: f"token{next(tokens)}",
        }
        self.host = ChannelHost(**{**arguments, **options})
        self.host.ring_changed([])

    async def learn_ring(self) -> None:
        raise AssertionError("nobody else changes this ring")

    def cast(self, frontend: str, incarnation: str, method: str, args: Sequence[Any]) -> bool:
        if self.connected.get(frontend) != incarnation:
            return False
        self.casts.append((frontend, method, tuple(args)))
        if method == "hub.join" and not self.silent:
            asyncio.get_running_loop().call_soon(self.host.on_token, args[4])
        return True

    def ordered(self, method: str) -> list[tuple[str, tuple[Any, ...]]]:
        """(frontend, arguments) of each order of that name."""
        return [(frontend, args) for frontend, name, args in self.casts if name == method]

    @property
    def tokens(self) -> list[bytes]:
        return [args[4] for _, args in self.ordered("hub.join")]

    @property
    def told(self) -> list[tuple[str, bool]]:
        """(uid, joined) of each change that was published."""
        return [(f.uid, f.joined) for _, f in self.frames if isinstance(f, PresenceChange)]

    async def join(
        self,
        uid: str,
        session: SessionRef,
        name: str = "room",
        exclusive: bool = True,
        resume: str = "",
    ) -> Joined:
        return await self.host.join(name, uid, session, exclusive, None, resume, 0)

    def start(self, uid: str, session: SessionRef, resume: str = "") -> asyncio.Task[Joined]:
        return asyncio.get_running_loop().create_task(self.join(uid, session, resume=resume))

    async def announce(
        self, claims: dict[str, list[Claim]], frontend: str = "c1", last: bool = True
    ) -> list[tuple[str, str, int]]:
        token = b"chat-1/announce/%d" % id(claims)
        self.host.on_token(token)
        life = LIVES[frontend]
        found = await self.host.announce(frontend, life, self.ring.tag, claims, last, token)
        return [(a.channel, a.epoch, a.offset) for a in found]

    def change_ring(self, *workers: str, frontends: Sequence[str] = ()) -> None:
        self.ring = Ring(self.ring.generation + 1, workers)
        self.host.ring_changed(frontends)

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.host.tick()


async def publish(owner: Owner, name: str = "room") -> StreamPosition:
    return await owner.host.publish(name, "onChat", b"{}", "alice", "", None, False)


def claim(
    uid: str, session: int = 1, since: float = 1.0, exclusive: bool = True, resume: str = ""
) -> Claim:
    return Claim(uid, session, since, exclusive, resume)
