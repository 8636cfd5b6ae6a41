"""The events around a problem, for whoever has to find out how it came about."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace

from zchat.testing.events import Counted, Event, Fault, describe
from zchat.testing.verdict import Problem

BESIDE = 6
"""Events of the client's own that are shown before a problem, and after it."""

MENTIONS = 16
"""Events about the publication itself that are shown."""

FAULTS = 5.0
"""Seconds before and after a problem in which faults are shown."""


def with_timelines(problems: Sequence[Problem], events: Sequence[Event]) -> list[Problem]:
    """The problems, each with the events that concern it.

    Args:
        problems: those worth it.
        events: of the whole run, in order.
    """
    rooms: dict[str, list[Event]] = {problem.room: [] for problem in problems}
    faults: list[Event] = []
    for event in events:
        if isinstance(event, Fault):
            faults.append(event)
        elif not isinstance(event, Counted) and event.room in rooms:
            rooms[event.room].append(event)
    zero = events[0].at if events else 0.0
    return [
        replace(problem, timeline=_lines(_around(problem, rooms[problem.room], faults), zero))
        for problem in problems
    ]


def _around(problem: Problem, events: Sequence[Event], faults: Sequence[Event]) -> list[Event]:
    mentions = [e for e in events if problem.id and getattr(e, "id", "") == problem.id]
    own = [e for e in events if problem.client and getattr(e, "client", "") == problem.client]
    anchor = problem.at or (mentions[0].at if mentions else 0.0)
    here = bisect_left(own, anchor, key=lambda event: event.at)
    beside = own[max(here - BESIDE, 0) : here + BESIDE]
    near = [fault for fault in faults if abs(fault.at - anchor) <= FAULTS]
    found = {id(event): event for event in (*mentions[:MENTIONS], *beside, *near)}
    return sorted(found.values(), key=lambda event: event.at)


def _lines(events: Iterable[Event], zero: float) -> tuple[str, ...]:
    return tuple(f"{event.at - zero:10.3f}  {describe(event)}" for event in events)
