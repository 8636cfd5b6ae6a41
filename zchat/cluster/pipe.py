"""The way out to one peer: what waits to be written and what waits for an answer.

No sockets here: whoever owns the pipe hands `flush` a function that writes one message, and tells
the pipe when its link was made anew (`relink`) or is gone for good (`abandon`).

Ids rise in the order of the asking and messages are written in that order, so one number tells
which questions were written: all up to `_written`. It decides what a lost link means for them.

    never written        nothing was done: waits for the link, or fails with 503 and retry
    written, idempotent  is asked again on the next link
    written, otherwise   the outcome is unknown: fails at once when the peer lives a new life,
                         else at its deadline (the old life may still answer)
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from zchat.cluster.envelope import (
    IDEMPOTENT,
    NOTIFY,
    Answer,
    Call,
    Cast,
    Envelope,
    Failure,
    OnAnswer,
    Reply,
    Request,
    encode,
)
from zchat.cluster.limits import Limits
from zchat.cluster.pending import Pending, PendingTable

logger = logging.getLogger("zchat.cluster")

OVERHEAD: Final = 48
"""Bytes that an envelope is counted with beside its strings."""

# Seconds that a peer may be slow before what waits for it is looked through: budgets told anew,
# what has expired taken out.
_STALE: Final = 0.1

_MAX_BUDGET_S: Final = 86_400
_MAX_BUDGET_MS: Final = 1000 * _MAX_BUDGET_S


def budget_ms(seconds: float) -> int:
    """A budget as it travels: whole milliseconds, between none and a day."""
    if 0.0 < seconds < _MAX_BUDGET_S:
        return int(seconds * 1000.0)
    return 0 if seconds <= 0.0 else _MAX_BUDGET_MS


class Batch:
    """Envelopes that go out as one message."""

    __slots__ = ("envelopes", "last_id", "message", "notifies", "size", "told")

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.size = 0
        self.told = 0
        """The part of `size` that is no questions."""
        self.last_id = 0
        self.message: bytes | None = None
        """Its bytes, once it was tried to write it; from then on it takes no more."""
        self.notifies: list[int] = []


class Pipe:
    """What one peer is asked and told.

    When full (`held` would pass `limits.queue_bytes`), a question fails with 503 at once and is
    counted in `refused`; what needs no answer is dropped and counted in `dropped`. Nothing waits.
    Clients' requests fail so too when the peer could begin them at once and `limits.requests` of
    them are unanswered: one that has more before it would answer too late, and be busy with what
    nobody waits for any more.

    Args:
        name: the peer's, for texts.
        limits: bounds.
    """

    __slots__ = (
        "_batches",
        "_limits",
        "_name",
        "_pending",
        "_stalled_at",
        "_told",
        "_written",
        "dropped",
        "expired",
        "late",
        "messages",
        "refused",
        "resent",
    )

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._batches: deque[Batch] = deque()
        self._pending = PendingTable()
        self._told = 0
        self._written = 0
        self._stalled_at: float | None = None
        self.messages = 0
        """Messages written: each a batch."""
        self.refused = 0
        """Questions that failed at once because the pipe was full."""
        self.dropped = 0
        """Answers, casts and pings that were not written: the pipe was full or its link lost."""
        self.expired = 0
        """Questions whose deadline passed."""
        self.late = 0
        """Answers to questions that were not (or no longer) open."""
        self.resent = 0
        """Questions asked again after a lost link."""

    @property
    def held(self) -> int:
        """Bytes that wait, for being written or for an answer."""
        return self._pending.held + self._told

    @property
    def unanswered(self) -> int:
        """Questions without an answer."""
        return len(self._pending)

    @property
    def counts(self) -> dict[str, int]:
        """What it has counted, by the names that operators see."""
        return {
            "pipe_refused": self.refused,
            "pipe_dropped": self.dropped,
            "pipe_expired": self.expired,
            "pipe_late": self.late,
            "pipe_resent": self.resent,
        }

    @property
    def waiting(self) -> bool:
        """Whether `flush` has something to write."""
        return bool(self._batches)

    def ask_request(
        self, request: Request, deadline: float, on_answer: OnAnswer, *, at_once: bool
    ) -> None:
        """Queues a client's request; `on_answer` is called once (for a notify only if it fails).

        Args:
            at_once: whether the peer begins it now; else it waits for the peer's next link or life,
                where `limits.requests` is no measure: one restart may last for seconds.
        """
        size = len(request.body) + len(request.session) + len(request.route) + OVERHEAD
        idempotent = request.kind & IDEMPOTENT != 0
        pending = Pending(request, size, deadline, on_answer, idempotent)
        if at_once and self._pending.requests >= self._limits.requests:
            self._refuse(pending)
        else:
            self._ask(pending)

    def ask_call(
        self, call: Call, deadline: float, on_answer: OnAnswer, *, idempotent: bool
    ) -> None:
        """Queues a call; `on_answer` is called once."""
        self._ask(Pending(call, _size(call), deadline, on_answer, idempotent))

    def tell(self, envelope: Envelope) -> bool:
        """Queues what needs no answer.

        Returns:
            Whether it was queued. When full it is dropped and counted.
        """
        size = _size(envelope)
        if self._pending.held + self._told + size > self._limits.queue_bytes:
            self.dropped += 1
            return False
        self._put_told(envelope, size)
        return True

    def flush(self, write: Callable[[bytes], bool], now: float) -> bool:
        """Writes what waits, each batch as one message.

        Args:
            write: gets a message; returns False if the socket would block.
            now: seconds of our clock.

        Returns:
            Whether all was written; if not, to be called again when the socket can be written.
        """
        if self._stalled_at is not None and now - self._stalled_at > _STALE:
            self._refresh(now)
        while self._batches:
            batch = self._batches[0]
            if batch.message is None:
                batch.message = encode(batch.envelopes)
            if not write(batch.message):
                if self._stalled_at is None:
                    self._stalled_at = now
                return False
            self._batches.popleft()
            self._was_written(batch)
        self._stalled_at = None
        return True

    def answer(self, answer: Answer) -> None:
        """Gives an answer that came to whoever asked; late ones are dropped and counted."""
        pending = self._pending.take(answer.id)
        if pending is None:
            self.late += 1
            return
        self._settle(pending, answer)

    def forget(self, request_id: int) -> None:
        """Nobody waits for this answer any more."""
        self._pending.take(request_id)

    def expire(self, now: float, *, up: bool) -> None:
        """Fails the questions whose deadline has passed.

        Args:
            now: seconds of our clock.
            up: whether the link is there; decides between 504 and 503.
        """
        due = self._pending.expire(now)
        if not due:
            return
        self.expired += len(due)
        if self._batches:
            # What nobody waits for must not fill the memory while the peer is away.
            self._refresh(now)
        for pending in due:
            if up and pending.envelope.id <= self._written:
                self._fail(pending, 504, "no answer in time from", {"outcome": "unknown"})
            else:
                self._fail_unreachable(pending)

    def relink(self, now: float, *, same_life: bool) -> None:
        """The link was made anew: decides what is asked again and what has failed.

        Args:
            now: seconds of our clock.
            same_life: the peer is still in the incarnation that we wrote to.
        """
        unwritten = self._unwritten(keep_told=same_life)
        again: list[Envelope] = []
        lost: list[Pending] = []
        for pending in self._pending:
            if pending.envelope.id > self._written:
                break
            if pending.idempotent:
                again.append(pending.envelope)
            elif not same_life:
                lost.append(pending)
        self.resent += len(again)
        self._requeue([*again, *unwritten], now)
        for pending in lost:
            self._pending.take(pending.envelope.id)
            self._fail_unreachable(pending)

    def abandon(self) -> None:
        """The peer is gone for good: everything open fails, what waits is dropped."""
        self._unwritten(keep_told=False)
        for pending in self._pending.clear():
            self._fail_unreachable(pending)

    def _ask(self, pending: Pending) -> None:
        size = pending.size
        if self._pending.held + self._told + size > self._limits.queue_bytes:
            self._refuse(pending)
            return
        self._pending.add(pending)
        self._put_question(pending.envelope, size)

    def _refuse(self, pending: Pending) -> None:
        self.refused += 1
        self._fail(pending, 503, "too much is waiting for", {"retry": True})

    def _put_question(self, envelope: Request | Call, size: int) -> None:
        batch = self._batch_for(size)
        batch.envelopes.append(envelope)
        batch.last_id = envelope.id
        if type(envelope) is Request and envelope.kind & NOTIFY:
            batch.notifies.append(envelope.id)

    def _put_told(self, envelope: Envelope, size: int) -> None:
        self._told += size
        batch = self._batch_for(size)
        batch.told += size
        batch.envelopes.append(envelope)

    def _batch_for(self, size: int) -> Batch:
        """The last batch, or a new one if this would make it too large."""
        batches = self._batches
        if batches:
            batch = batches[-1]
            if batch.message is None and batch.size + size <= self._limits.batch_bytes:
                batch.size += size
                return batch
        batch = Batch()
        batch.size = size
        batches.append(batch)
        return batch

    def _was_written(self, batch: Batch) -> None:
        self.messages += 1
        if batch.last_id > self._written:
            self._written = batch.last_id
        for notify in batch.notifies:
            self._pending.take(notify)
        self._told -= batch.told

    def _unwritten(self, *, keep_told: bool) -> list[Envelope]:
        """Takes out all batches; what is left of them on a new link."""
        waiting = [envelope for batch in self._batches for envelope in batch.envelopes]
        self._batches.clear()
        self._told = 0
        kept: list[Envelope] = []
        for envelope in waiting:
            if isinstance(envelope, Request | Call):
                if envelope.id > self._written:
                    kept.append(envelope)
            elif keep_told:
                kept.append(envelope)
            else:
                self.dropped += 1
        return kept

    def _refresh(self, now: float) -> None:
        """After a wait: takes out what has expired and tells the rest's budgets anew."""
        self._requeue([e for batch in self._batches for e in batch.envelopes], now)

    def _requeue(self, envelopes: list[Envelope], now: float) -> None:
        self._batches.clear()
        self._told = 0
        self._stalled_at = None
        for envelope in envelopes:
            if isinstance(envelope, Request | Call):
                pending = self._pending.get(envelope.id)
                if pending is not None:
                    envelope.budget_ms = budget_ms(pending.deadline - now)
                    self._put_question(envelope, pending.size)
            else:
                self._put_told(envelope, _size(envelope))

    def _fail_unreachable(self, pending: Pending) -> None:
        if pending.envelope.id > self._written:
            self._fail(pending, 503, "could not reach", {"retry": True})
        else:
            # No retry: a client that repeats it might have it done twice.
            fields = {"retry": False, "outcome": "unknown"}
            self._fail(pending, 503, "lost the link to", fields)

    def _fail(self, pending: Pending, code: int, text: str, fields: dict[str, Any]) -> None:
        message = f"{text} {self._name}"
        self._settle(pending, Failure(pending.envelope.id, code, message, fields))

    def _settle(self, pending: Pending, answer: Answer) -> None:
        try:
            pending.on_answer(answer)
        except Exception:
            # One caller's fault must not keep the other answers of the batch from theirs.
            logger.exception("answer %d of %s could not be taken", answer.id, self._name)


def _size(envelope: Envelope) -> int:
    """What an envelope is counted with."""
    if isinstance(envelope, Reply):
        return len(envelope.body) + OVERHEAD
    if isinstance(envelope, Request):
        return len(envelope.body) + len(envelope.session) + len(envelope.route) + OVERHEAD
    if isinstance(envelope, Call):
        return len(envelope.args) + len(envelope.origin) + len(envelope.method) + OVERHEAD
    if isinstance(envelope, Cast):
        return len(envelope.args) + len(envelope.method) + OVERHEAD
    if isinstance(envelope, Failure):  # rare, and its fields may hold anything
        return len(encode([envelope])) + OVERHEAD
    return OVERHEAD
