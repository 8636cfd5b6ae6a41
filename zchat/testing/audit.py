"""Holds the journal against what clients were told: exactly the acknowledged, and maybe a few more.

A publication that was sent and whose acknowledgement never arrived may be in the journal: its
sender did not learn of it, all others did. It is counted, and is no problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf

from zchat.testing.events import Journalled
from zchat.testing.ledger import Ledger
from zchat.testing.verdict import Kind, Problem


def audit(
    ledgers: Mapping[str, Ledger], journal: Iterable[Journalled], kept: int | None
) -> tuple[list[Problem], int]:
    """Compare; what the journal has becomes known to the ledgers.

    Args:
        ledgers: of all rooms, with all that clients said.
        journal: what it has of these rooms at the end, in its order; other rooms are passed over.
        kept: how many publications of a room are sure to be kept; None for all.

    Returns:
        What is wrong, and how many publications are journalled that were never acknowledged.
    """
    by_room: dict[str, list[Journalled]] = {room: [] for room in ledgers}
    for entry in journal:
        if entry.room in by_room:
            by_room[entry.room].append(entry)
    problems: list[Problem] = []
    unacked = 0
    for room, entries in by_room.items():
        ledger = ledgers[room]
        problems += _numbering(entries)
        for entry in entries:
            problems += _known(ledger, entry)
            unacked += entry.id in ledger.sent and entry.id not in ledger.acked
        problems += _acknowledged(ledger, entries, kept)
    return problems, unacked


def _numbering(entries: Sequence[Journalled]) -> list[Problem]:
    """One numbering without holes, and nothing in it twice."""
    problems: list[Problem] = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        before = entries[index - 1] if index else None
        if before and before.epoch == entry.epoch and before.offset + 1 != entry.offset:
            text = f"{entry.room} goes on at {entry.offset} behind {before.offset}"
            problems.append(_problem(Kind.JOURNAL, text, entry))
        if entry.id in seen:
            text = f"{entry.room} has {entry.id} again at {entry.offset}"
            problems.append(_problem(Kind.JOURNAL, text, entry))
        seen.add(entry.id)
    return problems


def _known(ledger: Ledger, entry: Journalled) -> list[Problem]:
    """What is journalled was sent as it is there, and is where clients saw it."""
    sent = ledger.sent.get(entry.id)
    if sent is None or (sent.client, sent.to) != (entry.sender, entry.to):
        text = f"{entry.room} has {entry.id} from {entry.sender}, which nobody sent so"
        return [_problem(Kind.JOURNAL, text, entry)]
    at = ledger.acked[entry.id].at if entry.id in ledger.acked else sent.at
    wrong = ledger.claim(entry.id, entry.epoch, entry.offset, at, "the journal")
    return [] if wrong is None else [wrong]


def _acknowledged(ledger: Ledger, entries: Sequence[Journalled], kept: int | None) -> list[Problem]:
    ids = {entry.id for entry in entries}
    oldest = -inf if kept is None or not entries else entries[-1].offset - kept
    return [
        Problem(
            Kind.UNJOURNALLED,
            f"{ledger.room} {ack.id} at {ack.epoch}:{ack.offset}",
            ledger.room,
            ack.client,
            ack.id,
            ack.at,
        )
        for ack in ledger.acked.values()
        if ack.id not in ids and ack.offset > oldest
    ]


def _problem(kind: Kind, text: str, entry: Journalled) -> Problem:
    return Problem(kind, f"the journal of {text}", entry.room, "", entry.id)
