"""Who is where, and what is due when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from zchat.ops.load.plan import SLOTS, Plan

PLAN = Plan("b", people=10, rooms=3, rate=2.0, seconds=4.0, warmup=1.0)


def test_people_are_evenly_in_the_rooms() -> None:
    assert [PLAN.size(room) for room in range(3)] == [4, 3, 3]
    assert [PLAN.room(number) for number in range(4)] == ["br0", "br1", "br2", "br0"]
    assert PLAN.room_names == ["br0", "br1", "br2"]
    assert replace(PLAN, rooms=20).room_names == [f"br{number}" for number in range(10)]


def test_all_talk_or_the_first_of_each_room() -> None:
    assert PLAN.talking == 10
    few = replace(PLAN, talkers=2)
    assert few.talking == 6
    assert [few.room(number) for number in range(6)].count("br1") == 2
    assert replace(PLAN, talkers=50).talking == 10


def test_messages_are_due_in_turn() -> None:
    assert PLAN.interval == pytest.approx(0.05)
    assert (PLAN.messages, PLAN.unmeasured) == (100, 20)
    assert PLAN.due(20) == pytest.approx(1.0)


def test_what_is_offered_counts_every_member() -> None:
    assert PLAN.offered == 2.0 * (4 * 4 + 3 * 3 + 3 * 3)
    assert replace(PLAN, talkers=1).offered == 2.0 * (4 + 3 + 3)


@pytest.mark.parametrize("processes", [1, 2, 3, 7, 12])
def test_each_process_says_what_its_people_have_to_say(processes: int) -> None:
    plan = replace(PLAN, talkers=2, processes=processes)
    said = []
    for process in range(processes):
        own = list(plan.messages_of(process))
        assert own == sorted(own)
        assert {message % plan.talking for message in own} <= set(plan.people_of(process))
        said += own
    assert sorted(said) == list(range(plan.messages))
    people = [person for process in range(processes) for person in plan.people_of(process)]
    assert sorted(people) == list(range(plan.people))


def test_ids_lead_back_to_messages() -> None:
    assert [PLAN.message(PLAN.id(number)) for number in (0, 7, 99)] == [0, 7, 99]


@pytest.mark.parametrize("id_", ["", "bm", "bm100", "bmx", "bm-1", "bm²", "cm1", "1"])
def test_other_ids_are_of_no_message(id_: str) -> None:
    assert PLAN.message(id_) is None


@pytest.mark.parametrize(
    ("seconds", "slots", "slot"), [(0.5, 1, 0.5), (4.0, 4, 1.0), (4.5, 4, 1.0), (7200, SLOTS, 30.0)]
)
def test_stretches_of_time(seconds: float, slots: int, slot: float) -> None:
    plan = replace(PLAN, seconds=seconds)
    assert plan.slots == slots
    assert plan.slot == pytest.approx(slot)
