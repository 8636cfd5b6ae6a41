"""The work that every contender does, and how what it can bear is found.

    saturation   closed loop: the most deliveries per second; best of several windows, those in
                 which nothing was lost first, and of them those with a p99 under 250 ms
    half         open loop at half of that, or at the greatest part of it that is borne
    quarter      open loop at a quarter, with a generator that wakes up for each message: latency
    connections  people who come in and are silent, from a fresh start

The floor does the same work beside each: at the same rate, but never at more than half of what
it can do itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.contenders import Contender, Floor
from bench.load import Work, measure

Result = dict[str, Any]
"""What the load generator says, and which contender's point it is."""

SLOW = 250.0
"""Milliseconds of p99 past which a load is not borne."""

DELIVERED = 0.95
"""Part of the offered load that must be delivered within its window."""

PARTS = (0.5, 0.3)
"""Of saturation, tried one after the other until one is borne: the `half` of a server that reaches
its saturation only with queues that grow."""

ATTEMPTS = 2
"""Times that a shape is begun; what went wrong the first time is told too."""

_QUIET = 0.15
"""Of a core: a server that uses less has done what the last run left it."""
_QUIET_WITHIN = 6.0


@dataclass(frozen=True, slots=True)
class Form:
    """How thorough a run is. Seconds are those of load in each measurement."""

    name: str
    seconds: float
    warmup: float
    connections: int
    pairs: int
    """Times that zchat and the floor do the same in turn where a goal is judged by the median."""
    repeats: int
    """Times that a peer does each point."""
    drain: float
    """Seconds in which what was sent must have arrived."""
    heartbeats: float
    """Seconds of silence in which zchat's idle cost is measured."""


QUICK = Form("quick", 1.5, 0.6, 2_000, pairs=3, repeats=1, drain=3.0, heartbeats=5.0)
FULL = Form("full", 3.0, 1.0, 10_000, pairs=5, repeats=2, drain=15.0, heartbeats=35.0)


@dataclass(frozen=True, slots=True)
class Shape:
    """People, rooms and talkers."""

    name: str
    title: str
    people: int
    rooms: int
    talkers: int
    windows: tuple[int, ...]
    """Of one talker, tried one after the other, as long as it is fast enough for more."""

    def work(self, form: Form, **rest: Any) -> Work:
        """This, as load; rate or window are to be given."""
        common = {"seconds": form.seconds, "warmup": form.warmup, "drain": form.drain}
        return Work(self.people, self.rooms, self.talkers, **{**common, **rest})


ONE_ROOM = Shape("one room", "1 room x 1,000", 1_000, 1, 1, (4, 32))
MANY_ROOMS = Shape("many rooms", "100 rooms x 20, all talk", 2_000, 100, 20, (1, 4))
SHAPES = (ONE_ROOM, MANY_ROOMS)

FAST = 30_000
"""Deliveries per second from which a bigger window is tried: slower servers only queue it."""

ENOUGH = 8
"""Messages that a measurement at half load has at least."""
LONG = 6.0
"""Seconds that it takes at most for their sake."""


@dataclass(slots=True)
class Pair:
    """A contender's measurement and the floor's, taken one after the other."""

    own: Result
    floor: Result

    @property
    def ratio(self) -> float:
        """Server CPU per delivery, in those of the floor."""
        return float(own_us(self.own) / own_us(self.floor))


@dataclass(slots=True)
class Line:
    """What a contender did: a line of the table."""

    name: str
    title: str
    versions: dict[str, str] = field(default_factory=dict)
    saturation: dict[str, Result] = field(default_factory=dict)
    half: dict[str, list[Pair]] = field(default_factory=dict)
    quarter: dict[str, Result] = field(default_factory=dict)
    connections: Result | None = None
    cpu_seconds: float = 0.0
    """Of its processes, in everything that was measured."""
    problems: list[str] = field(default_factory=list)
    """What could not be measured, and why."""


class Meter:
    """Puts load on contenders, with the floor always there, and keeps every raw result.

    Args:
        floor: running.
        form: how thorough.
    """

    def __init__(self, floor: Floor, form: Form) -> None:
        self.form = form
        self.results: list[Result] = []
        self.floor = floor
        self._saturations: dict[str, Result] = {}

    def load(self, contender: Contender, point: str, work: Work) -> Result:
        """Measure, and wait until the server has done what the run left it.

        Raises:
            RuntimeError: the load generator gave no result.
        """
        measured = measure(contender, work)
        result = {"contender": contender.name, "point": point, **measured, "fan": work.fan}
        self.results.append(result)
        print(f"  {contender.name:16} {point:24} {described(result)}", flush=True)
        wait_until_quiet(contender)
        return result

    def floor_beside(self, shape: Shape, rate: float) -> Result:
        """The floor doing the same, at a rate that it can bear."""
        most = self.floor_saturation(shape)
        rate = min(rate, most["deliveries_per_s"] / 2 / most["fan"])
        return self.load(self.floor, f"{shape.name}, beside", shape.work(self.form, rate=rate))

    def floor_saturation(self, shape: Shape) -> Result:
        """The most that the floor can do; measured when it is asked for first."""
        if shape.name not in self._saturations:
            self._saturations[shape.name] = saturate(self, self.floor, shape)
        return self._saturations[shape.name]


def saturate(meter: Meter, contender: Contender, shape: Shape) -> Result:
    """The best of its windows.

    Raises:
        RuntimeError: nothing was delivered at all, or wrongly.
    """
    found: list[Result] = []
    best = 0.0
    for window in shape.windows:
        work = shape.work(meter.form, window=window)
        found.append(meter.load(contender, f"{shape.name}, window {window}", work))
        reached = found[-1]["deliveries_per_s"]
        if reached < max(FAST, 1.1 * best):
            break
        best = reached
    right = [result for result in found if is_right(result)]
    if not right:
        raise RuntimeError(f"{shape.name}: {described(found[0])}")
    return max(right, key=_merit)


def _merit(result: Result) -> tuple[bool, bool, float]:
    return not result["lost"], p99(result) < SLOW, result["deliveries_per_s"]


def halves(
    meter: Meter, contender: Contender, shape: Shape, saturation: float, repeats: int
) -> list[Pair]:
    """Half load and the floor beside it, several times.

    Args:
        saturation: deliveries per second.
    """
    fan = shape.people / shape.rooms

    def load(part: float) -> Result:
        rate = saturation * part / fan
        seconds = max(meter.form.seconds, min(LONG, ENOUGH / rate))
        work = shape.work(meter.form, rate=rate, seconds=seconds)
        return meter.load(contender, f"{shape.name}, {part:g} of it", work)

    for part in PARTS:
        own = load(part)
        if is_borne(own):
            break
    pairs = [Pair(own, meter.floor_beside(shape, own["rate"]))]
    while len(pairs) < repeats:
        own = load(part)
        pairs.append(Pair(own, meter.floor_beside(shape, own["rate"])))
    return pairs


def quarter(meter: Meter, contender: Contender, shape: Shape, saturation: float) -> Result:
    """Latency at a quarter of that many deliveries per second."""
    work = shape.work(meter.form, rate=saturation / 4 / (shape.people / shape.rooms), poll=0)
    return meter.load(contender, f"{shape.name}, quarter", work)


def connections(meter: Meter, contender: Contender, seconds: float) -> Result:
    """Rooms of 20 who are silent for that long; the contender has to be fresh."""
    people = meter.form.connections
    # Servers that close what is silent while others come in would be measured half empty.
    work = Work(people, people // 20, 0, seconds=seconds, warmup=2.0, entry=150.0)
    return meter.load(contender, f"{people} connections", work)


def measure_line(meter: Meter, contender: Contender, line: Line, is_ours: bool = False) -> None:
    """Everything that a line has; what fails is a problem of the line and ends nothing else.

    Args:
        is_ours: half loads are repeated for a median, latency is measured too, and the idle
            time is long enough for heartbeats where the form is thorough.
    """
    form = meter.form
    for shape in SHAPES:
        for _ in range(ATTEMPTS):
            with noting(line, shape.title), running(contender, line):
                _measure_shape(meter, contender, line, shape, is_ours)
                break
    with noting(line, f"{form.connections} connections"), running(contender, line):
        idle = form.heartbeats if is_ours else form.seconds
        line.connections = connections(meter, contender, idle)


def _measure_shape(
    meter: Meter, contender: Contender, line: Line, shape: Shape, is_ours: bool
) -> None:
    line.saturation[shape.name] = best = saturate(meter, contender, shape)
    reached = best["deliveries_per_s"]
    repeats = meter.form.pairs if is_ours else meter.form.repeats
    line.half[shape.name] = halves(meter, contender, shape, reached, repeats)
    if is_ours:
        line.quarter[shape.name] = quarter(meter, contender, shape, reached)


@contextmanager
def running(contender: Contender, line: Line | None = None) -> Iterator[Contender]:
    """The contender, started afresh; what it used is added to the line."""
    with contender:
        wait_until_quiet(contender)
        begun = contender.cpu()
        try:
            yield contender
        finally:
            if line:
                line.cpu_seconds += contender.cpu() - begun


@contextmanager
def noting(line: Line, what: str) -> Iterator[None]:
    """What goes wrong inside is written down."""
    try:
        yield
    except Exception as error:
        line.problems.append(f"{what}: {error}")
        print(f"  {line.name}: {line.problems[-1]}", flush=True)


def wait_until_quiet(contender: Contender) -> None:
    """Return when it has nothing left to do, or does not become quiet: one that never waits."""
    deadline = time.monotonic() + _QUIET_WITHIN
    used, looked = contender.cpu(), time.monotonic()
    while looked < deadline:
        time.sleep(0.3)
        before, then = used, looked
        used, looked = contender.cpu(), time.monotonic()
        if (used - before) / (looked - then) < _QUIET:
            return


def own_us(result: Result) -> float:
    """Microseconds of server CPU per delivery."""
    return float(result["server_us_per_delivery"])


def p50(result: Result) -> float:
    """Median latency in milliseconds."""
    return float(result["lat_ms"]["p50"])


def p99(result: Result) -> float:
    """99th percentile of latency in milliseconds."""
    return float(result["lat_ms"]["p99"])


def is_right(result: Result) -> bool:
    """Whether everybody got in and stayed, and heard what was for them, once."""
    wrong = ("dup", "misrouted", "dead")
    all_in = result["ready"] == result["n"]
    return all_in and result["deliveries"] > 0 and not any(result[key] for key in wrong)


def is_borne(result: Result, slow: float = SLOW) -> bool:
    """Whether the offered load was delivered, all of it and soon.

    Args:
        slow: milliseconds that the p99 may have.
    """
    offered = result["rate"] * result["fan"]
    delivered = result["deliveries_per_s"] > DELIVERED * offered
    return is_right(result) and not result["lost"] and delivered and p99(result) < slow


def described(result: Result) -> str:
    """The result in a line."""
    keys = ("lost", "dup", "order", "misrouted", "dead")
    said = "".join(f", {key} {result[key]}" for key in keys if result[key])
    if result["mode"] == "idle":
        each = f"{result['rss_per_conn'] / 1000:.1f} kB, {result['connect_cpu_us_per_conn']:.0f} us"
        return f"{result['ready']} in, each {each}; idle {result['server_cores']:.3f} cores{said}"
    pace = f"{result['deliveries_per_s']:9,.0f}/s {own_us(result):6.2f} us"
    return f"{pace}, p50 {p50(result):.1f} ms, p99 {p99(result):.1f} ms{said}"
