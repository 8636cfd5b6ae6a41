"""The checker's verdict on a load: what is right passes, and what is spoilt is found."""

from __future__ import annotations

from array import array

import pytest

from tests.ops.load.accounts import PLAN, accounts, publications
from zchat.ops.load.crowd import Account
from zchat.ops.load.judge import judge
from zchat.ops.load.person import Refusal
from zchat.ops.load.tape import Publication
from zchat.testing.events import Journalled
from zchat.testing.verdict import Kind


@pytest.fixture
def found() -> list[Account]:
    return accounts()


def journal() -> list[Journalled]:
    return [
        Journalled(PLAN.room(g), p.epoch, p.offset, p.id, p.sender)
        for g, p in enumerate(publications())
    ]


def test_a_good_load_is_well(found: list[Account]) -> None:
    verdict = judge(PLAN, found, journal(), 1000)
    assert verdict.ok, str(verdict)
    assert verdict.counts["sent"] == verdict.counts["acks"] == PLAN.messages
    assert verdict.counts["received"] == 3 * PLAN.messages


def test_who_was_shown_the_same_is_judged_once(found: list[Account]) -> None:
    assert judge(PLAN, found).counts["judged"] == 2 * 9
    found[0].people[1].shown = found[0].people[1].shown[:-4]
    assert judge(PLAN, found).counts["judged"] == 3 * 9 - 1


def spoil(account: Account, person: int, change: list[int]) -> None:
    account.people[person].shown = array("I", change).tobytes()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ([0, 2, 4, 6, 8, 10, 12, 14], Kind.LOST),
        ([0, 2, 6, 8, 10, 12, 14, 16], Kind.LOST),
        ([0, 2, 2, 4, 6, 8, 10, 12, 14, 16], Kind.TWICE),
        ([0, 4, 2, 6, 8, 10, 12, 14, 16], Kind.ORDER),
        ([0, 1, 2, 4, 6, 8, 10, 12, 14, 16], Kind.FORGED),
    ],
)
def test_what_one_person_was_shown_wrongly(
    found: list[Account], change: list[int], kind: Kind
) -> None:
    spoil(found[0], 2, change)
    assert kind in judge(PLAN, found).kinds()


def test_who_was_thrown_out_is_a_problem_and_owed_nothing_more(found: list[Account]) -> None:
    spoil(found[1], 0, [1, 3])
    found[1].people[0].gone = "you read too slowly"
    verdict = judge(PLAN, found)
    assert verdict.kinds() == {Kind.ENDED}
    assert "you read too slowly" in str(verdict)


def test_each_of_those_thrown_out_is_told(found: list[Account]) -> None:
    for person in found[0].people:
        person.gone = "gone"
    assert judge(PLAN, found).counts["problems"] == 3


def test_a_refused_message_must_not_be_there(found: list[Account]) -> None:
    found[0].refusals = [Refusal(found[0].acks.pop().message, "no")]
    assert judge(PLAN, found).kinds() == {Kind.REFUSED}


def test_one_that_nobody_sent(found: list[Account]) -> None:
    found[0].publications[0] = Publication("else", "e", 1, "ann")
    assert Kind.FORGED in judge(PLAN, found).kinds()


def test_one_place_for_each(found: list[Account]) -> None:
    found[1].publications[3] = found[1].publications[3]._replace(offset=50)
    assert Kind.MOVED in judge(PLAN, found).kinds()


def test_the_journal_has_what_was_acknowledged(found: list[Account]) -> None:
    lacking = [entry for entry in journal() if entry.id != PLAN.id(5)]
    assert Kind.UNJOURNALLED in judge(PLAN, found, lacking, 1000).kinds()
