"""Correct accounts of a small load, for tests to look at and to spoil."""

from __future__ import annotations

from array import array

from zchat.ops.load.crowd import Account, Testimony
from zchat.ops.load.histogram import Histogram
from zchat.ops.load.person import Ack
from zchat.ops.load.plan import Plan
from zchat.ops.load.tape import Publication

PLAN = Plan("b", people=6, rooms=2, rate=1.0, seconds=2.0, warmup=1.0, processes=2)
"""18 messages, of which 6 are the warm-up."""


def publications(plan: Plan = PLAN) -> list[Publication]:
    """Every message, at its place in its room; the rooms take turns."""
    return [
        Publication(plan.id(g), "e", g // plan.rooms + 1, plan.person(g % plan.talking))
        for g in range(plan.messages)
    ]


def accounts(plan: Plan = PLAN) -> list[Account]:
    """Everybody was shown everything, 2 ms after it was due; each process used 40 % of a core."""
    return [_account(plan, process) for process in range(plan.processes)]


def _account(plan: Plan, process: int) -> Account:
    said = list(plan.messages_of(process))
    all_of_them = publications(plan)
    people = [_testimony(plan, number) for number in plan.people_of(process)]
    measured = range(plan.unmeasured, plan.messages)
    arrived = [0] * (plan.slots + 1)
    delivered = [Histogram() for _ in arrived]
    for person in people:
        for g in measured:
            if g % plan.rooms == person.number % plan.rooms:
                slot = int((plan.due(g) - plan.warmup) / plan.slot + 1e-9)
                arrived[slot] += 1
                delivered[slot].add(0.002)
    own = Histogram()
    for g in said:
        if g >= plan.unmeasured:
            own.add(0.001)
    return Account(
        publications=all_of_them,
        people=people,
        acks=[Ack(g, "e", all_of_them[g].offset) for g in said],
        refusals=[],
        failed=0,
        unanswered=0,
        unsent=0,
        received=sum(len(person.shown) // 4 for person in people),
        arrived=arrived,
        delivered=[histogram.counts for histogram in delivered],
        acknowledged=own.counts,
        late=own.counts,
        cpu=0.4,
    )


def _testimony(plan: Plan, number: int) -> Testimony:
    room = [g for g in range(plan.messages) if g % plan.rooms == number % plan.rooms]
    own = [g for g in range(plan.messages) if g % plan.talking == number]
    shown, sent = array("I", room), array("I", own)
    return Testimony(number, "e", 0, shown.tobytes(), sent.tobytes(), None)
