"""One minute: zchat beside Tornado's `write_message` loop and the floor, in one run.

    python -m bench.quick

For whoever changes the code, and for CI, which prints it: it judges nothing and never fails. Read
the ratios: single figures drift with the machine. One round; `python -m bench` is the real thing.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence

from bench.contenders import Contender, Floor, TornadoLoop, Zchat
from bench.load import Work, build, measure
from bench.points import described, own_us

WORKS = {
    # Tornado's loop can do about 20,000 deliveries per second: all of them do half of that.
    "1 room x 1,000": Work(1_000, 1, 1, rate=10, seconds=2.0, warmup=0.5, drain=3.0),
    "100 rooms x 20, all talk": Work(2_000, 100, 20, rate=500, seconds=2.0, warmup=0.5, drain=3.0),
}


def main() -> None:
    """Measure and print the table."""
    # Who stops it, because it takes too long, ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    begun = time.monotonic()
    build()
    costs = {contender.name: _costs(contender) for contender in (Floor(), TornadoLoop(), Zchat())}
    print("server CPU per delivery in us (x floor)")
    print(f"{'':10}" + "".join(f"{name:>28}" for name in WORKS))
    for name, own in costs.items():
        print(
            f"{name:10}" + "".join(_cell(*pair) for pair in zip(own, costs["floor"], strict=True))
        )
    print(f"{time.monotonic() - begun:.0f} s")


def _costs(contender: Contender) -> Sequence[float | None]:
    """What each work costs; None is one that failed, and the reason is printed."""
    costs: list[float | None] = []
    try:
        with contender:
            for work in WORKS.values():
                result = measure(contender, work)
                print(f"{contender.name:10} {described(result)}", flush=True)
                costs.append(own_us(result))
    except (OSError, RuntimeError) as error:
        print(f"{contender.name}: not measured: {error}", flush=True)
    return costs + [None] * (len(WORKS) - len(costs))


def _cell(own: float | None, floor: float | None) -> str:
    shown = "-" if own is None else f"{own:.1f}"
    ratio = f" ({own / floor:.2f}x)" if own and floor else ""
    return f"{shown + ratio:>28}"


if __name__ == "__main__":
    main()
