"""The table: what each contender did, with ratios, versions and seconds of CPU."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.points import SHAPES, Form, Line, Pair, Result, Shape, is_borne, own_us, p50, p99

NOTE = """\
us: server CPU per delivery, all processes of the server together, at half of the most that it can
do, or at 30 % where it does not bear half; (x floor): in those of one `send` per delivery in a bare
C loop, which did the same work beside it; then the deliveries per second of that load, its latency
p50/p99, and after the semicolon the most deliveries per second. `*`: the load was not borne:
something was lost or late, or the p99 was over 250 ms."""


def table(form: Form, lines: Iterable[Line]) -> str:
    """As Markdown."""
    heads = [f"{shape.title}: us (x floor) at load, p50/p99; saturation" for shape in SHAPES]
    last = f"{form.connections:,} connections: RSS each, CPU us per connect + join"
    rows = [["server", *heads, last, "CPU s"], ["---"] * 5]
    rows += [_row(line) for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def summary(lines: Iterable[Line]) -> str:
    """The table for who reads on: as Markdown, one figure a cell."""
    heads = [head for shape in SHAPES for head in (shape.title, "most/s")]
    rows = [["server", *heads, "memory of a connection"], ["---", *["--:"] * 5]]
    for line in lines:
        each = line.connections and f"{line.connections['rss_per_conn'] / 1000:.1f} kB"
        cells = [cell for shape in SHAPES for cell in _short(line, shape)]
        rows.append([line.title, *cells, each or "-"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def insert(text: str, page: Path) -> None:
    """Put the text into a page of the documentation, in place of what the last run put there.

    Raises:
        ValueError: the page has no lines `<!-- measured -->` and `<!-- end -->` around that.
    """
    before, _, rest = page.read_text().partition("<!-- measured -->")
    _, found, after = rest.partition("<!-- end -->")
    if not found:
        raise ValueError(f"{page}: expected <!-- measured --> and, later, <!-- end -->")
    page.write_text(f"{before}<!-- measured -->\n\n{text}\n\n<!-- end -->{after}")


def fenced(lines: Iterable[str]) -> str:
    """Lines that stay lines in Markdown."""
    return "\n".join(["```", *lines, "```"])


def versions(lines: Iterable[Line]) -> Iterator[str]:
    """A text for each line that has any."""
    for line in lines:
        if line.versions:
            shown = ", ".join(f"{name} {version}" for name, version in line.versions.items())
            yield f"{line.name}: {shown}"


def problems(lines: Iterable[Line]) -> Iterator[str]:
    """What was not measured, and why."""
    for line in lines:
        for problem in line.problems:
            yield f"not measured: {line.name}, {problem}"


def machine() -> dict[str, str]:
    """What everything ran on."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _row(line: Line) -> list[str]:
    shapes = [_shape(line, shape) for shape in SHAPES]
    spent = f"{line.cpu_seconds:.1f}" if line.cpu_seconds else "-"
    return [line.title, *shapes, _connections(line.connections), spent]


def _shape(line: Line, shape: Shape) -> str:
    if shape.name not in line.saturation:
        return "-"
    most = f"{_thousands(line.saturation[shape.name]['deliveries_per_s'])}/s"
    pairs = line.half.get(shape.name)
    return f"{_half(pairs)}; {most}" if pairs else most


def _short(line: Line, shape: Shape) -> list[str]:
    if shape.name not in line.saturation:
        return ["-", "-"]
    pairs = line.half.get(shape.name)
    cost = "-"
    if pairs:
        pair = _middle(pairs)
        cost = f"{own_us(pair.own):.1f} µs = {pair.ratio:.1f} x"
    return [cost, _thousands(line.saturation[shape.name]["deliveries_per_s"])]


def _half(pairs: Sequence[Pair]) -> str:
    pair = _middle(pairs)
    star = "" if is_borne(pair.own) else "*"
    load = f"{_thousands(pair.own['deliveries_per_s'])}/s"
    cost = f"{own_us(pair.own):.1f}{star} ({pair.ratio:.1f}x) at {load}"
    return f"{cost}, {p50(pair.own):.1f}/{p99(pair.own):.0f} ms"


def _middle(pairs: Sequence[Pair]) -> Pair:
    """That pair whose ratio is the median: all its figures belong together."""
    return sorted(pairs, key=lambda pair: pair.ratio)[(len(pairs) - 1) // 2]


def ratio_of(pairs: Sequence[Pair]) -> float:
    """The median of their ratios to the floor."""
    return median(pair.ratio for pair in pairs)


def _connections(result: Result | None) -> str:
    if not result:
        return "-"
    some = "" if result["ready"] == result["n"] else f" (only {result['ready']:,} got in)"
    each = f"{result['rss_per_conn'] / 1000:.1f} kB, {result['connect_cpu_us_per_conn']:,.0f}"
    return each + some


def _thousands(count: float) -> str:
    return f"{count / 1000:,.0f}k" if count >= 10_000 else f"{count / 1000:.1f}k"
