"""Gives offsets, journals, publishes: in that order.

One ordered queue per channel. What gathers in a loop turn becomes a batch; its publications get
their offsets when it goes to the store, and one batch per channel is under way. A refused batch
gives its offsets back. When the outcome is unknown the channel stops until its tail was read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zchat.errors import Unavailable
from zchat.rooms.stores.base import Append, Outcome, Refused, Store, Stored
from zchat.rooms.stream import Draft, Publication, StreamPosition

logger = logging.getLogger("zchat.cluster")

Ticket = tuple[Draft, "asyncio.Future[StreamPosition]"]


@dataclass(slots=True)
class Stream:
    """One channel's numbering: where it ends, what waits, what is under way."""

    channel: str
    position: StreamPosition
    waiting: deque[Ticket] = field(default_factory=deque)
    under_way: Sequence[Ticket] = ()

    def take(self, limit: int, ts: int) -> Append:
        """The next batch: what waits, numbered from here."""
        count = min(len(self.waiting), limit)
        self.under_way = [self.waiting.popleft() for _ in range(count)]
        first = self.position.offset + 1
        publications = [
            draft.at(first + index, ts) for index, (draft, _) in enumerate(self.under_way)
        ]
        return Append(self.channel, self.position.epoch, publications)

    def stored(self, append: Append) -> None:
        """The batch is in the journal: its senders get their positions."""
        epoch = self.position.epoch
        for publication, (_, future) in zip(append.publications, self.under_way, strict=True):
            if not future.done():
                future.set_result(StreamPosition(epoch, publication.offset))
        self.position = StreamPosition(epoch, append.publications[-1].offset)
        self.under_way = ()

    def give_back(self, tail: StreamPosition) -> None:
        """The batch is not in the journal: it waits again, first, and is numbered from `tail`."""
        self.waiting.extendleft(reversed(self.under_way))
        self.under_way = ()
        self.position = tail

    def fail(self, error: Exception) -> None:
        """Nothing that waits can be written: its senders are told."""
        for _, future in (*self.under_way, *self.waiting):
            if not future.done():
                future.set_exception(error)
        self.under_way = ()
        self.waiting.clear()


class Broker:
    """The owner's way from drafts to publications.

    Args:
        store: the journal.
        publish: called once per stored batch with the channel, its epoch and its publications,
            before the senders learn their positions.
        clock: milliseconds since 1970.
        queue_limit: publications that may wait per channel. When full, further ones are refused
            with Unavailable and counted in `refused`.
        batch_limit: publications per batch.
    """

    def __init__(
        self,
        store: Store,
        publish: Callable[[str, str, Sequence[Publication]], None],
        clock: Callable[[], int],
        *,
        queue_limit: int = 10_000,
        batch_limit: int = 512,
    ) -> None:
        self._store = store
        self._publish = publish
        self._clock = clock
        self._queue_limit = queue_limit
        self._batch_limit = batch_limit
        self._ready: list[Stream] = []
        self._turn: asyncio.Task[None] | None = None
        self.refused = 0
        self.published = 0

    def offer(self, stream: Stream, draft: Draft) -> asyncio.Future[StreamPosition]:
        """Queue a draft; the future has its position once it is journalled and published.

        Raises:
            Unavailable: the channel's queue is full.
        """
        if len(stream.waiting) >= self._queue_limit:
            self.refused += 1
            raise Unavailable(f"too many messages wait in {stream.channel}")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[StreamPosition] = loop.create_future()
        if not stream.waiting and not stream.under_way:
            self._ready.append(stream)
        stream.waiting.append((draft, future))
        if self._turn is None:
            self._turn = loop.create_task(self._run(), name="broker")
        return future

    async def close(self) -> None:
        """Let what is under way finish. Idempotent."""
        if self._turn is not None:
            await self._turn

    async def _run(self) -> None:
        """Write batches, one group commit per round, until nothing waits."""
        try:
            while self._ready:
                streams, self._ready = self._ready, []
                await self._write(streams)
                self._ready += [stream for stream in streams if stream.waiting]
        finally:
            self._turn = None

    async def _write(self, streams: Sequence[Stream]) -> None:
        ts = self._clock()
        appends = [stream.take(self._batch_limit, ts) for stream in streams]
        try:
            outcomes = await self._store.append(appends)
        except Exception as error:
            logger.exception("journal: append of %d batches failed", len(appends))
            await self._find_out(streams, error)
            return
        for stream, append, outcome in zip(streams, appends, outcomes, strict=True):
            self._settle(stream, append, outcome)

    def _settle(self, stream: Stream, append: Append, outcome: Outcome) -> None:
        match outcome:
            case Stored():
                self._publish(stream.channel, append.epoch, append.publications)
                self.published += len(append.publications)
                stream.stored(append)
            case Refused(tail):
                stream.give_back(tail)

    async def _find_out(self, streams: Sequence[Stream], error: Exception) -> None:
        """The outcome is unknown: senders are told so, and the tail is read before going on."""
        for stream in streams:
            stream.fail(Unavailable(f"the journal failed: {error}"))
            stream.position = await self._store.open(stream.channel)
