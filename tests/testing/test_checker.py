"""The checker passes correct runs, and catches every single thing that can be wrong with one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.testing.histories import GRACE, SPOILS, Ideal, Spoil, correct
from zchat.testing.checker import SHOWN, check
from zchat.testing.events import (
    Acked,
    Counted,
    Ended,
    Entered,
    Event,
    Fault,
    HistoryLost,
    Journalled,
    Left,
    Lost,
    PeopleSeen,
    Received,
    Refused,
    Sent,
)
from zchat.testing.verdict import Kind, Minimums, Verdict

SEEDS = st.integers(0, 2**32)


def judged(ideal: Ideal) -> Verdict:
    return check(ideal.events, ideal.journal, grace=GRACE)


@given(SEEDS)
def test_a_correct_run_passes(seed: int) -> None:
    verdict = judged(correct(seed))
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
@given(seed=SEEDS)
def test_a_spoilt_run_is_caught(spoil: Spoil, seed: int) -> None:
    ideal = correct(seed)
    expected = spoil(ideal)
    if expected:
        verdict = judged(ideal)
        assert verdict.kinds() & expected, f"{expected}: {verdict}"


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_most_runs_can_be_spoilt(spoil: Spoil) -> None:
    assert sum(bool(spoil(correct(seed))) for seed in range(20)) >= 10


# By hand: one rule after the other


class Story:
    """Events written down one a call; the clock goes on by itself."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.journal: list[Journalled] = []

    @property
    def at(self) -> float:
        return float(len(self.events))

    def say(self, name: str, offset: int, to: str = "", epoch: str = "e") -> str:
        """Something sent, acknowledged and journalled; returns its id."""
        id_ = f"{name}{offset}{epoch}"
        audience = (to,) if to else None
        self.events.append(Sent(self.at, name, "r", id_, audience))
        self.events.append(Acked(self.at, name, "r", id_, epoch, offset))
        self.journal.append(Journalled("r", epoch, offset, id_, name, audience))
        return id_

    def enter(
        self, name: str, offset: int, recovered: bool | None = None, epoch: str = "e"
    ) -> None:
        self.events.append(Entered(self.at, name, "r", epoch, offset, recovered))

    def show(self, name: str, *offsets: int, sender: str = "ann", epoch: str = "e") -> None:
        for offset in offsets:
            id_ = f"{sender}{offset}{epoch}"
            self.events.append(Received(self.at, name, "r", epoch, offset, id_, sender))

    def lose(self, name: str) -> None:
        self.events.append(Lost(self.at, name, "r"))

    def leave(self, name: str) -> None:
        self.events.append(Left(self.at, name, "r"))

    def kinds(self) -> set[Kind]:
        return check(self.events, self.journal).kinds()


@pytest.fixture
def story() -> Story:
    story = Story()
    story.enter("ann", 0)
    story.enter("bob", 0)
    return story


def test_what_came_before_the_join_is_not_owed() -> None:
    story = Story()
    story.enter("ann", 0)
    story.say("ann", 1)
    story.show("ann", 1)
    story.enter("bob", 1)
    assert story.kinds() == set()
    story.show("bob", 1)
    assert story.kinds() == {Kind.EARLY}


def test_the_sender_of_a_private_message_may_but_need_not_see_it(story: Story) -> None:
    story.say("ann", 1, to="bob")
    story.show("bob", 1)
    assert story.kinds() == set()
    story.show("ann", 1)
    assert story.kinds() == set()


def test_a_private_message_that_its_target_missed(story: Story) -> None:
    story.say("ann", 1, to="bob")
    assert story.kinds() == {Kind.LOST}


def test_who_is_away_at_the_end_owes_no_more_than_it_was_shown(story: Story) -> None:
    story.say("ann", 1)
    story.show("ann", 1)
    story.lose("bob")
    assert story.kinds() == set()


def test_who_left_owes_what_lies_before_the_last_it_was_shown(story: Story) -> None:
    for offset in (1, 2, 3):
        story.say("ann", offset)
    story.show("ann", 1, 2, 3)
    story.show("bob", 1)
    story.leave("bob")
    assert story.kinds() == set()
    story.events.pop()
    story.show("bob", 3)
    story.leave("bob")
    assert story.kinds() == {Kind.LOST}


def test_who_recovers_has_what_was_said_meanwhile(story: Story) -> None:
    story.lose("bob")
    story.say("ann", 1)
    story.show("ann", 1)
    story.enter("bob", 1, recovered=True)
    assert story.kinds() == {Kind.LOST}
    story.show("bob", 1)
    assert story.kinds() == set()


@pytest.mark.parametrize("answered", [False, None])
def test_who_does_not_recover_begins_anew(story: Story, answered: bool | None) -> None:
    story.lose("bob")
    story.say("ann", 1)
    story.show("ann", 1)
    story.enter("bob", 1, recovered=answered)
    story.say("ann", 2)
    story.show("ann", 2)
    story.show("bob", 2)
    assert story.kinds() == set()
    unasked = check(story.events).counts["returns_that_did_not_ask"]
    assert unasked == (answered is None)


def test_who_comes_back_to_a_room_it_left_may_recover(story: Story) -> None:
    story.leave("bob")
    story.say("ann", 1)
    story.show("ann", 1)
    story.enter("bob", 1, recovered=True)
    assert story.kinds() == {Kind.LOST}


def test_another_epoch_cannot_be_recovered(story: Story) -> None:
    story.lose("bob")
    story.enter("bob", 0, recovered=True, epoch="f")
    assert story.kinds() == {Kind.HOLE}


def test_what_was_told_to_be_lost_is_excused(story: Story) -> None:
    for offset in (1, 2, 3):
        story.say("ann", offset)
    story.show("ann", 1, 2, 3)
    story.events.append(HistoryLost(story.at, "bob", "r", "e", 0, 3))
    story.show("bob", 3)
    assert story.kinds() == set()
    story.events[-2] = HistoryLost(story.at, "bob", "r", "e", 0, 2)
    assert story.kinds() == {Kind.LOST}


def test_a_new_epoch_without_a_word_is_a_hole_when_something_was_missed(story: Story) -> None:
    story.say("ann", 1)
    story.show("ann", 1)
    story.say("ann", 1, epoch="f")
    story.show("ann", 1, epoch="f")
    story.show("bob", 1, epoch="f")
    assert story.kinds() == {Kind.LOST}
    story.events.insert(-1, HistoryLost(story.at, "bob", "r", "f", 0, 1))
    assert story.kinds() == set()


def test_who_never_heard_of_the_last_epoch_missed_it(story: Story) -> None:
    story.say("ann", 1, epoch="f")
    story.show("ann", 1, epoch="f")
    assert story.kinds() == {Kind.LOST}


def test_epochs_come_in_one_order(story: Story) -> None:
    for epoch in ("e", "f"):
        story.say("ann", 1, epoch=epoch)
        story.show("ann", 1, epoch=epoch)
    for epoch in ("f", "e"):
        story.show("bob", 1, epoch=epoch)
    assert Kind.ORDER in story.kinds()


def test_received_but_not_acknowledged_counts_for_the_others(story: Story) -> None:
    story.events.append(Sent(story.at, "ann", "r", "ann1e"))
    story.journal.append(Journalled("r", "e", 1, "ann1e", "ann"))
    story.show("ann", 1)
    assert story.kinds() == {Kind.HOLE}
    story.show("bob", 1)
    verdict = check(story.events, story.journal)
    assert verdict.ok
    assert verdict.counts["unacked_journalled"] == 1


def test_an_ack_for_somebody_else(story: Story) -> None:
    story.events.append(Sent(story.at, "ann", "r", "x"))
    story.events.append(Acked(story.at, "bob", "r", "x", "e", 1))
    assert story.kinds() == {Kind.FORGED}


@pytest.mark.parametrize("journalled", [True, False])
def test_what_is_refused_is_not_published(story: Story, journalled: bool) -> None:
    story.events.append(Sent(story.at, "ann", "r", "x", ("bob",)))
    story.events.append(Refused(story.at, "ann", "r", "x", "bob is not here"))
    assert story.kinds() == set()
    if journalled:
        story.journal.append(Journalled("r", "e", 1, "x", "ann", ("bob",)))
    else:
        story.events.append(Received(story.at, "bob", "r", "e", 1, "x", "ann"))
    assert Kind.REFUSED in story.kinds()


def test_nobody_is_thrown_out(story: Story) -> None:
    story.events.append(Ended(story.at, "bob", "r", "kicked"))
    assert story.kinds() == {Kind.ENDED}


def test_a_publication_under_the_wrong_sender(story: Story) -> None:
    story.say("ann", 1)
    story.show("ann", 1)
    story.events.append(Received(story.at, "bob", "r", "e", 1, "ann1e", "eve"))
    assert Kind.FORGED in story.kinds()


def test_two_at_one_place(story: Story) -> None:
    story.say("ann", 1)
    story.say("bob", 1)
    assert Kind.CLASH in story.kinds()


def test_one_at_two_places(story: Story) -> None:
    story.say("ann", 1)
    story.show("ann", 1)
    story.events.append(Received(story.at, "bob", "r", "e", 2, "ann1e", "ann"))
    assert Kind.MOVED in story.kinds()


def test_the_journal_has_the_acknowledged(story: Story) -> None:
    story.say("ann", 1)
    story.show("ann", 1)
    story.show("bob", 1)
    assert check(story.events, []).kinds() == {Kind.UNJOURNALLED}
    assert check(story.events, None).ok


def test_what_the_journal_has_trimmed_is_not_missed(story: Story) -> None:
    for offset in (1, 2, 3):
        story.say("ann", offset)
        story.show("ann", offset)
        story.show("bob", offset)
    assert check(story.events, story.journal[1:], kept=2).ok
    assert check(story.events, story.journal[1:], kept=3).kinds() == {Kind.UNJOURNALLED}


@pytest.mark.parametrize(
    "entry",
    [
        Journalled("r", "e", 2, "nobody's", "ann"),
        Journalled("r", "e", 2, "ann1e", "ann"),
        Journalled("r", "e", 3, "ann9e", "ann"),
    ],
    ids=["forged", "again", "hole"],
)
def test_a_wrong_journal(story: Story, entry: Journalled) -> None:
    story.say("ann", 1)
    story.show("ann", 1)
    story.show("bob", 1)
    story.journal.append(entry)
    assert Kind.JOURNAL in story.kinds()


def test_the_journal_of_other_rooms_is_passed_over(story: Story) -> None:
    story.journal.append(Journalled("elsewhere", "e", 1, "x", "y"))
    assert story.kinds() == set()


def test_somebody_who_is_not_in_the_list_of_its_own_join() -> None:
    entered = Entered(0.0, "ann", "r", "e", 0, None, ("bob",))
    assert check([entered]).kinds() == {Kind.PRESENCE}


def test_presence_settles_two_graces_after_quiet(story: Story) -> None:
    def look(at: float) -> set[Kind]:
        seen = [PeopleSeen(at, name, "r", ("ann", "bob")) for name in ("ann", "bob")]
        return check([*story.events, *seen], grace=1.0).kinds()

    assert check(story.events, grace=1.0).kinds() == {Kind.PRESENCE}
    assert look(story.at + 2) == set()
    story.events.append(Fault(story.at, "kill", "chat-server-1"))
    assert look(story.at + 0.5) == {Kind.PRESENCE}
    story.lose("bob")
    assert look(story.at + 2) == {Kind.PRESENCE}  # bob is a ghost


def test_a_run_without_enough_of_it_is_void(story: Story) -> None:
    story.say("ann", 1)
    story.show("ann", 1)
    story.show("bob", 1)
    story.events += [Fault(story.at, "kill", "chat-server-1"), Counted(story.at, "repaired", 2)]
    assert check(story.events, minimums=Minimums(acks=1, kills=1, repaired=2)).ok
    for minimums in (
        Minimums(acks=2),
        Minimums(kills=2),
        Minimums(repaired=3),
        Minimums(recoveries=1),
        Minimums(refused_appends=1),
        Minimums(owner_changes=1),
    ):
        assert check(story.events, minimums=minimums).kinds() == {Kind.VOID}


def test_an_id_that_is_no_id(story: Story) -> None:
    story.say("ann", 1)
    story.events.append(Sent(story.at, "bob", "r", "ann1e"))
    with pytest.raises(ValueError, match="bob sent ann1e twice"):
        story.kinds()


def test_many_problems_are_counted_and_some_are_shown(story: Story) -> None:
    for offset in range(1, 101):
        story.say("ann", offset)
    verdict = check(story.events)
    assert len(verdict.problems) == SHOWN
    assert verdict.counts["problems"] == 200


def test_a_problem_comes_with_its_timeline(story: Story) -> None:
    story.say("ann", 1)
    story.events.append(Fault(story.at, "kill", "connector-server-2"))
    story.show("ann", 1)
    text = str(check(story.events))
    assert "acknowledged but not received: r bob was never shown e:1 (ann1e)" in text
    for line in ("ann sends ann1e to all", "kill connector-server-2", "bob is in, behind e:0"):
        assert line in text
