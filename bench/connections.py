"""What connections cost: memory, coming in, being idle, and coming back all at once.

    python -m bench.connections [--people 10000] [--rooms 500] [--idle 30] [--rounds 3]

First people enter rooms and are silent (the load generator's `--idle`). Then, on fresh servers, as
many enter again, every second one's connection is cut, the others go on talking, and those who were
cut off come back with the place that they had reached, and get what they missed. CPU is that of all
server processes together; memory is what all of them have grown by (resident), divided by the
connections.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.contenders import Contender, Zchat
from bench.crowd import Crowd, Person
from bench.load import Work, build, measure

_SETTLE = 2.0  # seconds: what is done a moment later belongs to what caused it
_SAID = 10  # messages in each room that those who were cut off miss


@dataclass(frozen=True, slots=True)
class Cost:
    """One round's figures."""

    bytes_each: float
    """Growth of resident memory per connection."""
    enter_us: float
    """CPU per connect, handshake and enter."""
    enter_s: float
    """Until everybody was in."""
    idle_percent: float
    """Of one core, while everybody is silent; in 30 s each client has one heartbeat."""
    return_us: float
    """CPU per client that is cut off and comes back."""
    return_s: float
    """Until everybody was back."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--rooms", type=int, default=500)
    parser.add_argument("--idle", type=float, default=30.0, help="seconds of silence")
    parser.add_argument("--rounds", type=int, default=3, help="the median is printed")
    arguments = parser.parse_args()
    people, rooms = arguments.people, arguments.rooms
    build()
    costs = [_round(people, rooms, arguments.idle) for _ in range(arguments.rounds)]
    print(f"{people} people in {rooms} rooms: median of {len(costs)} rounds, and all of them")
    _print("memory per connection", [cost.bytes_each for cost in costs], "bytes")
    _print("CPU per connect + handshake + enter", [cost.enter_us for cost in costs], "us")
    _print("until all were in", [cost.enter_s for cost in costs], "s")
    _print("CPU while idle", [cost.idle_percent for cost in costs], "% of a core")
    _print("CPU per client cut off and back", [cost.return_us for cost in costs], "us")
    _print(f"until all {people // 2} were back", [cost.return_s for cost in costs], "s")


def _round(people: int, rooms: int, idle: float) -> Cost:
    with Zchat() as contender:
        came = measure(contender, Work(people, rooms, 0, seconds=idle))
    if came["ready"] != people or came["dead"]:
        raise RuntimeError(f"only {came['ready']} of {people} came in")
    with Zchat() as contender:
        crowd = Crowd(contender, people, rooms)
        try:
            crowd.enter(crowd.people)
            return_cpu, return_s, back = _come_back(contender, crowd)
        finally:
            crowd.close()
    return Cost(
        bytes_each=came["rss_per_conn"],
        enter_us=came["connect_cpu_us_per_conn"],
        enter_s=came["connect_s"],
        idle_percent=100 * came["server_cpu_s"] / came["window_s"],
        return_us=1e6 * return_cpu / back,
        return_s=return_s,
    )


def _come_back(contender: Contender, crowd: Crowd) -> tuple[float, float, int]:
    """Cut off and let come back every second one of each room on each frontend.

    Returns:
        The CPU that it took, without the talking meanwhile, in seconds; the seconds from the first
        to the last one's return; and how many they are.

    Raises:
        RuntimeError: somebody did not get what was said meanwhile.
    """
    gone, stayed = _halves(crowd.people)
    crowd.rest(_SETTLE)
    begun = contender.cpu()
    crowd.drop(gone)
    crowd.rest(_SETTLE)
    cost = contender.cpu() - begun
    talkers = {person.room: person for person in stayed}.values()
    for number in range(1, _SAID + 1):
        for person in talkers:
            person.say("x" * 64)
        crowd.hear(stayed, number)
    begun = contender.cpu()
    seconds = crowd.enter(gone)
    crowd.rest(_SETTLE)
    cost += contender.cpu() - begun
    wrong = [person for person in gone if person.missed != _SAID]
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {len(gone)} did not get the {_SAID} they missed")
    return cost, seconds, len(gone)


def _halves(people: Sequence[Person]) -> tuple[list[Person], list[Person]]:
    """Two equal parts, both of which have people of each room on each frontend."""
    halves: tuple[list[Person], list[Person]] = [], []
    seen: dict[tuple[str, tuple[str, int]], int] = {}
    for person in people:
        key = person.room, person.target
        seen[key] = seen.get(key, 0) + 1
        halves[seen[key] % 2].append(person)
    return halves


def _print(what: str, figures: list[float], unit: str) -> None:
    shown = ", ".join(f"{figure:.1f}" for figure in figures)
    print(f"{what:36} {median(figures):9.1f} {unit:12} {shown}")


if __name__ == "__main__":
    main()
