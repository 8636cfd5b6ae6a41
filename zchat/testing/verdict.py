"""What a checker says of a run: what is wrong, what was counted, and whether it tried enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum


class Kind(StrEnum):
    """What can be wrong."""

    LOST = "acknowledged but not received"
    HOLE = "a hole that nobody was told of"
    TWICE = "received twice"
    ORDER = "received in another order"
    EARLY = "received from before it came"
    FORGED = "received but never sent"
    REFUSED = "refused and published all the same"
    STRANGER = "received by somebody it is not for"
    CLASH = "one place, two publications"
    MOVED = "one publication, two places"
    UNJOURNALLED = "acknowledged but not in the journal"
    JOURNAL = "the journal is not one numbering of what was sent"
    PRESENCE = "presence has not settled"
    ENDED = "thrown out"
    VOID = "the run is void"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    kind: Kind
    text: str
    room: str = ""
    client: str = ""
    """Who noticed; empty when it is nobody's alone."""
    id: str = ""
    at: float = 0.0
    """When it happened; seconds of the events' clock."""
    timeline: tuple[str, ...] = ()
    """The events that concern it, and what happened beside them."""

    def __str__(self) -> str:
        return "\n".join([f"{self.kind}: {self.text}", *(f"    {line}" for line in self.timeline)])


@dataclass(frozen=True, slots=True)
class Minimums:
    """What must have happened for a run to prove anything; a run with less is void."""

    acks: int = 0
    recoveries: int = 0
    """Clients that came back and were answered `recovered: true`."""
    kills: int = 0
    """Faults of kind `kill`."""
    repaired: int = 0
    """Counted: publications that frontends fetched because their frames did not come."""
    refused_appends: int = 0
    """Counted: batches that the journal refused because the ring had changed."""
    owner_changes: int = 0
    """Counted: changes of the ring."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run proves."""

    problems: Sequence[Problem]
    """The first of them, with timelines."""
    counts: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def kinds(self) -> set[Kind]:
        """What is wrong."""
        return {problem.kind for problem in self.problems}

    def __str__(self) -> str:
        """Problems first, then the counts."""
        shown = [str(problem) for problem in self.problems]
        more = self.counts.get("problems", 0) - len(shown)
        if more > 0:
            shown.append(f"... and {more} more")
        width = max((len(name) for name in self.counts), default=0)
        counted = [f"{name:<{width}}  {number}" for name, number in self.counts.items()]
        return "\n\n".join([*shown, "\n".join(counted)])


def too_few(counts: Mapping[str, int], minimums: Minimums) -> list[Problem]:
    """Why a run is void."""
    found = []
    for field in fields(minimums):
        number, wanted = counts.get(field.name, 0), getattr(minimums, field.name)
        if number < wanted:
            name = field.name.replace("_", " ")
            found.append(Problem(Kind.VOID, f"{number} {name}; at least {wanted} are needed"))
    return found
