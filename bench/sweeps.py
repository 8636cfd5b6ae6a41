"""How cost changes with size: the points of the pictures, and of the goal that it stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.contenders import Contender, Supervised
from bench.load import Work
from bench.points import MANY_ROOMS, Meter, Result, is_borne, own_us, p99, running

TOGETHER = 20_000
"""Deliveries per second of the sweep over members: each server can do it, and nothing coalesces."""

LATE = 1_000.0
"""Milliseconds of p99 with which a point still counts: cost is asked for, not latency."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement of a sweep."""

    sweep: str
    name: str
    """The contender's."""
    x: float
    us: float
    """Server CPU in microseconds: per delivery, or per connection where nobody talks."""
    p99: float
    """Milliseconds; 0 where nobody talks."""
    kilobytes: float
    """Growth of resident memory per connection."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One thing that grows while the rest stays."""

    name: str
    unit: str
    """Of the horizontal axis."""
    sizes: Sequence[int]
    work: Callable[[int], Work]
    fresh: bool = False
    """Whether each point needs a contender that was just started."""


MEMBERS = Sweep(
    "members",
    "members of the room",
    (10, 100, 1_000, 10_000),
    lambda size: Work(size, 1, 1, rate=TOGETHER / size, entry=150.0),
)
ROOMS = Sweep(
    "rooms",
    "rooms of two",
    (10, 100, 1_000, 5_000),
    lambda size: Work(2 * size, size, 2, rate=2_000, entry=150.0),
)
CONNECTIONS = Sweep(
    "connections",
    "connections in rooms of 20",
    (500, 2_000, 5_000, 10_000),
    lambda size: Work(size, size // 20, 0, seconds=2.0, entry=150.0),
    fresh=True,
)
LOAD = Sweep(
    "load",
    "messages per second, each to 20 people",
    (50, 100, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000),
    lambda rate: Work(MANY_ROOMS.people, MANY_ROOMS.rooms, MANY_ROOMS.talkers, rate=rate),
)
SWEEPS = (MEMBERS, ROOMS, CONNECTIONS, LOAD)
CONNECTORS = Sweep(
    "connectors",
    "connectors",
    (1, 2, 4),
    lambda _: Work(MANY_ROOMS.people, MANY_ROOMS.rooms, MANY_ROOMS.talkers, rate=1_000),
)


def sweep(meter: Meter, sweeps: Iterable[Sweep], contender: Contender) -> list[Point]:
    """All points of these that the contender can bear; each ends with the first that it cannot."""
    points: list[Point] = []
    for one in sweeps:
        try:
            _sweep(meter, one, contender, points)
        except Exception as error:
            print(f"  {contender.name}: {one.name}: {error}", flush=True)
    return points


def _sweep(meter: Meter, one: Sweep, contender: Contender, points: list[Point]) -> None:
    with ExitStack() as stack:
        for number, size in enumerate(one.sizes):
            if number == 0 or one.fresh:
                stack.close()
                if contender is not meter.floor:  # which runs all the time
                    stack.enter_context(running(contender))
            result = meter.load(contender, f"{one.name}, {size}", one.work(size))
            if not _is_worth(result):
                return
            points.append(_point(one, contender, size, result))


def sweep_connectors(meter: Meter) -> list[Point]:
    """The same load on one connector, two and four, and the floor each time."""
    points: list[Point] = []
    for size in CONNECTORS.sizes:
        work = CONNECTORS.work(size)
        with running(Supervised(connectors=size)) as zchat:
            for contender in (zchat, meter.floor):
                result = meter.load(contender, f"connectors, {size}", work)
                points.append(_point(CONNECTORS, contender, size, result))
    return points


def _is_worth(result: Result) -> bool:
    if result["mode"] == "idle":
        return bool(result["ready"] == result["n"])
    return is_borne(result, LATE)


def _point(one: Sweep, contender: Contender, size: int, result: Result) -> Point:
    idle = result["mode"] == "idle"
    return Point(
        one.name,
        contender.name,
        size,
        result["connect_cpu_us_per_conn"] if idle else own_us(result),
        0.0 if idle else p99(result),
        result["rss_per_conn"] / 1000,
    )
