"""What zchat must reach, measured and judged: each goal says by how much it is missed.

The numbers are those of the goals in docs/topics/performance.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from bench.contenders import ROOT, Contender, Floor, Supervised
from bench.load import Work
from bench.peers import Nats, Pomelo
from bench.points import MANY_ROOMS, ONE_ROOM, Line, Meter, Pair, own_us, p50, p99, running
from bench.report import ratio_of
from bench.sweeps import CONNECTORS, MEMBERS, ROOMS, Point, Sweep

CROWD = 500
"""People who enter one room, one after the other."""

COME_BACK_WITHIN = 600.0
"""Seconds that this measurement may take."""

SPREAD = 1.2
"""How far the greatest ratio to the floor may be from the least where cost stays flat."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure and its bound."""

    number: str
    what: str
    value: float
    bound: float
    unit: str
    least: bool = False
    """Whether the bound is the least that is wanted, not the most."""

    @property
    def reached(self) -> bool:
        """Whether the figure is within its bound."""
        return self.value >= self.bound if self.least else self.value <= self.bound

    def __str__(self) -> str:
        wanted = f"{'at least' if self.least else 'at most'} {_shown(self.bound)} {self.unit}"
        missed = abs(self.value - self.bound) / self.bound if self.bound else 1.0
        verdict = "reached" if self.reached else f"MISSED by {missed:.0%}"
        return (
            f"{self.number:3} {self.what}: {_shown(self.value)} {self.unit} ({wanted}): {verdict}"
        )


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def judge(
    meter: Meter, lines: Sequence[Line], points: Sequence[Point]
) -> tuple[list[Goal], list[str]]:
    """All goals that this run can judge, and why the others were not judged.

    Args:
        points: of the sweeps; none where the form is quick.
    """
    by_name = {line.name: line for line in lines}
    ours = by_name[Supervised.name]
    questions: list[tuple[str, Callable[[], Iterator[Goal]]]] = [
        ("1", lambda: _one_room(meter, ours)),
        ("2", lambda: _many_rooms(ours, by_name.get(Nats.name))),
        ("3", lambda: _connections(ours)),
        ("4", lambda: _crowd(meter)),
        ("6", lambda: _lone_message(meter)),
    ]
    if points:
        questions += [
            ("3d", lambda: _come_back(meter)),
            ("5a", lambda: _flat("5a", MEMBERS, 100, points)),
            ("5b", lambda: _flat("5b", ROOMS, 10, points)),
            ("5c", lambda: _flat("5c", CONNECTORS, 1, points)),
            ("5d", lambda: _overload(meter, ours)),
            ("7", lambda: _fairness(meter)),
        ]
    goals: list[Goal] = []
    unknown: list[str] = []
    for number, ask in questions:
        try:
            goals.extend(ask())
        except Exception as error:
            unknown.append(f"{number:3} not judged: {type(error).__name__}: {error}")
    return sorted(goals, key=lambda goal: goal.number), unknown


def _one_room(meter: Meter, ours: Line) -> Iterator[Goal]:
    # 50 messages per second: each is sent before the next one comes.
    work = ONE_ROOM.work(meter.form, rate=50)
    with running(Supervised()) as zchat:
        pairs = [
            Pair(meter.load(zchat, "goal 1", work), meter.load(meter.floor, "goal 1", work))
            for _ in range(meter.form.pairs)
        ]
    yield Goal("1a", "1 room x 1,000, nothing coalesces", ratio_of(pairs), 1.25, "x floor")
    best = ours.saturation[ONE_ROOM.name]
    yield Goal("1b", "at saturation", best["deliveries_per_s"], 700_000, "/s", least=True)
    yield Goal("1c", "cost there", own_us(best), 2.0, "us")
    yield Goal("1d", "p99 there", p99(best), 250, "ms")


def _many_rooms(ours: Line, nats: Line | None) -> Iterator[Goal]:
    name = MANY_ROOMS.name
    yield Goal("2a", "100 rooms x 20 at half load", ratio_of(ours.half[name]), 2.0, "x floor")
    most = ours.saturation[name]["deliveries_per_s"]
    if nats and name in nats.saturation:
        bound = nats.saturation[name]["deliveries_per_s"]
        yield Goal("2b", "saturation, and NATS's", most, bound, "/s", least=True)
    yield Goal("2c", "p50 at a quarter of it", p50(ours.quarter[name]), 3, "ms")
    yield Goal("2d", "p99 at a quarter of it", p99(ours.quarter[name]), 15, "ms")


def _connections(ours: Line) -> Iterator[Goal]:
    result = ours.connections
    if not result:
        raise RuntimeError("connections were not measured")
    count = f"{result['ready']:,} connections"
    yield Goal("3a", f"{count}: memory each", result["rss_per_conn"], 6_000, "bytes")
    yield Goal("3b", "idle, all processes together", 100 * result["server_cores"], 1, "% of a core")
    yield Goal("3c", "connect + handshake + enter", result["connect_cpu_us_per_conn"], 500, "us")


def _come_back(meter: Meter) -> Iterator[Goal]:
    people = meter.form.connections
    words = ["--people", str(people), "--rooms", str(people // 20), "--idle", "1", "--rounds", "1"]
    ended = subprocess.run(
        [sys.executable, "-m", "bench.connections", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COME_BACK_WITHIN,
    )
    print(ended.stdout, flush=True)
    found = re.search(r"^CPU per client cut off and back +([\d.]+) us", ended.stdout, re.MULTILINE)
    if not found:
        raise RuntimeError((ended.stderr or ended.stdout)[-300:])
    what = f"{people // 2:,} are dropped at once and come back, each"
    yield Goal("3d", what, float(found[1]), 1_500, "us")


def _crowd(meter: Meter) -> Iterator[Goal]:
    costs = {}
    Pomelo.needs.install()
    for contender in (Pomelo(), Supervised()):
        with running(contender):
            begun = contender.cpu()
            meter.load(contender, "goal 4", Work(CROWD, 1, 0, seconds=1.0))
            costs[contender.name] = contender.cpu() - begun
    part = costs[Supervised.name] / costs[Pomelo.name]
    yield Goal("4", f"{CROWD} people enter one room", part, 0.25, "x Pomelo's CPU")


def _lone_message(meter: Meter) -> Iterator[Goal]:
    with running(Supervised()) as zchat:
        talk = Work(2, 1, 1, rate=5, seconds=2 * meter.form.seconds, poll=0)
        latencies = [p50(meter.load(zchat, "goal 6", talk)) for _ in range(meter.form.pairs)]
        idle = meter.load(zchat, "goal 6, idle", Work(2, 1, 0, seconds=5.0))
    busiest = max(process["sched_s"] for process in idle["procs"]) / idle["window_s"]
    yield Goal("6a", "a lone message, median", median(latencies), 2, "ms")
    yield Goal("6b", "the busiest idle process", 100 * busiest, 1, "% of a core")


def _flat(number: str, sweep: Sweep, least: int, points: Sequence[Point]) -> Iterator[Goal]:
    cost = {(point.name, point.x): point.us for point in points if point.sweep == sweep.name}
    sizes = [size for size in sweep.sizes if size >= least]
    pairs = [(cost.get((Supervised.name, size)), cost.get((Floor.name, size))) for size in sizes]
    ratios = [own / floor for own, floor in pairs if own and floor]
    if len(ratios) < len(sizes):
        raise RuntimeError(f"{len(ratios)} of {len(sizes)} points for {sweep.unit} were measured")
    what = f"flat from {sizes[0]:,} to {sizes[-1]:,} {sweep.unit}: greatest ratio by least"
    yield Goal(number, what, max(ratios) / min(ratios), SPREAD, "x")


def _overload(meter: Meter, ours: Line) -> Iterator[Goal]:
    """Twice saturation, for a while and for three times as long: memory must not follow."""
    rate = 2 * ours.saturation[MANY_ROOMS.name]["deliveries_per_s"] / 20
    grown = []
    for seconds in (3.0, 9.0):
        with running(Supervised()) as zchat:
            work = MANY_ROOMS.work(meter.form, rate=rate, seconds=seconds)
            result = meter.load(zchat, f"goal 5, overload {seconds:g} s", work)
        grown.append(result["rss_end"] - result["rss_connected"])
    yield Goal("5d", "memory grown in 9 s of overload, by 3 s", grown[1] / grown[0], 1.5, "x")


def _fairness(meter: Meter) -> Iterator[Goal]:
    """A room of two while a room of 5,000 on the same connector is flooded."""
    flood = Work(5_000, 1, 1, window=4, seconds=40.0, entry=150.0)
    quiet = Work(2, 1, 1, rate=20, seconds=5.0, warmup=2.0, poll=0)
    with running(Supervised(connectors=1)) as zchat, ThreadPoolExecutor(1) as pool:
        flooded = pool.submit(meter.load, zchat, "goal 7, the room of 5,000", flood)
        while _descriptors(zchat) < flood.people and not flooded.done():
            time.sleep(0.1)
        time.sleep(5.0)  # until the last ones have been let in and announced
        if flooded.done():
            raise RuntimeError(f"the flood ended early: {flooded.result()}")
        result = meter.load(zchat, "goal 7, the room of two", quiet)
    yield Goal("7", "p99 of a room of 2 beside one of 5,000 at full rate", p99(result), 50, "ms")


def _descriptors(contender: Contender) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in contender.pids)
