"""What the journal costs: CPU per publication and added latency, for each of its modes.

    python -m bench.journal [--rooms 20] [--in-flight 1000] [--rounds 3] [--seconds 3]

One worker process is sent to in three ways. *People*: clients of a connector, one in each room,
who talk now and then; the latency is what they see. *Over ZeroMQ*: this process sends what a
connector would (`chat.chatHandler.send`), and keeps so many unanswered. *Inside*: coroutines of the
worker itself publish, so that no other process takes part. In the last two nobody is in the rooms:
what the delivery costs is `bench.fanout`'s to say.

All modes run one after the other, several times over, in one go: the machine's speed drifts, so
read the ratios. CPU is that of all the worker's threads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from bench.worker import People, Talkers, Worker

MODES = {
    "none": 'path = ""',
    "off": 'sync = "off"',
    "normal": 'sync = "normal"',
    "full": 'sync = "full"',
}
"""The lines of [journal], by what the table calls them; none: rooms in memory."""

LOW_RATE = 200.0
"""Sends a second, all rooms together."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one round; times in microseconds."""

    low_median: float
    low_p99: float
    low_cpu: float
    rate: float
    """Acknowledged per second."""
    full_median: float
    full_p99: float
    full_cpu: float
    inside_rate: float
    inside_cpu: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--in-flight", type=int, default=1000, help="sends that wait for answers")
    parser.add_argument("--rounds", type=int, default=3, help="the median is printed")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each kind of load")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    arguments = parser.parse_args()
    rounds: dict[str, list[Figures]] = {mode: [] for mode in arguments.modes}
    for _ in range(arguments.rounds):
        for mode, figures in rounds.items():
            figures.append(_measure(MODES[mode], arguments))
    print(
        f"one worker, {arguments.rooms} rooms, journal none (memory), off, normal, full; "
        f"median of {arguments.rounds} rounds, x none in brackets"
    )
    for text, figure in ROWS.items():
        print(_row(text, rounds, figure))


def _measure(journal: str, arguments: argparse.Namespace) -> Figures:
    with Worker(journal) as worker:
        inside = _inside(worker, arguments)
        worker.start()
        return asyncio.run(_from_outside(worker, arguments, inside))


def _inside(worker: Worker, arguments: argparse.Namespace) -> dict[str, float]:
    words = [str(arguments.rooms), str(arguments.in_flight), str(arguments.seconds)]
    ended = subprocess.run(
        [sys.executable, "-m", "bench.servers.publisher", *words],
        cwd=worker.folder,
        env=worker.environment(),
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    figures: dict[str, float] = json.loads(ended.stdout)
    return figures


async def _from_outside(
    worker: Worker, arguments: argparse.Namespace, inside: dict[str, float]
) -> Figures:
    low = await _low(worker, arguments)
    high = await _saturated(worker, arguments)
    return Figures(*low, *high, inside["rate"], inside["cpu"])


async def _low(worker: Worker, arguments: argparse.Namespace) -> tuple[float, float, float]:
    people = People(arguments.rooms)
    try:
        await people.enter()
        await people.talk(LOW_RATE, 0.5)
        people.latencies.clear()
        cpu = worker.cpu()
        await people.talk(LOW_RATE, arguments.seconds)
        each = (worker.cpu() - cpu) / len(people.latencies) * 1e6
    finally:
        await people.leave()
    return *_spread(people.latencies), each


async def _saturated(
    worker: Worker, arguments: argparse.Namespace
) -> tuple[float, float, float, float]:
    talkers = Talkers(arguments.rooms)
    talkers.connect()
    try:
        await talkers.keep(arguments.in_flight, 0.5)
        talkers.latencies.clear()
        cpu = worker.cpu()
        rate = await talkers.keep(arguments.in_flight, arguments.seconds)
        each = (worker.cpu() - cpu) / len(talkers.latencies) * 1e6
    finally:
        talkers.close()
    return rate, *_spread(talkers.latencies), each


def _spread(latencies: Sequence[float]) -> tuple[float, float]:
    """Their median and 99th percentile in microseconds."""
    percentiles = quantiles(latencies, n=100)
    return percentiles[49] * 1e6, percentiles[98] * 1e6


ROWS: dict[str, Callable[[Figures], float]] = {
    f"{LOW_RATE:.0f}/s from people: latency, median us": lambda f: f.low_median,
    f"{LOW_RATE:.0f}/s from people: latency, p99 us": lambda f: f.low_p99,
    f"{LOW_RATE:.0f}/s from people: CPU us each": lambda f: f.low_cpu,
    "over ZeroMQ: acknowledged/s": lambda f: f.rate,
    "over ZeroMQ: latency, median us": lambda f: f.full_median,
    "over ZeroMQ: latency, p99 us": lambda f: f.full_p99,
    "over ZeroMQ: CPU us each": lambda f: f.full_cpu,
    "inside: acknowledged/s": lambda f: f.inside_rate,
    "inside: CPU us each": lambda f: f.inside_cpu,
}


def _row(text: str, rounds: dict[str, list[Figures]], figure: Callable[[Figures], float]) -> str:
    first = median(map(figure, next(iter(rounds.values()))))
    cells = [median(map(figure, figures)) for figures in rounds.values()]
    return f"{text:42}" + "".join(f"{cell:10,.0f} ({cell / first:5.2f})" for cell in cells)


if __name__ == "__main__":
    main()
