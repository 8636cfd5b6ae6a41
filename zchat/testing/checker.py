"""Judges a run: was every acknowledged message shown to everybody it is for, once and in order?

    verdict = check(events, journal, minimums=Minimums(acks=1000, kills=3), grace=5.0)
    assert verdict.ok, str(verdict)

It knows nothing of how the messages got there: it compares what clients did and were shown (see
`events`) with one another, and with the journal. It takes time in proportion to the events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zchat.testing.attendance import Attendance
from zchat.testing.audit import audit
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
from zchat.testing.ledger import Ledger
from zchat.testing.presence import Presence
from zchat.testing.timeline import with_timelines
from zchat.testing.verdict import Kind, Minimums, Problem, Verdict, too_few

SHOWN = 10
"""Problems of each kind that are kept with their timelines; the others are counted."""

GRACES = 2
"""Graces that presence has to settle in after everything is quiet."""


def check(
    events: Sequence[Event],
    journal: Iterable[Journalled] | None = None,
    *,
    minimums: Minimums = Minimums(),  # noqa: B008 (it is frozen)
    grace: float | None = None,
    kept: int | None = None,
) -> Verdict:
    """Judge a run.

    Args:
        events: all of it, in order; each sender's ids are its own. At the end everything has come
            to rest: who is still in a room has had time to be shown all of it.
        journal: what it has at the end, of each room in its order; None when it is not looked at.
        minimums: below which the run is void.
        grace: seconds that a lost client stays a member. Everybody who is there at the end owes a
            PeopleSeen two graces after the last coming, going and fault; None when presence is not
            looked at.
        kept: publications of each room that the journal is sure to keep; None for all.

    Raises:
        ValueError: one id was sent twice: no run can be judged that way.
    """
    return _Check().run(events, journal, minimums, grace, kept)


class _Check:
    """One check: a pass over the events, then what can only be judged at the end."""

    def __init__(self) -> None:
        self._ledgers: dict[str, Ledger] = {}
        self._attendances: dict[tuple[str, str], Attendance] = {}
        self._presences: dict[str, Presence] = {}
        self._problems: dict[Kind, list[Problem]] = {}
        self._counts: Counter[str] = Counter(acks=0, received=0, recoveries=0, problems=0)
        self._quiet = 0.0
        self._steps: dict[type, Callable[[Any], None]] = {
            Sent: self._sent,
            Acked: self._acked,
            Refused: self._refused,
            Received: self._received,
            Entered: self._entered,
            Left: self._left,
            Lost: self._lost,
            Ended: self._ended,
            HistoryLost: self._history_lost,
            PeopleSeen: self._people_seen,
            Fault: self._fault,
            Counted: self._counted,
        }

    def run(
        self,
        events: Sequence[Event],
        journal: Iterable[Journalled] | None,
        minimums: Minimums,
        grace: float | None,
        kept: int | None,
    ) -> Verdict:
        """See `check`."""
        for event in events:
            self._steps[type(event)](event)
        if journal is not None:
            found, self._counts["unacked_journalled"] = audit(self._ledgers, journal, kept)
            for problem in found:
                self._add(problem)
        self._look_for_missing()
        self._look_for_refused()
        if grace is not None:
            for presence in self._presences.values():
                for problem in presence.problems(self._quiet, GRACES * grace):
                    self._add(problem)
        for problem in too_few(self._counts, minimums):
            self._add(problem)
        kept_problems = [problem for found in self._problems.values() for problem in found]
        return Verdict(with_timelines(kept_problems, events), dict(self._counts))

    # What is judged as it comes

    def _sent(self, event: Sent) -> None:
        sent = self._ledger(event.room).sent
        if event.id in sent:
            raise ValueError(f"{event.client} sent {event.id} twice in {event.room}")
        sent[event.id] = event
        self._counts["sent"] += 1

    def _acked(self, event: Acked) -> None:
        ledger = self._ledger(event.room)
        ledger.number(event.epoch)
        self._counts["acks"] += 1
        sent = ledger.sent.get(event.id)
        if sent is None or sent.client != event.client:
            text = f"{event.room} {event.client} is acknowledged {event.id}, which it did not send"
            self._add(_about(Kind.FORGED, text, event))
            return
        ledger.acked.setdefault(event.id, event)
        self._add(ledger.claim(event.id, event.epoch, event.offset, event.at, event.client))

    def _refused(self, event: Refused) -> None:
        self._counts["refused"] += 1
        self._ledger(event.room).refused[event.id] = event

    def _received(self, event: Received) -> None:
        ledger = self._ledger(event.room)
        ledger.number(event.epoch)
        self._counts["received"] += 1
        self._add(self._attendance(event.client, ledger).receive(event))
        sent = ledger.sent.get(event.id)
        if sent is None or sent.client != event.sender:
            text = f"{event.room} {event.client} is shown {event.id} from {event.sender}"
            self._add(_about(Kind.FORGED, text, event))
            return
        if sent.to is not None and not ledger.may_see(event.id, event.client):
            text = f"{event.room} {event.client} is shown {event.id}, for {', '.join(sent.to)}"
            self._add(_about(Kind.STRANGER, text, event))
        self._add(ledger.claim(event.id, event.epoch, event.offset, event.at, event.client))

    def _entered(self, event: Entered) -> None:
        self._counts["entered"] += 1
        if event.recovered is not None:
            self._counts["recoveries" if event.recovered else "not_recovered"] += 1
        attendance = self._attendance(event.client, self._ledger(event.room))
        self._counts["returns_that_did_not_ask"] += attendance.known and event.recovered is None
        self._add(attendance.enter(event))
        self._presence(event.room).came(event.client, event.at)
        if event.people and event.client not in event.people:
            text = f"{event.room} {event.client} came in and is not in the list that it was given"
            self._add(_about(Kind.PRESENCE, text, event))

    def _left(self, event: Left) -> None:
        self._attendance(event.client, self._ledger(event.room)).gone()
        self._presence(event.room).went(event.client, event.at)

    def _lost(self, event: Lost) -> None:
        self._counts["cut_off"] += 1
        self._attendance(event.client, self._ledger(event.room)).gone()
        self._presence(event.room).went(event.client, event.at)

    def _ended(self, event: Ended) -> None:
        self._attendance(event.client, self._ledger(event.room)).gone()
        self._presence(event.room).went(event.client, event.at)
        self._add(_about(Kind.ENDED, f"{event.room} {event.client}: {event.why}", event))

    def _history_lost(self, event: HistoryLost) -> None:
        self._counts["holes_told"] += 1
        self._attendance(event.client, self._ledger(event.room)).history_lost(event)

    def _people_seen(self, event: PeopleSeen) -> None:
        self._presence(event.room).saw(event)

    def _fault(self, event: Fault) -> None:
        self._counts["kills" if event.kind == "kill" else f"fault: {event.kind}"] += 1
        self._quiet = event.at

    def _counted(self, event: Counted) -> None:
        self._counts[event.what] += event.number

    # What is judged at the end

    def _look_for_missing(self) -> None:
        for attendance in self._attendances.values():
            attendance.end()
        for (client, room), attendance in self._attendances.items():
            ledger = self._ledgers[room]
            for epoch, offset in attendance.missing():
                id_ = ledger.places[epoch, offset]
                acked = ledger.acked.get(id_)
                kind, at = (
                    (Kind.HOLE, ledger.sent[id_].at) if acked is None else (Kind.LOST, acked.at)
                )
                text = f"{room} {client} was never shown {epoch}:{offset} ({id_})"
                self._add(Problem(kind, text, room, client, id_, at))

    def _look_for_refused(self) -> None:
        for ledger in self._ledgers.values():
            for event in ledger.refused.values():
                home = ledger.homes.get(event.id)
                if home is not None:
                    text = f"{event.room} {event.id} is at {home[0]}:{home[1]}"
                    self._add(_about(Kind.REFUSED, text, event))

    def _add(self, problem: Problem | None) -> None:
        if problem is None:
            return
        self._counts["problems"] += 1
        found = self._problems.setdefault(problem.kind, [])
        if len(found) < SHOWN:
            found.append(problem)

    def _ledger(self, room: str) -> Ledger:
        ledger = self._ledgers.get(room)
        if ledger is None:
            ledger = self._ledgers[room] = Ledger(room)
        return ledger

    def _attendance(self, client: str, ledger: Ledger) -> Attendance:
        key = (client, ledger.room)
        attendance = self._attendances.get(key)
        if attendance is None:
            attendance = self._attendances[key] = Attendance(client, ledger)
        return attendance

    def _presence(self, room: str) -> Presence:
        presence = self._presences.get(room)
        if presence is None:
            presence = self._presences[room] = Presence(room)
        return presence


def _about(kind: Kind, text: str, event: Acked | Refused | Received | Entered | Ended) -> Problem:
    id_ = "" if isinstance(event, Entered | Ended) else event.id
    return Problem(kind, text, event.room, event.client, id_, event.at)
