"""What was asked and has no answer yet."""

from __future__ import annotations

from collections.abc import Iterator

from zchat.cluster.envelope import Call, OnAnswer, Request
from zchat.wheel import Wheel

# Width of the wheel's slots in seconds: a deadline of seconds may be told a tenth late.
_GRANULARITY = 0.1


class Pending:
    """One question.

    Args:
        envelope: what was asked, kept because it may be asked again.
        size: its bytes.
        deadline: seconds of our clock.
        on_answer: gets the answer, once.
        idempotent: asking twice does no harm.
    """

    __slots__ = ("deadline", "envelope", "idempotent", "on_answer", "size")

    def __init__(
        self,
        envelope: Request | Call,
        size: int,
        deadline: float,
        on_answer: OnAnswer,
        idempotent: bool,
    ) -> None:
        self.envelope = envelope
        self.size = size
        self.deadline = deadline
        self.on_answer = on_answer
        self.idempotent = idempotent


class PendingTable:
    """The questions to one peer by id, in the order they were asked.

    Its bound is kept by the Pipe that owns it, which looks at `held` before it adds.
    """

    __slots__ = ("_deadlines", "_entries", "held")

    def __init__(self) -> None:
        self.held = 0
        """Bytes of all questions."""
        self._entries: dict[int, Pending] = {}
        self._deadlines: Wheel[int] = Wheel(_GRANULARITY)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Pending]:
        return iter(list(self._entries.values()))

    def get(self, request_id: int) -> Pending | None:
        """The question, left where it is."""
        return self._entries.get(request_id)

    def add(self, pending: Pending) -> None:
        """Ids must rise: the order of the table is the order of the asking."""
        request_id = pending.envelope.id
        self._entries[request_id] = pending
        self.held += pending.size
        self._deadlines.schedule(request_id, pending.deadline)

    def take(self, request_id: int) -> Pending | None:
        """The question, taken out; None if it is not (or no longer) there."""
        pending = self._entries.pop(request_id, None)
        if pending is not None:
            self.held -= pending.size
            self._deadlines.cancel(request_id)
        return pending

    def expire(self, now: float) -> list[Pending]:
        """Takes out the questions whose deadline has passed."""
        due = [self._entries.pop(due_id) for due_id in sorted(self._deadlines.expire(now))]
        self.held -= sum(pending.size for pending in due)
        return due

    def clear(self) -> list[Pending]:
        """Takes out all of them."""
        taken = list(self._entries.values())
        for pending in taken:
            self.take(pending.envelope.id)
        return taken
