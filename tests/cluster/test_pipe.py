"""What waits for one peer, without any socket: each message written is kept in a list."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from zchat.cluster.envelope import (
    IDEMPOTENT,
    NOTIFY,
    Answer,
    Call,
    Cast,
    Envelope,
    Failure,
    Ping,
    Reply,
    Request,
    decode,
)
from zchat.cluster.limits import Limits
from zchat.cluster.pipe import OVERHEAD, Pipe, budget_ms

LOST = {"retry": False, "outcome": "unknown"}


class Peer:
    """A pipe, what was written to it, and what its questions were answered."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.pipe = Pipe("chat-1", limits or Limits())
        self.messages: list[list[Envelope]] = []
        self.answers: list[Answer] = []
        self.writable = True
        self.last_id = 0

    def write(self, message: bytes) -> bool:
        if self.writable:
            self.messages.append(decode(message))
        return self.writable

    def ask(
        self, kind: int = 0, deadline: float = 105.0, body: bytes = b"", *, at_once: bool = True
    ) -> int:
        self.last_id += 1
        request = Request(self.last_id, "route", b"", body, budget_ms(deadline - 100.0), kind)
        self.pipe.ask_request(request, deadline, self.answers.append, at_once=at_once)
        return self.last_id

    def flush(self, now: float = 100.0) -> bool:
        return self.pipe.flush(self.write, now)

    def written(self) -> list[Envelope]:
        """All envelopes so far, emptied."""
        envelopes = [envelope for message in self.messages for envelope in message]
        self.messages.clear()
        return envelopes

    def written_ids(self) -> list[int]:
        return [envelope.id for envelope in self.written() if isinstance(envelope, Request | Call)]


@pytest.mark.parametrize(
    ("seconds", "travels"),
    [(5.0, 5000), (0.0015, 1), (-3.0, 0), (1e9, 86_400_000), (float("inf"), 86_400_000)],
)
def test_budgets(seconds: float, travels: int) -> None:
    assert budget_ms(seconds) == travels


def test_what_waits_goes_out_as_one_message() -> None:
    peer = Peer()
    peer.ask()
    peer.pipe.tell(Cast("m", b""))
    peer.ask()
    assert peer.flush()
    assert [len(message) for message in peer.messages] == [3]
    assert not peer.pipe.waiting
    assert peer.flush()
    assert peer.pipe.messages == 1


def test_a_batch_that_was_tried_takes_no_more() -> None:
    peer = Peer()
    first = peer.ask()
    peer.writable = False
    assert not peer.flush()
    second = peer.ask()
    peer.writable = True
    assert peer.flush()
    assert [len(message) for message in peer.messages] == [1, 1]
    assert peer.written_ids() == [first, second]


def test_an_envelope_larger_than_a_batch_travels_alone() -> None:
    peer = Peer(Limits(batch_bytes=1000))
    peer.ask()
    peer.ask(body=bytes(5000))
    peer.ask()
    peer.flush()
    assert [len(message) for message in peer.messages] == [1, 1, 1]


def test_a_short_wait_changes_nothing_a_long_one_tells_budgets_anew() -> None:
    peer = Peer()
    peer.ask(deadline=105.0)
    peer.ask(deadline=101.0)
    peer.writable = False
    peer.flush(100.0)
    peer.pipe.expire(101.5, up=True)
    peer.flush(101.5)
    peer.writable = True
    peer.flush(103.0)
    (request,) = peer.written()
    assert isinstance(request, Request)
    assert 2000 <= request.budget_ms <= 3500
    assert peer.answers == [Failure(2, 503, "could not reach chat-1", {"retry": True})]


def test_an_answer_is_taken_once() -> None:
    peer = Peer()
    number = peer.ask()
    peer.flush()
    peer.pipe.answer(Reply(number, b"1"))
    peer.pipe.answer(Reply(number, b"2"))
    peer.pipe.answer(Reply(77, b""))
    assert peer.answers == [Reply(number, b"1")]
    assert (peer.pipe.late, peer.pipe.held, peer.pipe.unanswered) == (2, 0, 0)


def test_full() -> None:
    peer = Peer(Limits(queue_bytes=10 * (OVERHEAD + 5)))
    for _ in range(10):
        peer.ask()
    assert peer.answers == []
    number = peer.ask()
    busy = Failure(number, 503, "too much is waiting for chat-1", {"retry": True})
    assert peer.answers == [busy]
    assert not peer.pipe.tell(Ping(0))
    assert (peer.pipe.refused, peer.pipe.dropped) == (1, 1)
    assert peer.pipe.counts == {
        "pipe_refused": 1,
        "pipe_dropped": 1,
        "pipe_expired": 0,
        "pipe_late": 0,
        "pipe_resent": 0,
    }
    peer.flush()
    peer.pipe.answer(Reply(1, b""))
    peer.ask()
    assert peer.pipe.unanswered == 10


def test_a_peer_with_too_much_before_it_gets_no_more_requests() -> None:
    peer = Peer(Limits(requests=2))
    asked = [peer.ask() for _ in range(3)]
    busy = Failure(asked[2], 503, "too much is waiting for chat-1", {"retry": True})
    assert (peer.answers, peer.pipe.refused) == ([busy], 1)
    peer.flush()
    peer.pipe.answer(Reply(asked[0], b""))
    peer.ask()
    assert (peer.pipe.unanswered, peer.pipe.refused) == (2, 1)


def test_calls_take_no_requests_place() -> None:
    """As many people come back at once, each by a call, others go on talking."""
    peer = Peer(Limits(requests=2))
    for _ in range(5):
        peer.last_id += 1
        call = Call(peer.last_id, "method", b"", 1000, b"")
        peer.pipe.ask_call(call, 105.0, peer.answers.append, idempotent=False)
    peer.ask()
    peer.ask()
    assert (peer.pipe.unanswered, peer.pipe.refused) == (7, 0)


def test_more_may_wait_for_a_peer_that_is_away_than_it_gets_at_once() -> None:
    peer = Peer(Limits(requests=2))
    for _ in range(5):
        peer.ask(at_once=False)
    assert (peer.pipe.unanswered, peer.pipe.refused) == (5, 0)
    peer.ask()
    assert (peer.pipe.unanswered, peer.pipe.refused) == (5, 1)


def test_what_needs_no_answer_holds_memory_until_written() -> None:
    peer = Peer(Limits(batch_bytes=200))
    for _ in range(10):
        assert peer.pipe.tell(Cast("m", bytes(99)))
    assert peer.pipe.held == 10 * (OVERHEAD + 100)
    peer.flush()
    assert peer.pipe.held == 0


def test_a_notify_is_forgotten_when_written() -> None:
    peer = Peer()
    peer.ask(NOTIFY)
    assert peer.pipe.held > 0
    peer.flush()
    assert peer.pipe.held == 0
    peer.ask(NOTIFY, deadline=101.0)
    peer.pipe.expire(102.0, up=False)
    assert peer.answers == [Failure(2, 503, "could not reach chat-1", {"retry": True})]
    assert not peer.pipe.waiting


def test_deadlines() -> None:
    peer = Peer()
    written = peer.ask(deadline=101.0)
    peer.flush()
    waits = peer.ask(deadline=101.0)
    peer.pipe.expire(101.5, up=True)
    late = {"outcome": "unknown"}
    assert peer.answers == [
        Failure(written, 504, "no answer in time from chat-1", late),
        Failure(waits, 503, "could not reach chat-1", {"retry": True}),
    ]
    assert peer.pipe.expired == 2
    peer.ask(deadline=102.0)
    peer.flush()
    peer.pipe.expire(103.0, up=False)
    assert peer.answers[2] == Failure(3, 503, "lost the link to chat-1", LOST)


def test_a_new_life() -> None:
    peer = Peer()
    once, again = peer.ask(), peer.ask(IDEMPOTENT)
    peer.flush()
    peer.written()
    waits = peer.ask()
    peer.pipe.tell(Reply(5, b"to the life before"))
    peer.pipe.relink(102.0, same_life=False)
    assert peer.answers == [Failure(once, 503, "lost the link to chat-1", LOST)]
    peer.flush()
    resent, waited = peer.written()
    assert isinstance(resent, Request)
    assert isinstance(waited, Request)
    assert [resent.id, waited.id] == [again, waits]
    assert (resent.budget_ms, waited.budget_ms) == (3000, 3000)
    assert (peer.pipe.resent, peer.pipe.dropped) == (1, 1)


def test_the_same_life_again() -> None:
    peer = Peer()
    once, again = peer.ask(), peer.ask(IDEMPOTENT)
    peer.flush()
    peer.written()
    waits = peer.ask()
    peer.pipe.tell(Cast("kept", b""))
    peer.pipe.relink(102.0, same_life=True)
    assert peer.answers == []
    peer.flush()
    envelopes = peer.written()
    assert [e.id for e in envelopes if isinstance(e, Request)] == [again, waits]
    assert Cast("kept", b"") in envelopes
    peer.pipe.answer(Reply(once, b""))
    assert peer.answers == [Reply(once, b"")]


def test_links_that_break_before_anything_is_written() -> None:
    """Nothing is doubled and nothing is lost, however often the link is made anew."""
    peer = Peer()
    again = peer.ask(IDEMPOTENT)
    peer.flush()
    peer.written()
    waits = peer.ask(IDEMPOTENT)
    for same_life in (True, False, True):
        peer.pipe.relink(101.0, same_life=same_life)
    peer.flush()
    assert peer.written_ids() == [again, waits]


def test_gone_for_good() -> None:
    peer = Peer()
    written = peer.ask(IDEMPOTENT)
    peer.flush()
    waits = peer.ask()
    peer.pipe.tell(Cast("m", b""))
    peer.pipe.abandon()
    assert peer.answers == [
        Failure(written, 503, "lost the link to chat-1", LOST),
        Failure(waits, 503, "could not reach chat-1", {"retry": True}),
    ]
    assert (peer.pipe.held, peer.pipe.waiting, peer.pipe.dropped) == (0, False, 1)


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens: each question has one answer, bytes are counted right, order is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.peer = Peer(Limits(queue_bytes=3000, batch_bytes=300))
        self.now = 100.0
        self.asked: dict[int, int] = {}
        self.on_wire: list[int] = []

    @rule(kind=st.sampled_from([0, NOTIFY, IDEMPOTENT]), size=st.integers(0, 400))
    def ask(self, kind: int, size: int) -> None:
        deadline = self.now + 1.0 + size / 200
        self.asked[self.peer.ask(kind, deadline, bytes(size))] = kind

    @rule(size=st.integers(0, 400))
    def tell(self, size: int) -> None:
        self.peer.pipe.tell(Cast("m", bytes(size)))

    @rule(writable=st.booleans())
    def flush(self, writable: bool) -> None:
        self.peer.writable = writable
        assert self.peer.flush(self.now) == (writable or not self.peer.pipe.waiting)
        self.on_wire += self.peer.written_ids()

    @precondition(lambda self: self.on_wire)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        self.peer.pipe.answer(Reply(data.draw(st.sampled_from(self.on_wire)), b""))

    @rule(seconds=st.floats(0.0, 2.0), up=st.booleans())
    def wait(self, seconds: float, up: bool) -> None:
        self.now += seconds
        self.peer.pipe.expire(self.now, up=up)

    @rule(same_life=st.booleans())
    def relink(self, same_life: bool) -> None:
        self.peer.pipe.relink(self.now, same_life=same_life)

    @invariant()
    def within_bounds(self) -> None:
        assert 0 <= self.peer.pipe.held <= 3000
        assert self.peer.pipe.unanswered == self.peer.pipe._pending.requests

    @invariant()
    def answered_once(self) -> None:
        ids = [answer.id for answer in self.peer.answers]
        assert len(ids) == len(set(ids))

    @invariant()
    def only_what_is_idempotent_is_written_twice(self) -> None:
        for number, kind in self.asked.items():
            if kind != IDEMPOTENT:
                assert self.on_wire.count(number) <= 1

    @invariant()
    def a_promise_to_have_done_nothing_is_kept(self) -> None:
        for answer in self.peer.answers:
            if isinstance(answer, Failure) and answer.fields.get("retry"):
                assert answer.id not in self.on_wire

    def teardown(self) -> None:
        self.peer.pipe.abandon()
        unheard = {number for number, kind in self.asked.items() if kind == NOTIFY}
        answered = {answer.id for answer in self.peer.answers}
        assert self.asked.keys() - unheard <= answered
        assert self.peer.pipe.held == 0


AnyOrder.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestAnyOrder = AnyOrder.TestCase
