"""CPU time per delivery in one room: zchat next to Tornado's `write_message` loop and the floor.

    python -m bench.fanout [--people 1000] [--pairs 3]

All three run one after the other, several times over, in one go: the machine's speed drifts, so
read the ratios. Server CPU is that of all the contender's processes together. Nothing coalesces at
these rates: each delivery is one message.
"""

from __future__ import annotations

import argparse
from statistics import median

from bench.contenders import Contender, Floor, TornadoLoop, Zchat
from bench.load import Work, build, measure

FLOOR = Floor.name


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=1000, help="members of the room")
    parser.add_argument("--pairs", type=int, default=3, help="rounds; the median is printed")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load in each round")
    arguments = parser.parse_args()
    build()
    contenders: list[tuple[Contender, float]] = [
        # Deliveries per second: about half of what each can do on two cores.
        (Floor(), 50_000),
        (TornadoLoop(), 10_000),
        (Zchat(), 50_000),
    ]
    costs: dict[str, list[float]] = {contender.name: [] for contender, _ in contenders}
    for _ in range(arguments.pairs):
        for contender, deliveries in contenders:
            rate = deliveries / arguments.people
            work = Work(arguments.people, 1, 1, rate, arguments.seconds)
            costs[contender.name].append(_cost(contender, work))
    _print(arguments.people, costs)


def _cost(contender: Contender, work: Work) -> float:
    """Server CPU per delivery in microseconds.

    Raises:
        RuntimeError: a message was lost, doubled or swapped: its cost would mean nothing.
    """
    with contender:
        result = measure(contender, work)
    wrong = {key: result[key] for key in ("lost", "dup", "order", "misrouted", "dead")}
    if any(wrong.values()):
        raise RuntimeError(f"{contender.name}: {wrong}")
    return float(result["server_us_per_delivery"])


def _print(people: int, costs: dict[str, list[float]]) -> None:
    print(f"one room of {people}: server CPU per delivery, median of {len(costs[FLOOR])} rounds")
    print(f"{'':10} {'us':>7} {'x floor':>8} {'x zchat':>8}   all rounds, us")
    for name, rounds in costs.items():
        to_floor = median(map(_ratio, rounds, costs[FLOOR]))
        to_zchat = median(map(_ratio, rounds, costs[Zchat.name]))
        shown = ", ".join(f"{cost:.1f}" for cost in rounds)
        print(f"{name:10} {median(rounds):7.1f} {to_floor:8.2f} {to_zchat:8.2f}   {shown}")


def _ratio(cost: float, other: float) -> float:
    return cost / other


if __name__ == "__main__":
    main()
