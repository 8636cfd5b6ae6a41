"""All that is known of a load: for programs, and for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from zchat.ops.load.cost import Cost, per_delivery
from zchat.ops.load.crowd import Account
from zchat.ops.load.histogram import Histogram
from zchat.ops.load.plan import Plan
from zchat.testing.verdict import Verdict

PERCENTS = (50.0, 90.0, 99.0, 99.9, 100.0)

BUSY = 0.9
"""Of a core: a process of the generator that uses more of it is a limit itself."""

LATE = 10.0
"""Milliseconds: who sends more than one of a hundred later than this measures itself."""


class Stretch(msgspec.Struct, frozen=True):
    """A second of the load, or more in a long one."""

    at: float
    """Seconds after the warm-up at which it begins."""
    deliveries: float
    """That arrived in it, per second."""
    p50: float
    """Of what was to be sent in it; milliseconds."""
    p99: float
    max: float


class Report(msgspec.Struct, frozen=True):
    """A load and what came of it; latencies in milliseconds, from the intended time of sending."""

    url: str
    plan: Plan
    sent: float
    """Messages a second that were due while it was measured."""
    deliveries: float
    """That arrived while it was measured, per second."""
    delivered: dict[str, float]
    """Latency of deliveries by percent; with `mean`."""
    acknowledged: dict[str, float]
    """The same of answers to senders."""
    late: dict[str, float]
    """How much too late the generator sent; part of the other latencies."""
    curve: list[tuple[float, float]]
    """Latency of deliveries: (percent, within milliseconds), rising."""
    stretches: list[Stretch]
    refused: dict[str, int]
    """Messages that were answered with an error, by its text."""
    unknown: int
    """Messages of which nobody said what became of them."""
    unsent: int
    """Messages that could not be written."""
    gone: int
    """People who were thrown out."""
    servers: list[Cost]
    """Empty when they do not say."""
    cpu: float | None
    """Microseconds of CPU per delivery, of all servers together."""
    generators: list[float]
    """What each process of the generator used, of a core."""
    limits: list[str]
    """Why the generator itself is the limit; empty when it is not."""
    ok: bool
    """Whether the checker found nothing."""
    journal: bool
    """Whether the journal was compared."""
    counts: dict[str, int]
    """What the checker counted."""
    problems: list[str]
    """What it found."""


def report(
    url: str,
    plan: Plan,
    accounts: Sequence[Account],
    servers: Sequence[Cost],
    verdict: Verdict,
    *,
    compared: bool,
) -> Report:
    """Put together what is known.

    Args:
        url: of the gate.
        plan: of the load.
        accounts: of all processes of the generator.
        servers: what they used; empty when they do not say.
        verdict: of the checker.
        compared: whether it had the journal.
    """
    slots = [_merged(a.delivered[slot] for a in accounts) for slot in range(plan.slots + 1)]
    delivered = _merged(histogram.counts for histogram in slots)
    late = _merged(account.late for account in accounts)
    arrived = [sum(numbers) for numbers in zip(*(a.arrived for a in accounts), strict=True)]
    deliveries = sum(arrived[: plan.slots]) / (plan.slots * plan.slot)
    refused: dict[str, int] = {}
    for refusal in (refusal for account in accounts for refusal in account.refusals):
        refused[refusal.why] = refused.get(refusal.why, 0) + 1
    return Report(
        url=url,
        plan=plan,
        sent=len(late) / plan.seconds,
        deliveries=deliveries,
        delivered=_percentiles(delivered),
        acknowledged=_percentiles(_merged(account.acknowledged for account in accounts)),
        late=_percentiles(late),
        curve=_curve(delivered),
        stretches=[_stretch(plan, slot, slots[slot], arrived[slot]) for slot in range(plan.slots)],
        refused=refused,
        unknown=sum(account.failed + account.unanswered for account in accounts),
        unsent=sum(account.unsent for account in accounts),
        gone=sum(1 for a in accounts for person in a.people if person.gone is not None),
        servers=list(servers),
        cpu=per_delivery(servers, deliveries),
        generators=[account.cpu for account in accounts],
        limits=_limits(accounts, late),
        ok=verdict.ok,
        journal=compared,
        counts=dict(verdict.counts),
        problems=[str(problem) for problem in verdict.problems],
    )


def as_json(found: Report) -> dict[str, Any]:
    """The report for programs."""
    built: dict[str, Any] = msgspec.to_builtins(found)
    return built


def table(found: Report) -> str:
    """The report for people: what is wrong first."""
    plan, shown = found.plan, [*found.problems]
    talking = "all talk" if plan.talkers is None else f"{plan.talkers} of each room talk"
    lines = [
        ("load", f"{plan.rooms} rooms, {plan.people} people, {talking}, {plan.rate:g}/s each"),
        ("measured", f"{plan.seconds:g} s after {plan.warmup:g} s, {plan.payload} characters"),
        ("messages", f"{found.sent:,.0f}/s"),
        ("deliveries", f"{found.deliveries:,.0f}/s of {plan.offered:,.0f}/s"),
        ("delivered within", percentiles(found.delivered)),
        ("acknowledged within", percentiles(found.acknowledged)),
        *((f"refused: {why}", str(number)) for why, number in found.refused.items()),
        *_counted(found),
        ("server CPU", _cpu(found)),
        *((cost.id, _cost(cost)) for cost in found.servers),
        ("generator", _generator(found)),
        ("checked", ", ".join(f"{number:,} {name}" for name, number in found.counts.items())),
        ("journal", "compared" if found.journal else "not compared"),
    ]
    width = max(len(name) for name, _ in lines)
    shown.append("\n".join(f"{name:<{width}}  {text}" for name, text in lines))
    shown += [f"THE GENERATOR IS THE LIMIT: {limit}" for limit in found.limits]
    shown.append("all is well" if found.ok else "NOT WELL")
    return "\n\n".join(shown)


def percentiles(latency: dict[str, float]) -> str:
    """One line of latencies."""
    named = {"p100": "max"}
    return ", ".join(f"{named.get(name, name)} {ms(value)}" for name, value in latency.items())


def ms(value: float) -> str:
    """Milliseconds with three digits."""
    return (
        f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
    )


def _counted(found: Report) -> list[tuple[str, str]]:
    counted = [
        ("outcome unknown", found.unknown),
        ("not sent", found.unsent),
        ("thrown out", found.gone),
    ]
    return [(name, f"{number:,}") for name, number in counted if number]


def _cpu(found: Report) -> str:
    if found.cpu is None:
        return "the servers were not asked, or did not say"
    cores = sum(cost.cores for cost in found.servers)
    return f"{found.cpu:.1f} µs per delivery, {cores:.2f} cores"


def _cost(cost: Cost) -> str:
    memory, grown = cost.memory / 2**20, cost.grown / 2**20
    return f"{cost.cores:.2f} cores, {memory:.0f} MiB, {grown:+.0f} MiB since before anybody came"


def _generator(found: Report) -> str:
    used = ", ".join(f"{cpu:.0%}" for cpu in found.generators)
    return f"{used} of a core; sent late by {percentiles(found.late)}"


def _limits(accounts: Sequence[Account], late: Histogram) -> list[str]:
    limits = [
        f"process {number} used {account.cpu:.0%} of a core; try more --processes"
        for number, account in enumerate(accounts, 1)
        if account.cpu > BUSY
    ]
    if late.percentile(99) > LATE:
        limits.append(
            f"one message of a hundred was sent {ms(late.percentile(99))} late or more, because "
            "this machine is busy; load it less, or generate the load on another one (--gate)"
        )
    return limits


def _merged(parts: Iterable[Mapping[int, int]]) -> Histogram:
    merged = Histogram()
    for counts in parts:
        merged.merge(counts)
    return merged


def _percentiles(histogram: Histogram) -> dict[str, float]:
    shown = {f"p{percent:g}": histogram.percentile(percent) for percent in PERCENTS}
    return {"mean": histogram.mean(), **shown}


def _curve(histogram: Histogram) -> list[tuple[float, float]]:
    total = len(histogram)
    return [(100 * upto / total, value) for value, _, upto in histogram.steps()]


def _stretch(plan: Plan, slot: int, histogram: Histogram, arrived: int) -> Stretch:
    return Stretch(
        at=slot * plan.slot,
        deliveries=arrived / plan.slot,
        p50=histogram.percentile(50),
        p99=histogram.percentile(99),
        max=histogram.percentile(100),
    )
