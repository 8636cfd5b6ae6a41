"""The command line of the simulation: seeds in, verdicts out."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.sim import broken, careless, cluster
from tests.sim.story import Run, Story

EVENTS = 2000

KNOWN: tuple[str, ...] = ()
"""Complaints that do not fail a run, because what they are about is not mended: none. They are
counted as `known`."""


def main(arguments: Sequence[str]) -> int:
    """Run seeds; 0 when all went well, 1 when one did not."""
    options = _parser().parse_args(arguments)
    cluster.install()
    if options.broken:
        broken.RULES[options.broken]()
    if options.careless:
        careless.install()
    sys.unraisablehook = _ignore
    gc.disable()
    gc.freeze()
    total: Counter[str] = Counter()
    failed = []
    began = time.process_time()
    for seed in range(options.seed, options.seed + options.count):
        run = make(seed, options.events, options.weather)
        total["known"] += run.excuse(options.known)
        total.update(run.counts)
        total.update(Counter(run.verdict.counts))
        total["runs"] += 1
        if not run.ok:
            failed.append(seed)
            print(report(run, options.timeline, options.careless))
            if len(failed) >= options.failures:
                break
        elif options.timeline:
            print(run.timeline.text())
        if options.digest:
            print(seed, run.timeline.digest)
        del run
        gc.collect()
    spent = time.process_time() - began
    print(summary(total, failed, spent))
    return 1 if failed else 0


def make(seed: int, events: int = EVENTS, weather: Sequence[str] = ()) -> Run:
    """One run.

    Args:
        weather: `name=number` for each part of the weather that the seed does not choose.
    """
    fixed = {name: float(number) for name, _, number in (part.partition("=") for part in weather)}
    story = Story(seed, events, fixed)
    run = story.run()
    for task in asyncio.all_tasks(story.loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    return run


def again(run: Run, careless: bool = False) -> str:
    """The command that makes this run once more."""
    weather = " ".join(f"{name}={number:g}" for name, number in run.fixed.items())
    command = f"PYTHONHASHSEED=0 python -m tests.sim {run.seed} --events {run.events} --timeline"
    if careless:
        command += " --careless"
    return f"{command} --weather {weather}" if weather else command


def report(run: Run, whole: bool, careless: bool = False) -> str:
    """What is wrong with a run, and how to see it again."""
    lines = [f"seed {run.seed} fails:"]
    lines += [f"  {complaint}" for complaint in dict.fromkeys(run.complaints)]
    lines += [f"  {problem}" for problem in run.verdict.problems]
    lines.append(f"  again: {again(run, careless)}")
    if whole:
        lines.append(run.timeline.text())
    return "\n".join(lines)


def summary(total: Counter[str], failed: Sequence[int], spent: float) -> str:
    """What was done, and how fast."""
    shown = "\n".join(f"{name:<40} {number}" for name, number in sorted(total.items()))
    rate = total["events"] / spent if spent else 0.0
    speed = f"{total['events']} events in {spent:.2f} CPU seconds: {rate:.0f} per second"
    ended = f"failed: {', '.join(map(str, failed))}" if failed else "no seed failed"
    return f"{shown}\n{speed}\n{total['runs']} runs, {ended}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("seed", type=int, help="the first")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--events", type=int, default=EVENTS, help="until the storm ends")
    parser.add_argument("--failures", type=int, default=3, help="after how many to give up")
    parser.add_argument("--broken", choices=broken.RULES, help="break a rule of zchat first")
    parser.add_argument("--careless", action="store_true", help="a slow chat that repeats no call")
    parser.add_argument("--weather", nargs="*", default=(), help="ring=0.1 disk=0 ...")
    parser.add_argument("--known", nargs="*", default=KNOWN, help="complaints that are no news")
    parser.add_argument("--timeline", action="store_true", help="print what happened")
    parser.add_argument("--digest", action="store_true", help="print what names the run")
    return parser


def _ignore(unraisable: object) -> None:
    """Killed processes' coroutines are freed at the end, and may protest."""
