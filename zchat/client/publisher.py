"""Publishing into rooms from a process that is no server: a web application, a script, a shell.

    async with Publisher("/srv/chat") as publisher:
        place = await publisher.publish("pier", "onNews", {"text": "The ship is in."})

The promise is that of a handler's publish: one that returned is journalled and reaches every member
once, in the order of the room. It speaks to the servers over their own network, as they do among
themselves, so it needs the project's config/ and, where the cluster has keys, those of `operator`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary

import msgspec

from zchat.client.owners import Owners
from zchat.cluster.visitor import Visitor
from zchat.config import settings
from zchat.config.servers import ServersFile, environment_name
from zchat.config.source import read_json
from zchat.config.topology import Topology
from zchat.errors import ConfigError, RequestError, TimedOut, Unavailable
from zchat.protocol.body import dumps
from zchat.protocol.misfit import Misfit
from zchat.protocol.protobuf import MessageType
from zchat.protocol.protos import Protos
from zchat.protocol.schema import SchemaError, parse
from zchat.rooms.stream import RESERVED, Draft, StreamPosition, check_body, check_name

logger = logging.getLogger("zchat.cluster")

TIMEOUT = 5.0
"""Seconds that a publication may take."""

_ATTEMPT = 2.0
"""Seconds that one server has for it. Then it is asked anew who owns the room."""

_PAUSE = 0.05
_POLL = 0.5

_MOVED = 307


class Publisher:
    """Publishes into rooms. Links to servers are made with the first publication.

    What is published into one room by one publisher stands there in the order of the calls: each
    waits for the one before it. Rooms do not wait for each other. A room that moves to another
    server is followed, and so are changes of servers.json.

    Args:
        project: the project's folder; config/servers.json and config/settings.toml are read, and
            config/serverProtos.json if there is one.
        timeout: seconds that a publication may take, unless it says otherwise.
        max_waiting: publications under way. When full, further ones are refused with `Unavailable`
            and counted in `refused`.
        environment: the one of servers.json; what ZCHAT_ENV says when None, else development.

    Raises:
        ConfigError: a file is missing or wrong.

    Attributes:
        waiting: publications under way.
        refused: those for which there was no room.
    """

    def __init__(
        self,
        project: str | Path,
        *,
        timeout: float = TIMEOUT,
        max_waiting: int = 10_000,
        environment: str | None = None,
    ) -> None:
        self._folder = Path(project)
        config = self._folder / "config"
        self._servers = ServersFile(config / "servers.json", environment or environment_name())
        self._settings = settings.load(config / "settings.toml")
        self._schemas = _schemas(config / "serverProtos.json")
        self._timeout = timeout
        self._max_waiting = max_waiting
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._links: _Links | None = None
        self._closed = False
        self.waiting = 0
        self.refused = 0

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def publish(
        self,
        room: str,
        route: str,
        body: Mapping[str, Any],
        *,
        uid: str = "",
        cid: str = "",
        to: Iterable[str] | None = None,
        members_only: bool = False,
        timeout: float | None = None,
    ) -> StreamPosition:
        """Send to the members of a room, in one order for all; returns when it is journalled.

        It is sent again, under the same `cid`, while its outcome is unknown or nobody takes it,
        until its time is over.

        Args:
            room: its name; it need not exist yet.
            route: the push that clients get.
            body: its body, a JSON object. zchat adds `epoch`, `offset`, `id` and `ts`.
            uid: who sends it; empty for the application itself.
            cid: the sender's own id for it; clients get it back as `id`. What is published again
                with the same uid and cid gets the place of the first time, within the settings'
                `repeat_window` and `repeat_age`. By default one is made.
            to: the uids it is for; None means all members.
            members_only: refuse when one of `to` is no member.
            timeout: seconds; the publisher's own by default.

        Returns:
            Its place in the room.

        Raises:
            RequestError: refused: by `members_only` (404), or the journal cannot be written (507).
            ValueError: the room cannot have this name; or the body has a member that zchat adds,
                does not fit the route's schema, is no JSON or too large (see `Draft`).
            Unavailable: it was not published.
            TimedOut: it may have been published; its field `cid` is what to publish it again with.
            ConfigError: see `zchat.cluster.visitor.Visitor`.
            RuntimeError: the publisher is closed.
        """
        check_name(room)
        self._check(route, body)
        links = self._open()
        cid = cid or links.next_cid()
        draft = Draft(route, dumps(body), uid, cid, None if to is None else tuple(to))
        if self.waiting >= self._max_waiting:
            self.refused += 1
            raise Unavailable(f"{room}: not published: {self.waiting} wait already")
        self.waiting += 1
        try:
            seconds = self._timeout if timeout is None else timeout
            return await self._in_turn(links, room, draft, members_only, seconds)
        finally:
            self.waiting -= 1

    async def close(self) -> None:
        """Let go of the servers; what is under way fails. Idempotent."""
        self._closed = True
        if self._links is not None:
            self._links.close()
            self._links = None

    def _open(self) -> _Links:
        if self._closed:
            raise RuntimeError("the publisher is closed")
        if self._links is None:
            self._links = _Links(self._servers, self._settings, self._folder)
        return self._links

    def _check(self, route: str, body: Mapping[str, Any]) -> None:
        if not RESERVED.isdisjoint(body):
            raise ValueError(f"zchat itself adds {sorted(RESERVED & body.keys())} to bodies")
        schema = self._schemas.get(route)
        if schema is not None:
            try:
                check_body(msgspec.to_builtins(body, str_keys=True), schema)
            except Misfit as misfit:
                raise ValueError(f"a push on {route}: {misfit}") from None

    async def _in_turn(
        self, links: _Links, room: str, draft: Draft, members_only: bool, seconds: float
    ) -> StreamPosition:
        deadline = time.monotonic() + seconds
        turn = self._turns.get(room)  # it lasts as long as somebody waits for it
        if turn is None:
            turn = self._turns[room] = asyncio.Lock()
        try:
            async with asyncio.timeout(seconds):
                await turn.acquire()
        except TimeoutError:
            raise Unavailable(f"{room}: not published: those before it took too long") from None
        try:
            return await _deliver(links, room, draft, members_only, deadline)
        finally:
            turn.release()


async def _deliver(
    links: _Links, room: str, draft: Draft, members_only: bool, deadline: float
) -> StreamPosition:
    """Publish at the room's owner, wherever that is by then."""
    args = (room, draft.route, draft.body, draft.uid, draft.cid, draft.audience, members_only)
    owner, why, unknown = "", "no server says who owns it", False
    while (left := deadline - time.monotonic()) > 0 and not links.closed:
        try:
            owner = owner or await links.owners.owner(room, left)
            links.reach(owner)
            left = max(0.0, min(deadline - time.monotonic(), _ATTEMPT))
            raw = await links.visitor.call(owner, "channel.publish", args, left, idempotent=True)
            return msgspec.convert(raw, StreamPosition)
        except RequestError as error:
            if error.code not in (_MOVED, Unavailable.code, TimedOut.code):
                raise
            why = error.message
            unknown |= error.code == TimedOut.code or error.fields.get("outcome") == "unknown"
            owner = error.fields.get("owner", "")  # who has moved away says where to
            links.owners.forget()
        await asyncio.sleep(_PAUSE)
    why = "the publisher was closed" if links.closed else why
    if unknown:
        raise TimedOut(f"{room}: whether it was published is unknown: {why}", cid=draft.cid)
    raise Unavailable(f"{room}: not published: {why}")


class _Links:
    """To the servers that own rooms or know who does, as servers.json lists them now."""

    def __init__(self, servers: ServersFile, settings: settings.Settings, folder: Path) -> None:
        self.closed = False
        self._servers = servers
        self._count = 0
        # Made here and not with the publisher: a copy of the process would repeat our ids.
        self._prefix = secrets.token_hex(8)
        self._loop = asyncio.get_running_loop()
        self.visitor = Visitor(settings, folder, lambda: self.owners.heard())
        self.owners = Owners(self.visitor)
        try:
            self._follow(servers.topology)
        except BaseException:
            self.visitor.close()
            raise
        self._poller = self._loop.call_later(_POLL, self._poll)

    def next_cid(self) -> str:
        """An id that nobody has used."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def reach(self, server_id: str) -> None:
        """Be linked to an owner. Those that are no backends are linked to when they turn out to be
        one; one that is not listed yet is no server for now."""
        topology = self._servers.topology
        if server_id not in self.visitor.peers and server_id in topology:
            self.visitor.connect(topology.get(server_id))

    def close(self) -> None:
        self.closed = True
        self._poller.cancel()
        self.owners.close()
        self.visitor.close()

    def _follow(self, topology: Topology) -> None:
        self.visitor.let_go(topology)
        wanted = [server for server in topology.servers if not server.frontend]
        wanted = wanted or [server for server in topology.servers if server.takes_clients]
        for server in topology.servers:
            if server in wanted or server.id in self.visitor.peers:
                self.visitor.connect(server)

    def _poll(self) -> None:
        self._poller = self._loop.call_later(_POLL, self._poll)
        if self._servers.poll() is None:
            return
        try:
            self._follow(self._servers.topology)
        except ConfigError as error:
            logger.error("%s; servers.json cannot be followed", error)


def _schemas(path: Path) -> Mapping[str, MessageType]:
    """Of pushes, by route."""
    if not path.exists():
        return {}
    value, source = read_json(path)
    try:
        return Protos(parse(value).messages).at_server.outgoing
    except SchemaError as error:
        raise source.error(error.key, error.problem) from None
