"""Awaiting the answer of another server. For calls between servers, not for clients' requests."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from zchat.cluster.envelope import Answer, Call, Failure, pack, unpack
from zchat.cluster.pipe import Pipe, budget_ms
from zchat.errors import ClusterError, RequestError


class Question:
    """One call and the future of its answer.

    Args:
        request_id: its id.
        method: what is called.
        args: anything msgpack can hold.
        budget: seconds until it fails.
        origin: the context of the request in which it is made, opaque.

    Raises:
        TypeError: `args` cannot be packed.
    """

    __slots__ = ("_answer", "_call")

    def __init__(
        self, request_id: int, method: str, args: object, budget: float, origin: bytes
    ) -> None:
        self._call = Call(request_id, method, pack(args), budget_ms(budget), origin)
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def put(self, pipe: Pipe, deadline: float, *, idempotent: bool) -> None:
        """Queues the call; the caller sees to it that the pipe is flushed."""
        settle = partial(_settle, self._answer)
        pipe.ask_call(self._call, deadline, settle, idempotent=idempotent)

    async def result(self, pipe: Pipe) -> Any:
        """Waits for the answer and unpacks it.

        Raises:
            RequestError: the call failed, there or on the way: Unavailable, TimedOut, ...
        """
        try:
            answer = await self._answer
        finally:
            # The waiting task may have been cancelled.
            pipe.forget(self._call.id)
        if isinstance(answer, Failure):
            raise answer.error()
        try:
            return unpack(answer.body)
        except ClusterError as error:
            raise RequestError(f"unreadable result of {self._call.method}") from error


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
