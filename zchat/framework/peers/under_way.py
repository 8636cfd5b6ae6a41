"""What a server does for others, and what it does beside that nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from zchat.cluster.envelope import Call
from zchat.cluster.rpc_server import RemotePeer
from zchat.errors import RequestError
from zchat.framework.peers.context import caller, current, decode_origin
from zchat.framework.peers.deadline import in_time
from zchat.framework.peers.methods import Methods

logger = logging.getLogger("zchat.cluster")

_TAKEN = frozenset({"self", "peer", "request_id", "code", "message"})


class UnderWay:
    """The calls and tasks that run here now; `Node` bounds their number.

    Args:
        server_id: this server.
        methods: what others may call.
    """

    def __init__(self, server_id: str, methods: Methods) -> None:
        self._server_id = server_id
        self._methods = methods
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run work that nobody waits for; it is ended by `close`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all of it. Idempotent."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cast(self, method: str, args: bytes, sender: str) -> None:
        """Run a cast; what is wrong with it is the log's to tell, as nobody waits for an answer."""
        try:
            self._methods.cast(method, args)
        except RequestError as error:
            logger.warning("from %s: %s", sender, error)
        except Exception:
            logger.exception("%s from %s failed", method, sender)

    async def answer(self, link: Any, peer: Any, call: Call) -> None:
        """Run a call and answer it, whatever happens in it."""
        if isinstance(peer, RemotePeer) and not peer.alive:
            return  # what it tells of itself was undone when it was lost
        try:
            current.set(decode_origin(call.origin))
            caller.set(peer.server_id)
            budget = call.budget_ms / 1000
            link.reply(peer, call.id, await self.run(call.method, call.args, budget, peer))
        except RequestError as error:
            self._fail(link, peer, call, error)
        except Exception:
            logger.exception("%s from %s cannot be answered", call.method, peer)
            self._fail(link, peer, call, RequestError("internal error"))

    def _fail(self, link: Any, peer: Any, call: Call, error: RequestError) -> None:
        # By keyword they could clash with the names of `fail`'s own parameters.
        marked = error.mark(self._server_id).items()
        fields = {key: value for key, value in marked if key not in _TAKEN}
        link.fail(peer, call.id, error.code, error.message, **fields)

    async def run(self, method: str, args: bytes, budget: float, sender: object) -> bytes:
        """The packed result of a method of ours.

        Raises:
            RequestError: whatever went wrong; what is no RequestError is logged, not told.
        """
        try:
            return await in_time(self._methods.invoke(method, args), budget)
        except RequestError:
            raise
        except Exception:
            logger.exception("%s from %s failed", method, sender)
            raise RequestError("internal error") from None
