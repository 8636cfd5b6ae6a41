"""Gives offsets, journals, publishes: in that order.

One ordered queue per channel. What gathers in a loop turn becomes a batch; its publications get
their offsets when it goes to the store, and one batch per channel is under way. A refused batch
gives its offsets back. When the outcome is unknown the channel stops until its tail was read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from zchat.errors import RequestError, TimedOut, Unavailable
from zchat.rooms.owned_stream import OwnedStream
from zchat.rooms.stores.base import Append, Fenced, Outcome, Refused, Store, Stored
from zchat.rooms.stream import (
    MAX_BODY_BYTES,
    Draft,
    Publication,
    StreamPosition,
    first_page,
)
from zchat.rooms.ticket import Ticket, Waiter

logger = logging.getLogger("zchat.cluster")

_BATCH_BYTES = MAX_BODY_BYTES
"""A batch is one frame to each frontend, and one write to each member's connection."""

_QUEUE_BYTES = 16 * 1024 * 1024


class Broker:
    """The owner's way from drafts to publications.

    Args:
        store: the journal.
        publish: called once per stored batch with the channel, its epoch and its publications,
            before the senders learn their positions.
        clock: milliseconds since 1970.
        generation: of the ring by which we own our channels.
        fenced: awaited when the journal says that there is a newer one: it must learn of the ring
            and close the streams that are not ours any more; the others are written again.
        queue_limit: publications that may wait per channel. When full, further ones are refused
            with Unavailable and counted in `refused`.
        queue_bytes: that may wait per channel, by `Draft.size`. When full, likewise.
        batch_limit: publications per batch.
        batch_bytes: per batch, by `Draft.size`; one publication may be larger. A batch becomes one
            frame: were it larger than what may wait for a connection, it would cut off the whole
            room at once, as slow readers.
    """

    def __init__(
        self,
        store: Store,
        publish: Callable[[str, str, Sequence[Publication]], None],
        clock: Callable[[], int],
        generation: Callable[[], int],
        fenced: Callable[[], Awaitable[None]],
        *,
        queue_limit: int = 10_000,
        queue_bytes: int = _QUEUE_BYTES,
        batch_limit: int = 512,
        batch_bytes: int = _BATCH_BYTES,
    ) -> None:
        self._store = store
        self._publish = publish
        self._clock = clock
        self._generation = generation
        self._fenced = fenced
        self._queue_limit = queue_limit
        self._queue_bytes = queue_bytes
        self._batch_limit = batch_limit
        self._batch_bytes = batch_bytes
        self._ready: list[OwnedStream] = []
        self._turn: asyncio.Task[None] | None = None
        self.refused = 0
        self.repeated = 0
        """Drafts that had been offered before."""
        self.fenced = 0
        """Batches that came too late: another worker may own their channels."""
        self.published = 0

    def offer(self, stream: OwnedStream, draft: Draft) -> Waiter:
        """Queue a draft; the future has its position once it is journalled and published.

        What has been offered before, by the same uid with the same `cid`, gets its first position.
        It fails with Unavailable when nothing was written, and with TimedOut when that could not
        be found out.

        Who cancels the future gives up waiting, and takes nothing from others that wait for the
        same. Without a `cid`, the draft is not written if it has not yet gone to the store. With
        one it is written all the same: who offers it again is told where it is.

        Raises:
            Unavailable: the channel's queue is full.
            Exception: the one that the stream was closed with.
        """
        if stream.closed is not None:
            raise stream.closed
        # Of each sender its own: a shielded one costs two more callbacks in the loop.
        waiter: Waiter = asyncio.get_running_loop().create_future()
        if draft.cid:
            key = (draft.uid, draft.cid)
            offset = stream.repeats.find(key, self._clock())
            if offset is not None:
                self.repeated += 1
                waiter.set_result(StreamPosition(stream.position.epoch, offset))
                return waiter
            pending = stream.pending.get(key)
            if pending is not None:
                self.repeated += 1
                pending.waiters.append(waiter)
                return waiter
        self._queue(stream, Ticket(draft, waiter))
        return waiter

    def knows(self, stream: OwnedStream, draft: Draft) -> bool:
        """Whether this has been offered before, as far as the window of repeats reaches."""
        key = (draft.uid, draft.cid)
        if not draft.cid:
            return False
        return key in stream.pending or stream.repeats.find(key, self._clock()) is not None

    def _queue(self, stream: OwnedStream, ticket: Ticket) -> None:
        size = stream.waiting_bytes + ticket.size
        if len(stream.waiting) >= self._queue_limit or size > self._queue_bytes:
            self.refused += 1
            raise Unavailable(f"too many messages wait in {stream.channel}")
        stream.put(ticket)
        if not stream.ready:
            stream.ready = True
            self._ready.append(stream)
        if self._turn is None:
            self._turn = asyncio.get_running_loop().create_task(self._run(), name="broker")

    async def close(self) -> None:
        """Let what is under way finish. Idempotent."""
        if self._turn is not None:
            await self._turn

    async def _run(self) -> None:
        """Write batches, one group commit per round, until nothing waits."""
        try:
            while self._ready:
                streams, self._ready = self._ready, []
                try:
                    await self._write(streams)
                except Exception:
                    logger.exception("journal: a round of %d channels failed", len(streams))
                    for stream in streams:
                        _give_up(stream)
                for stream in streams:
                    stream.ready = bool(stream.waiting)
                self._ready += [stream for stream in streams if stream.ready]
        finally:
            self._turn = None

    async def _write(self, streams: Sequence[OwnedStream]) -> None:
        batches: list[tuple[OwnedStream, Append]] = []
        now = self._clock()
        for stream in streams:
            if stream.doubtful and not await self._read_tail(stream):
                stream.fail_waiting(Unavailable("the journal cannot be read"))
                continue
            append = stream.take(self._batch_limit, self._batch_bytes, now)
            if append is not None:
                batches.append((stream, append))
        if not batches:
            return
        try:
            appends = [append for _, append in batches]
            outcomes = await self._store.append(self._generation(), appends)
        except Exception as error:
            logger.exception("journal: append of %d batches failed", len(batches))
            for stream, append in batches:
                await self._find_out(stream, append, error)
            return
        for (stream, append), outcome in zip(batches, outcomes, strict=True):
            self._settle(stream, append, outcome)
        if any(type(outcome) is Fenced for outcome in outcomes):
            await self._hear_of_ring()

    async def _hear_of_ring(self) -> None:
        try:
            await self._fenced()
        except Exception:
            # The batches are tried again, and given up when that goes on.
            logger.exception("journal: the newer ring cannot be learned")

    def _settle(self, stream: OwnedStream, append: Append, outcome: Outcome) -> None:
        match outcome:
            case Stored():
                self._tell(stream, append.epoch, append.publications)
                stream.stored(append)
            case Refused(tail):
                logger.warning("journal: %s ends at %s: refused", stream.channel, tail)
                stream.give_back(append.start)
                stream.doubtful = tail != append.start
            case Fenced(generation):
                self.fenced += 1
                logger.info("journal: %s: the ring is of generation %d", stream.channel, generation)
                stream.give_back(append.start)

    def _tell(self, stream: OwnedStream, epoch: str, publications: Sequence[Publication]) -> None:
        self.published += len(publications)
        try:
            self._publish(stream.channel, epoch, publications)
        except Exception:
            # It is journalled, so it counts: followers will miss it and fetch it.
            first = publications[0].offset
            logger.exception("%s: publishing from %s/%d failed", stream.channel, epoch, first)

    async def _find_out(self, stream: OwnedStream, append: Append, error: Exception) -> None:
        """The outcome is unknown: the journal says whether this batch is in it.

        If it is, it was stored. If the tail is where it was, nothing was written. Else, and when
        the journal cannot be read either, nobody knows.
        """
        limit = len(append.publications)
        try:
            history = await self._store.read(stream.channel, append.start.offset, limit)
        except Exception:
            logger.exception("journal: %s cannot be read", stream.channel)
            stream.doubtful = True
            stream.fail_under_way(TimedOut("the journal failed"))
            return
        same_life = history.tail.epoch == append.epoch
        if same_life and list(history.publications) == list(append.publications):
            self._tell(stream, append.epoch, append.publications)
            stream.stored(append)
            stream.doubtful = history.tail != append.end
        elif history.tail == append.start:
            stream.fail_under_way(_nothing_done(error))
            stream.position = history.tail
        else:
            stream.fail_under_way(TimedOut("the journal failed"))
            stream.doubtful = True

    async def _read_tail(self, stream: OwnedStream) -> bool:
        """Go on where the journal ends; who sends the doubtful batch again is told if it is in."""
        try:
            tail = await self._store.open(stream.channel)
            known = stream.position.offset if tail.epoch == stream.position.epoch else 0
            limit = max(1, min(tail.offset - known, stream.repeats.limit))
            history = await self._store.read_back(stream.channel, tail.offset + 1, limit)
        except Exception:
            logger.exception("journal: %s cannot be opened", stream.channel)
            return False
        # Who sends one of these again is answered without its being written: members get it here.
        news = [p for p in history.publications if p.offset > known]
        while news:
            page = first_page(news[: self._batch_limit], self._batch_bytes)
            self._tell(stream, tail.epoch, page)
            news = news[len(page) :]
        stream.catch_up(history, self._clock())
        return True


def _nothing_done(error: Exception) -> RequestError:
    return error if isinstance(error, RequestError) else Unavailable("the journal failed")


def _give_up(stream: OwnedStream) -> None:
    """Nobody knows how far a round came: the stream begins anew, with what the journal says."""
    if stream.under_way:
        stream.doubtful = True
        stream.fail_under_way(TimedOut("the journal failed"))
    stream.fail_waiting(Unavailable("the journal failed"))
