from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from zchat.client.recovery import HISTORY_LOST, Event, Heard, Hole, Recovery
from zchat.errors import ProtocolError
from zchat.rooms.resume import Token
from zchat.rooms.stream import StreamPosition

NEWS = "onNews"


def body(offset: int, epoch: str = "e") -> dict[str, Any]:
    return {"epoch": epoch, "offset": offset, "id": f"{epoch}{offset}"}


def heard(*offsets: int, epoch: str = "e") -> list[Event]:
    return [Heard(NEWS, body(offset, epoch)) for offset in offsets]


def place(offset: int, epoch: str = "e") -> dict[str, Any]:
    return {"epoch": epoch, "offset": offset}


def answer(
    at: int, *missed: int, epoch: str = "e", following: int = 0, recovered: bool | None = True
) -> dict[str, Any]:
    """The answer to a request to be let in; `recovered` None: nobody asked."""
    told: dict[str, Any] = {"position": place(at, epoch), "resume": f"token{at}"}
    if recovered is not None:
        told["recovered"] = recovered
        told["publications"] = [{**body(offset, epoch), "route": NEWS} for offset in missed]
        told["next"] = following
    return told


def page(*offsets: int, epoch: str = "e", following: int = 0) -> dict[str, Any]:
    publications = [{**body(offset, epoch), "route": NEWS} for offset in offsets]
    return {"publications": publications, "more": following > 0, "next": following}


def live(at: int, **options: Any) -> Recovery:
    """Somebody who came in at this offset."""
    recovery = Recovery(**options)
    assert recovery.asking() == {}
    assert recovery.entered(answer(at, recovered=None)) == []
    return recovery


def test_a_newcomer_has_missed_nothing() -> None:
    recovery = live(3)
    assert recovery.position == ("e", 3)
    assert recovery.take(NEWS, body(4)) == heard(4)
    assert recovery.asking() == {"since": place(4), "resume": "token3.1"}


def test_each_attempt_has_a_higher_number() -> None:
    recovery = Recovery(token=Token("mine"))
    assert [recovery.asking()["resume"] for _ in range(3)] == ["mine.1", "mine.2", "mine.3"]
    recovery.entered(answer(3, recovered=None))  # the server gives it another secret
    assert recovery.token == Token("token3", 3)
    recovery.entered({"position": place(3), "recovered": True})
    assert recovery.asking()["resume"] == "token3.4"
    elsewhere = Recovery(token=recovery.token)
    assert elsewhere.asking() == {"resume": "token3.5"}


def test_repeats_are_dropped_and_skips_mean_nothing() -> None:
    recovery = live(3)
    told = [recovery.take(NEWS, body(offset)) for offset in (4, 4, 9, 7, 9, 3, 10)]
    assert told == [heard(4), [], heard(9), [], [], [], heard(10)]
    assert recovery.repeats == 4


def test_pushes_without_a_place_pass() -> None:
    recovery = live(3)
    for said in ({"user": "ann"}, {"user": "ann"}, "text", None, {"epoch": "e", "offset": "4"}):
        assert recovery.take("onNote", said) == [Heard("onNote", said)]
    assert recovery.position == ("e", 3)


def test_who_comes_back_is_told_what_it_missed() -> None:
    recovery = live(3)
    recovery.asking()
    assert recovery.entered(answer(8, 4, 6)) == heard(4, 6)
    assert recovery.position == ("e", 8)
    assert recovery.token.secret == "token8"
    assert recovery.take(NEWS, body(8)) == []
    assert recovery.take(NEWS, body(9)) == heard(9)


def test_pages_come_before_what_is_live() -> None:
    recovery = live(0)
    recovery.asking()
    assert recovery.entered(answer(6, 1, 2, following=2)) == heard(1, 2)
    assert recovery.next == 2
    assert recovery.take(NEWS, body(7)) == []
    assert recovery.take("onNote", {"user": "ann"}) == []
    assert recovery.page(page(3, following=4)) == heard(3)
    assert (recovery.next, recovery.position) == (4, ("e", 4))
    assert recovery.take(NEWS, body(8)) == []
    assert recovery.held == 3
    # A page may reach past our entry: what is there comes live, after what else was held.
    note: list[Event] = [Heard("onNote", {"user": "ann"})]
    assert recovery.page(page(5, 6, 7, 8)) == heard(5, 6) + heard(7) + note + heard(8)
    assert (recovery.next, recovery.held) == (0, 0)


def test_a_loss_between_two_pages() -> None:
    recovery = live(0)
    recovery.asking()
    recovery.entered(answer(6, 1, 2, following=2))
    recovery.page(page(3, following=4))
    assert recovery.asking()["since"] == place(4)  # the 4th is another's


def test_pushes_before_the_answer_are_held() -> None:
    recovery = live(0)
    recovery.asking()
    assert recovery.take(NEWS, body(2)) == []
    assert recovery.take(NEWS, body(3)) == []
    assert recovery.entered(answer(2, 1, 2)) == heard(1, 2, 3)


def test_too_many_pushes_to_hold() -> None:
    recovery = live(0, limit=2)
    recovery.asking()
    recovery.entered(answer(2, 1, following=1))
    for offset in (3, 4, 5, 6):
        assert recovery.take(NEWS, body(offset)) == []
    assert (recovery.behind, recovery.dropped) == (True, 2)
    assert recovery.page(page(2)) == heard(2, 3, 4)
    assert recovery.take(NEWS, body(7)) == []  # or 5 and 6 could not be told any more
    assert recovery.asking()["since"] == place(4)
    assert not recovery.behind
    assert recovery.entered(answer(7, 5, 6, 7)) == heard(5, 6, 7)
    assert recovery.take(NEWS, body(8)) == heard(8)


def test_what_cannot_be_recovered_is_a_hole() -> None:
    recovery = live(3)
    recovery.asking()
    assert recovery.entered(answer(8, recovered=False)) == [Hole("e", 3, 9)]
    assert recovery.take(NEWS, body(9)) == heard(9)


def test_another_epoch_on_coming_back() -> None:
    recovery = live(3)
    recovery.asking()
    assert recovery.entered(answer(2, epoch="f", recovered=False)) == [Hole("f", 0, 3)]
    assert recovery.take(NEWS, body(5)) == []  # a straggler: the hole told of its epoch's end
    assert recovery.take(NEWS, body(3, "f")) == heard(3, epoch="f")
    assert recovery.repeats == 1


def test_a_room_that_went_back_begins_there() -> None:
    recovery = live(9)
    recovery.asking()
    assert recovery.entered(answer(4, recovered=False)) == [Hole("e", 4, 5)]
    assert recovery.take(NEWS, body(5)) == heard(5)


def test_a_server_that_does_not_say_whether_it_recovered() -> None:
    recovery = live(3)
    recovery.asking()
    assert recovery.entered(answer(3, recovered=None)) == []
    recovery.asking()
    assert recovery.entered(answer(4, recovered=None)) == [Hole("e", 3, 5)]


def test_a_server_that_numbers_nothing() -> None:
    recovery = Recovery()
    for _ in range(2):
        assert recovery.asking() == {}
        assert recovery.take(NEWS, {"n": 1}) == [Heard(NEWS, {"n": 1})]
        assert recovery.entered({"users": []}) == []
        assert recovery.take(NEWS, {"n": 2}) == [Heard(NEWS, {"n": 2})]


def test_what_has_no_place_is_told_before_an_answer_that_may_know_better() -> None:
    recovery = live(3)
    recovery.asking()
    assert recovery.take(NEWS, body(4)) == []
    assert recovery.take("onNote", {"user": "ann"}) == [Heard("onNote", {"user": "ann"})]
    assert recovery.entered(answer(4, 4)) == heard(4)
    recovery.asking()
    recovery.entered(answer(9, 5, following=5))
    assert recovery.take("onNote", {"user": "bob"}) == []
    assert recovery.page(page(6)) == [*heard(6), Heard("onNote", {"user": "bob"})]


def test_a_push_of_another_epoch() -> None:
    recovery = live(3)
    assert recovery.take(NEWS, body(1, "f")) == [Hole("f", 0, 1), *heard(1, epoch="f")]
    assert recovery.take(NEWS, body(4)) == []
    assert recovery.take(NEWS, body(2, "f")) == heard(2, epoch="f")
    recovery.asking()
    assert recovery.entered(answer(5, recovered=False)) == [Hole("e", 0, 6)]  # the first again
    assert recovery.take(NEWS, body(6)) == heard(6)


@pytest.mark.parametrize(
    ("lost", "told", "position"),
    [
        (("e", 3, 6), [Hole("e", 3, 6)], ("e", 5)),
        (("e", 1, 6), [Hole("e", 3, 6)], ("e", 5)),
        (("e", 4, 6), [Hole("e", 4, 6)], ("e", 5)),
        (("e", 1, 4), [], ("e", 3)),
        (("f", 0, 1), [Hole("f", 0, 1)], ("f", 0)),
    ],
)
def test_the_server_tells_of_a_hole(
    lost: tuple[str, int, int], told: list[Event], position: tuple[str, int]
) -> None:
    recovery = live(3)
    assert recovery.take(HISTORY_LOST, Hole(*lost)._asdict()) == told
    assert recovery.position == position
    assert recovery.take(HISTORY_LOST, Hole(*lost)._asdict()) == []


def test_a_hole_is_told_in_its_place() -> None:
    recovery = live(0)
    recovery.asking()
    recovery.take(HISTORY_LOST, Hole("e", 2, 5)._asdict())
    recovery.take(NEWS, body(5))
    assert recovery.entered(answer(2, 1, 2)) == [*heard(1, 2), Hole("e", 2, 5), *heard(5)]
    recovery.take(NEWS, body(1, "f"))
    assert recovery.take(HISTORY_LOST, Hole("e", 5, 9)._asdict()) == []  # told by the new epoch


def test_history_that_goes_while_it_is_read() -> None:
    recovery = live(0)
    recovery.asking()
    recovery.entered(answer(6, 1, 2, following=2))
    trimmed = {**page(5, 6), "recovered": False}
    assert recovery.page(trimmed) == [Hole("e", 2, 5), *heard(5, 6)]
    recovery.asking()
    recovery.entered(answer(9, 7, following=7))
    assert recovery.page({**page(12), "recovered": False}) == [Hole("e", 7, 10)]
    assert recovery.position == ("e", 9)
    recovery.asking()
    recovery.entered(answer(12, 10, following=10))
    assert recovery.page({**page(), "recovered": False}) == [Hole("e", 10, 13)]


def test_an_epoch_that_begins_while_history_is_read() -> None:
    recovery = live(0)
    recovery.asking()
    recovery.entered(answer(6, 1, 2, following=2))
    recovery.take(NEWS, body(3, "f"))
    told = recovery.page(page(3, 4, epoch="f", following=4))
    assert told == [Hole("e", 2, 7), Hole("f", 0, 3), *heard(3, epoch="f")]


def test_a_remembered_place() -> None:
    recovery = Recovery(position=StreamPosition("e", 4))
    assert recovery.asking() == {"since": place(4)}
    assert recovery.entered(answer(5, 5)) == heard(5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"position": 7},
        {"position": {"epoch": 1, "offset": 1}},
        {"position": place(3), "publications": {}},
        {"position": place(3), "recovered": True, "publications": [{"route": NEWS}]},
        {"position": place(3), "recovered": True, "publications": [body(2)]},
        {"position": place(3), "next": "2"},
    ],
)
def test_answers_that_make_no_sense(wrong: dict[str, Any]) -> None:
    recovery = live(1)
    recovery.asking()
    with pytest.raises(ProtocolError):
        recovery.entered(wrong)
    recovery.asking()
    assert recovery.entered(answer(3, 2, 3)) == heard(2, 3)


def test_history_that_does_not_get_any_further() -> None:
    recovery = live(0)
    recovery.asking()
    recovery.entered(answer(6, 1, 2, following=2))
    with pytest.raises(ProtocolError, match="goes on after 2"):
        recovery.page(page(following=2))


@pytest.mark.parametrize("said", [{}, None, {"epoch": "e", "after": 1}, {"after": 1, "before": 2}])
def test_a_hole_that_is_not_named(said: Any) -> None:
    with pytest.raises(ProtocolError, match="names no hole"):
        live(1).take(HISTORY_LOST, said)


class OneMember(RuleBasedStateMachine):
    """A room, its journal, a connector and a connection that fails, against one client.

    The client must be told everything that is for it, once and in order, or of a hole where it was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recovery = Recovery(limit=3)
        self.epoch, self.offset = "e0", 0
        self.journal: list[tuple[str, int, bool]] = []  # epoch, offset, whether it is for us
        self.kept = 0  # of the journal, those before have been trimmed
        self.first = -1  # where in the journal the client came in
        self.connected = False
        self.reply: dict[str, Any] | None = None  # on its way to the client
        self.wire: deque[tuple[str, dict[str, Any]]] = deque()
        self.told: list[tuple[str, int]] = []
        self.holes: list[tuple[int, Hole]] = []  # with how many had been told before

    def tell(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Hole):
                self.holes.append((len(self.told), event))
            elif "offset" in event.body:
                assert "route" not in event.body
                self.told.append((event.body["epoch"], event.body["offset"]))
        if events:
            self.judge()

    def push(self, route: str, said: dict[str, Any]) -> None:
        if self.connected:
            self.wire.append((route, said))

    def after(self, offset: int, end: int, count: int) -> tuple[list[dict[str, Any]], int, bool]:
        """What the journal has of this epoch, the offset up to which, and whether it is all."""
        kept = [row for row in self.journal[self.kept :] if row[0] == self.epoch]
        rows = [row for row in kept if offset < row[1] <= end][:count]
        whole = offset >= end or (bool(rows) and rows[0][1] == offset + 1)
        found = [{**body(row[1], row[0]), "route": NEWS} for row in rows if row[2]]
        return found, rows[-1][1] if rows else 0, whole

    @rule(ours=st.booleans(), count=st.integers(1, 4))
    def publish(self, ours: bool, count: int) -> None:
        for _ in range(count):
            self.offset += 1
            self.journal.append((self.epoch, self.offset, ours))
            if ours:
                self.push(NEWS, body(self.offset, self.epoch))

    @rule(back=st.integers(0, 3))
    def repeat(self, back: int) -> None:
        rows = [row for row in self.journal if row[2] and row[0] == self.epoch]
        if back < len(rows):
            self.push(NEWS, body(rows[-1 - back][1], rows[-1 - back][0]))

    @rule()
    def note(self) -> None:
        self.push("onNote", {"user": "ann"})

    @rule(count=st.integers(1, 3))
    def lose_at_the_connector(self, count: int) -> None:
        after = self.offset
        for _ in range(count):
            self.offset += 1
            self.journal.append((self.epoch, self.offset, True))
        self.push(HISTORY_LOST, Hole(self.epoch, after, self.offset + 1)._asdict())

    @rule(keep=st.integers(0, 2))
    def trim(self, keep: int) -> None:
        self.kept = max(self.kept, len(self.journal) - keep)

    @rule(said=st.booleans())
    def begin_an_epoch(self, said: bool) -> None:
        self.epoch, self.offset = f"e{int(self.epoch[1:]) + 1}", 0
        if said:
            self.push(HISTORY_LOST, Hole(self.epoch, 0, 1)._asdict())

    @precondition(lambda self: self.wire)
    @rule()
    def deliver(self) -> None:
        self.tell(self.recovery.take(*self.wire.popleft()))

    @precondition(lambda self: self.connected)
    @rule()
    def disconnect(self) -> None:
        self.connected, self.reply = False, None
        self.wire.clear()

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        self.connected = True
        self.ask()

    @precondition(lambda self: self.reply is None and self.recovery.behind and self.connected)
    @rule()
    def enter_again(self) -> None:
        if not self.recovery.next:
            self.ask()

    def ask(self) -> None:
        asked = self.recovery.asking()
        self.reply = {"position": place(self.offset, self.epoch)}
        if "since" not in asked:
            self.first = len(self.journal)
            return
        since = asked["since"]
        found, last, whole = self.after(since["offset"], self.offset, 2)
        if since["epoch"] != self.epoch or not whole:
            self.reply |= {"recovered": False, "publications": [], "next": 0}
        else:
            following = last if last < self.offset else 0
            self.reply |= {"recovered": True, "publications": found, "next": following}

    @precondition(lambda self: self.reply is not None)
    @rule()
    def let_in(self) -> None:
        assert self.reply is not None
        reply, self.reply = self.reply, None
        self.tell(self.recovery.entered(reply))

    @precondition(lambda self: self.connected and self.reply is None and self.recovery.next)
    @rule()
    def read_page(self) -> None:
        found, last, whole = self.after(self.recovery.next, self.offset, 2)
        following = last if last < self.offset else 0
        answered = {"publications": found, "next": following}
        self.tell(self.recovery.page(answered if whole else answered | {"recovered": False}))

    def judge(self) -> None:
        """Told once and in order; and what was left out before the last that was told is in a
        hole that was told before it."""
        order = {row[:2]: index for index, row in enumerate(self.journal)}
        indices = [order[row] for row in self.told]
        assert indices == sorted(set(indices))
        known = set(self.told)
        for epoch, offset, ours in self.journal[self.first : indices[-1] if indices else 0]:
            if ours and (epoch, offset) not in known:
                following = sum(index < order[epoch, offset] for index in indices)
                holes = [hole for told, hole in self.holes if told <= following]
                assert any(self.covers(hole, epoch, offset) for hole in holes), (
                    f"{epoch} {offset} was not told"
                )

    @staticmethod
    def covers(hole: Hole, epoch: str, offset: int) -> bool:
        inside = hole.epoch == epoch and hole.after < offset < hole.before
        return inside or (hole.after == 0 and int(epoch[1:]) < int(hole.epoch[1:]))

    def teardown(self) -> None:
        """When all is quiet the client has everything."""
        if not self.connected:
            self.connect()
        while self.reply is not None or self.recovery.next or self.recovery.behind or self.wire:
            if self.wire:
                self.deliver()
            elif self.reply is not None:
                self.let_in()
            elif self.recovery.next:
                self.read_page()
            else:
                self.ask()
        self.publish(True, 1)
        self.deliver()
        assert self.told[-1] == (self.epoch, self.offset)
        self.judge()


TestOneMember = OneMember.TestCase
TestOneMember.settings = settings(max_examples=60, stateful_step_count=30)
