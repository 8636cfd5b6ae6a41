"""Draws what the full form measured, as SVG for the documentation.

python -m bench.pictures RESULTS.json [FOLDER]        docs unless another one is named
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.contenders import ROOT, Floor, Supervised, TornadoLoop
from bench.peers import PEERS
from bench.sweeps import CONNECTIONS, LOAD, MEMBERS, ROOMS, Sweep

STYLE: Any = {
    # Text stays text: smaller, and it can be searched. The same figures make the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "zchat",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
}
TAB = ("blue", "orange", "green", "purple", "brown", "pink", "gray", "olive", "cyan")
OTHERS = [*(peer.name for peer in PEERS), TornadoLoop.name]
COLORS = {name: f"tab:{color}" for name, color in zip(OTHERS, TAB, strict=True)}
COLORS |= {Supervised.name: "crimson", Floor.name: "black"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One file."""

    sweep: Sweep
    figure: str
    """The key of a point that is drawn."""
    title: str
    ordinate: str


PICTURES = (
    Picture(MEMBERS, "us", "One room, 20,000 deliveries per second", "CPU µs per delivery"),
    Picture(ROOMS, "us", "2,000 messages per second in rooms of two", "CPU µs per delivery"),
    Picture(CONNECTIONS, "kilobytes", "Memory of the servers", "kB per connection"),
    Picture(LOAD, "us", "100 rooms of 20, all talk", "CPU µs per delivery"),
)


def draw(points: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """The pictures of which there are points.

    Args:
        points: the `points` of a results file.

    Returns:
        The files that were written.
    """
    written = []
    for picture in PICTURES:
        own = [point for point in points if point["sweep"] == picture.sweep.name]
        if own:
            path = folder / f"performance-{picture.sweep.name}.svg"
            with mpl.rc_context(STYLE):
                _draw(picture, own, path)
            written.append(path)
    return written


def _draw(picture: Picture, points: Sequence[dict[str, Any]], path: Path) -> None:
    figure = Figure(figsize=(7.2, 4.2), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for name in dict.fromkeys(point["name"] for point in points):
        own = sorted((p["x"], p[picture.figure]) for p in points if p["name"] == name)
        _line(axes, name, own)
    axes.set(title=picture.title, xlabel=picture.sweep.unit, ylabel=picture.ordinate)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, metadata={"Date": None})


def _line(axes: Axes, name: str, own: Sequence[tuple[float, float]]) -> None:
    width = 2.5 if name == Supervised.name else 1.2
    style = "--" if name == Floor.name else "-"
    x, y = zip(*own, strict=True)
    axes.plot(x, y, style, label=name, color=COLORS[name], linewidth=width, marker="o", ms=3.5)


def main(words: Sequence[str]) -> None:
    """Draw from a file."""
    points = json.loads(Path(words[0]).read_text())["points"]
    for path in draw(points, Path(words[1]) if len(words) > 1 else ROOT / "docs"):
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
