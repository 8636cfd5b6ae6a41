"""zchat beside what a user might pick instead, in one run: the table, the ratios, the goals.

    python -m bench [--full] [--sweeps] [--only NAME ...] [--no-goals] [--out FILE] [--document]

Installs the peers, starts each of them, then zchat as it is shipped and the floor, and loads them
all with the same generator on this machine's loopback interface. The quick form takes less than ten
minutes; --full measures longer and more often, with 10,000 connections, judges all goals, and draws
pictures; --sweeps adds those to the quick form, about three minutes a contender. A peer that cannot
be had or fails is named with the reason, and the run goes on. What was found so far is in the file
of results all the time; --document puts it into README and docs/.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from bench import report
from bench.contenders import ROOT, Contender, Floor, Supervised, TornadoLoop
from bench.goals import Goal, judge
from bench.load import build
from bench.peers import PEERS, Peer
from bench.points import FULL, QUICK, SHAPES, Form, Line, Meter, Pair, measure_line, noting
from bench.sweeps import SWEEPS, Point, sweep, sweep_connectors

RESULTS = ROOT / "bench" / "results"
DOCS = ROOT / "docs"


class Run:
    """One run, and what it has found so far.

    Args:
        form: how thorough.
        path: the file of results.
        sweeps: whether to measure how cost changes with size.
    """

    def __init__(self, form: Form, path: Path, sweeps: bool) -> None:
        self.form = form
        self._sweeps = sweeps
        self.lines: list[Line] = []
        self.points: list[Point] = []
        self.goals: list[Goal] = []
        self.unknown: list[str] = []
        """Goals that could not be judged."""
        self._path = path
        self._machine = report.machine()

    def measure(self, contenders: Sequence[type[Contender]], with_goals: bool) -> None:
        """Everything, one contender after the other."""
        with Floor() as floor:
            meter = Meter(floor, self.form)
            for kind in contenders:
                self._contender(meter, kind)
                self.save(meter)
            self._floor_line(meter)
            if self._sweeps:
                self._sweep(meter, contenders)
                self.save(meter)
            if with_goals and Supervised in contenders:
                self.goals, self.unknown = judge(meter, self.lines, self.points)
            self.save(meter)

    def _contender(self, meter: Meter, kind: type[Contender]) -> None:
        line = Line(kind.name, kind.title)
        self.lines.append(line)
        try:
            if issubclass(kind, Peer):
                kind.needs.install()
                line.versions = kind.needs.versions()
            else:  # it is in this environment, under its own name
                line.versions = {kind.name: metadata.version(kind.name)}
            contender = kind()
        except Exception as error:  # whatever installers do: the others are measured all the same
            line.problems.append(f"{type(error).__name__}: {error}")
            print(f"  {line.name}: {line.problems[-1]}", flush=True)
            return
        measure_line(meter, contender, line, is_ours=kind is Supervised)

    def _floor_line(self, meter: Meter) -> None:
        """The floor at half of what it can do itself, so that the table has its line."""
        line = Line(Floor.name, Floor.title)
        self.lines.append(line)
        for shape in SHAPES:
            with noting(line, shape.title):
                line.saturation[shape.name] = meter.floor_saturation(shape)
                half = meter.floor_beside(shape, float("inf"))
                line.half[shape.name] = [Pair(half, half)]

    def _sweep(self, meter: Meter, contenders: Sequence[type[Contender]]) -> None:
        measured = {line.name for line in self.lines if line.saturation}
        self.points += sweep(meter, SWEEPS, meter.floor)
        for kind in contenders:
            if kind.name in measured:
                self.points += sweep(meter, SWEEPS, kind())
                self.save(meter)
        with noting(self.lines[-1], "connectors"):
            self.points += sweep_connectors(meter)

    def save(self, meter: Meter) -> None:
        """Write down all that there is."""
        found = {
            "form": self.form.name,
            "machine": self._machine,
            "lines": [asdict(line) for line in self.lines],
            "points": [asdict(point) for point in self.points],
            "goals": [asdict(goal) | {"reached": goal.reached} for goal in self.goals],
            "unknown": self.unknown,
            "raw": meter.results,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(found, indent=1))
        self._path.with_suffix(".md").write_text(self.text() + "\n")

    def text(self) -> str:
        """What a person reads."""
        machine = ", ".join(f"{name} {value}" for name, value in self._machine.items())
        remarks = [*report.problems(self.lines), *report.versions(self.lines), machine]
        goals = [str(goal) for goal in self.goals] + self.unknown
        parts = [report.table(self.form, self.lines), report.NOTE, report.fenced(remarks)]
        return "\n\n".join([*parts, report.fenced(goals)] if goals else parts)


def main() -> None:
    """Measure and print."""
    kinds: list[type[Contender]] = [*PEERS, TornadoLoop, Supervised]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all of it; takes about an hour")
    parser.add_argument("--only", nargs="+", choices=[kind.name for kind in kinds], default=[])
    parser.add_argument("--sweeps", action="store_true", help="pictures too, in the quick form")
    parser.add_argument("--no-goals", action="store_true", help="the table only")
    parser.add_argument("--out", type=Path, help="results as JSON, and beside it as Markdown")
    parser.add_argument("--document", action="store_true", help="update README and docs/")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # of the servers, which inherit it
    build()
    form = FULL if arguments.full else QUICK
    path = arguments.out or RESULTS / f"{form.name}.json"
    begun = time.monotonic()
    run = Run(form, path, arguments.full or arguments.sweeps)
    chosen = [kind for kind in kinds if not arguments.only or kind.name in arguments.only]
    run.measure(chosen, with_goals=not arguments.no_goals)
    print(f"\n{run.text()}\n\nraw results: {path}")
    pictures = _draw(run.points, DOCS if arguments.document else path.parent)
    if arguments.document:
        shown = "\n".join(f"![{picture.stem}](../{picture.name})" for picture in pictures)
        report.insert(f"{run.text()}\n\n{shown}".rstrip(), DOCS / "topics" / "performance.md")
        report.insert(report.summary(run.lines), ROOT / "README.md")
    print(f"{(time.monotonic() - begun) / 60:.1f} minutes")


def _draw(points: Sequence[Point], folder: Path) -> Sequence[Path]:
    if not points:
        return []
    try:
        from bench.pictures import draw
    except ImportError as error:
        print(f"no pictures: {error}; `sh tools/install.sh bench` installs what draws them")
        return []
    return draw([asdict(point) for point in points], folder)


if __name__ == "__main__":
    main()
