"""What the checker says of a load.

A load has millions of deliveries, and the members of a room are all shown the same: whoever came in
at the same place and was shown the very same as somebody else need not be judged again. So the
checker is given one of each such group, room by room; all that was said is known to it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

from zchat.ops.load.crowd import Account, Testimony
from zchat.ops.load.plan import Plan
from zchat.testing.checker import SHOWN, check
from zchat.testing.events import (
    Acked,
    Ended,
    Entered,
    Event,
    Journalled,
    Received,
    Refused,
    Sent,
)
from zchat.testing.verdict import Kind, Problem, Verdict


def judge(
    plan: Plan,
    accounts: Sequence[Account],
    journal: Sequence[Journalled] | None = None,
    kept: int | None = None,
) -> Verdict:
    """Judge a load that has come to rest.

    Args:
        plan: of the load.
        accounts: of all its processes.
        journal: what it has at the end; None when it is not looked at.
        kept: publications of each room that the journal is sure to keep.
    """
    events = _by_room(plan, accounts)
    entries: dict[str, list[Journalled]] = {room: [] for room in events}
    for entry in journal or ():
        entries[entry.room].append(entry)
    verdicts = [
        check(found, None if journal is None else entries[room], kept=kept)
        for room, found in events.items()
    ]
    return _together(verdicts, sum(account.received for account in accounts))


def _by_room(plan: Plan, accounts: Sequence[Account]) -> dict[str, list[Event]]:
    """The events of each room, those first that others refer to."""
    events: dict[str, list[Event]] = {room: [] for room in plan.room_names}
    for account in accounts:
        for person in account.people:
            events[plan.room(person.number)] += _said(plan, person)
    for account in accounts:
        for ack in account.acks:
            talker = ack.message % plan.talking
            told = Acked(
                plan.due(ack.message),
                plan.person(talker),
                plan.room(talker),
                plan.id(ack.message),
                ack.epoch,
                ack.offset,
            )
            events[told.room].append(told)
        for refusal in account.refusals:
            talker = refusal.message % plan.talking
            refused = Refused(
                plan.due(refusal.message),
                plan.person(talker),
                plan.room(talker),
                plan.id(refusal.message),
                refusal.why,
            )
            events[refused.room].append(refused)
        for group in _groups(plan, account):
            events[plan.room(group.number)] += _shown(plan, account, group)
    return events


def _said(plan: Plan, person: Testimony) -> Iterator[Event]:
    """What others refer to: all that this person sent."""
    name, room = plan.person(person.number), plan.room(person.number)
    for message in array("I", person.sent):
        yield Sent(plan.due(message), name, room, plan.id(message))


def _groups(plan: Plan, account: Account) -> Iterator[Testimony]:
    """One person of each group that was shown the very same, and everybody who was thrown out."""
    seen = set()
    for person in account.people:
        key = (plan.room(person.number), person.epoch, person.offset, person.shown)
        if person.gone is not None or key not in seen:
            yield person
        if person.gone is None:
            seen.add(key)


def _shown(plan: Plan, account: Account, person: Testimony) -> Iterator[Event]:
    """What this person was shown; each at the time at which it was to be sent."""
    name, room = plan.person(person.number), plan.room(person.number)
    yield Entered(0.0, name, room, person.epoch, person.offset)
    at = 0.0
    for number in array("I", person.shown):
        publication = account.publications[number]
        message = plan.message(publication.id)
        at = at if message is None else plan.due(message)
        yield Received(
            at,
            name,
            room,
            publication.epoch,
            publication.offset,
            publication.id,
            publication.sender,
        )
    if person.gone is not None:
        yield Ended(at, name, room, person.gone)


def _together(verdicts: Sequence[Verdict], received: int) -> Verdict:
    counts: Counter[str] = Counter()
    problems: dict[Kind, list[Problem]] = {}
    for verdict in verdicts:
        counts.update(verdict.counts)
        for problem in verdict.problems:
            problems.setdefault(problem.kind, []).append(problem)
    counts["judged"] = counts["received"]
    counts["received"] = received
    del counts["entered"]  # of each group, one
    shown = [problem for found in problems.values() for problem in found[:SHOWN]]
    told = ("sent", "acks", "refused", "received", "judged", "unacked_journalled", "problems")
    return Verdict(shown, {name: counts[name] for name in told if name in counts})
