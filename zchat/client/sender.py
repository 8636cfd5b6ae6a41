"""Sends what is said in a room, as often as it takes until the server has acknowledged it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from zchat.client.answer import raise_for_code
from zchat.client.unsent import Send, Unsent
from zchat.errors import TimedOut
from zchat.rooms.stream import StreamPosition


class Sender:
    """Drives an `Unsent`, which says what goes when; the bound of its queue is told there.

    Args:
        request: asks the server, as `Client.request`.
        unsent: the queue.
    """

    def __init__(self, request: Callable[[str, Any], Awaitable[Any]], unsent: Unsent) -> None:
        self._request = request
        self._unsent = unsent
        self._waiting: dict[Send, asyncio.Future[dict[str, Any]]] = {}
        self._work: asyncio.Task[None] | None = None  # while there is something to send
        self._timer: asyncio.TimerHandle | None = None  # while the first has to wait

    async def send(
        self, route: str, body: dict[str, Any], cid: str, timeout: float | None
    ) -> dict[str, Any]:
        """Queue a send; returns the answer once it is acknowledged. See `Room.send`."""
        send = self._unsent.add(route, body, cid)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[send] = answer
        self._go()
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise TimedOut(f"{route} was not acknowledged within {timeout} s") from None
        finally:
            self._unsent.discard(send)
            del self._waiting[send]

    def hold(self) -> None:
        """Send nothing until `go_on`."""
        self._unsent.hold()

    def go_on(self) -> None:
        """The room is entered, and everything that was missed has been `seen`."""
        self._unsent.go_on()
        self._go()

    def seen(self, cid: str, place: StreamPosition) -> None:
        """A publication with this id was read."""
        send = self._unsent.seen(cid, place)
        if send is not None:
            self._answer(send, place._asdict())

    def history_lost(self) -> None:
        """What was published while we were away cannot be had: a send may have been among it."""
        lost = TimedOut("whether it was published cannot be found out: the history has gone")
        self._fail(self._unsent.give_up_uncertain(), lost)

    def abandon(self, error: Exception) -> None:
        """None is sent any more; the one on the wire still gets its answer."""
        self._fail(self._unsent.clear(), error)

    def stop(self, error: Exception) -> None:
        """There will be no connection: all of them fail."""
        self._unsent.hold()
        self._unsent.clear()
        self._fail(list(self._waiting), error)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go(self) -> None:
        """Work, now or when it is time; does nothing while work is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._unsent.due
        if self._work is not None or due is None:
            return
        loop = asyncio.get_running_loop()
        if due > loop.time():
            self._timer = loop.call_at(due, self._go)
        else:
            self._work = loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (send := self._unsent.next(loop.time())) is not None:
                await self._transmit(send)
        finally:
            self._work = None
        self._go()

    async def _transmit(self, send: Send) -> None:
        try:
            answer = raise_for_code(await self._request(send.route, send.body))
        except Exception as error:
            # Whatever it is, the sender must hear of it: also of a body that JSON cannot hold.
            if self._unsent.failed(send, error, asyncio.get_running_loop().time()):
                if send.place is not None:
                    self._answer(send, send.place._asdict())
                else:
                    self._fail([send], error)
        else:
            self._unsent.acknowledged(send)
            self._answer(send, answer)

    def _answer(self, send: Send, answer: dict[str, Any]) -> None:
        waiting = self._waiting.get(send)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _fail(self, sends: Iterable[Send], error: Exception) -> None:
        for send in sends:
            waiting = self._waiting.get(send)
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
