"""A report as one HTML file that needs nothing else: figures, a chart over time, a chart of
percentiles. It is light or dark as its reader's system is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, log10

from zchat.ops.load.report import Report, ms, table

Point = tuple[float, float]

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 16, 16, 36

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --paper: #fff; --ink: #1c1e21; --faint: #6a7078; --rule: #dfe2e6;
  --a: #1f6feb; --b: #b45309; --c: #b91c1c; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #16181c; --ink: #e6e8eb; --faint: #9aa1aa; --rule: #30343a;
    --a: #6ea8fe; --b: #f0b35a; --c: #f87171; }} }}
body {{ margin: 2rem auto; max-width: 60rem; padding: 0 1rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem; }}
.figures div {{ border: 1px solid var(--rule); border-radius: 6px; padding: .6rem .8rem; }}
.figures b {{ display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; }}
.figures span, .key {{ color: var(--faint); font-size: .85rem; }}
.bad {{ color: var(--c); font-weight: 600; }}
svg {{ width: 100%; height: auto; }}
svg text {{ fill: var(--faint); font: 12px system-ui, sans-serif; }}
svg .grid {{ stroke: var(--rule); }}
svg polyline {{ fill: none; stroke-width: 1.75; stroke-linejoin: round; }}
.a {{ stroke: var(--a); }} .b {{ stroke: var(--b); }} .c {{ stroke: var(--c); }}
.key i {{ display: inline-block; width: 1.2em; border-top: 2px solid; margin: 0 .4em .25em 1em; }}
.key .a {{ border-color: var(--a); }} .key .b {{ border-color: var(--b); }}
.key .c {{ border-color: var(--c); }}
pre {{ overflow-x: auto; border: 1px solid var(--rule); border-radius: 6px; padding: .8rem;
  font-size: .85rem; }}
</style>
<h1>{title}</h1>
<p>{verdict}</p>
<div class="figures">{figures}</div>
<h2>Latency over time</h2>
<p class="key">From the intended time of sending to each member, by seconds after the
warm-up:<i class="a"></i>p50<i class="b"></i>p99<i class="c"></i>max</p>
{over_time}
<h2>Latency by percentile</h2>
<p class="key">So many percent of all deliveries came within this time.</p>
{by_percentile}
<h2>All figures</h2>
<pre>{table}</pre>
</html>
"""


def page(found: Report) -> str:
    """The HTML of a report."""
    plan = found.plan
    title = f"zchat bench: {plan.rooms} rooms, {plan.people} people, {plan.rate:g} messages/s each"
    return _PAGE.format(
        title=escape(title),
        verdict=_verdict(found),
        figures="".join(_figures(found)),
        over_time=_over_time(found),
        by_percentile=_by_percentile(found),
        table=escape(table(found)),
    )


def _verdict(found: Report) -> str:
    told = ["Nothing was lost, doubled or out of order."]
    if not found.ok:
        told = [f'<span class="bad">{found.counts["problems"]:,} problems: see below.</span>']
    for limit in found.limits:
        told.append(f'<span class="bad">The generator is the limit: {escape(limit)}.</span>')
    return "<br>".join(told)


def _figures(found: Report) -> Iterator[str]:
    figures = [
        ("deliveries a second", f"{found.deliveries:,.0f}"),
        ("messages a second", f"{found.sent:,.0f}"),
        *((f"{name} of deliveries", ms(found.delivered[name])) for name in ("p50", "p99", "p99.9")),
    ]
    if found.cpu is not None:
        figures.append(("server CPU per delivery", f"{found.cpu:.1f} µs"))
    for name, figure in figures:
        yield f"<div><b>{figure}</b><span>{name}</span></div>"


def _over_time(found: Report) -> str:
    half = found.plan.slot / 2
    series = [
        [(stretch.at + half, stretch.p50) for stretch in found.stretches],
        [(stretch.at + half, stretch.p99) for stretch in found.stretches],
        [(stretch.at + half, stretch.max) for stretch in found.stretches],
    ]
    return _chart(series, found.plan.seconds, _seconds(found.plan.seconds))


def _by_percentile(found: Report) -> str:
    """The x axis stretches the end, as the charts of HDR histograms do: each step is a nine."""
    nines = [(_nines(percent), value) for percent, value in found.curve if percent < 100]
    last = max((x for x, _ in nines), default=1.0)
    marks = [(_nines(p), f"{p:g} %") for p in (0, 50, 90, 99, 99.9, 99.99, 99.999)]
    return _chart([nines], last, [mark for mark in marks if mark[0] <= last])


def _nines(percent: float) -> float:
    return -log10(1 - percent / 100)


def _seconds(most: float) -> list[tuple[float, str]]:
    step = most / 6
    step = next((s for s in (1, 2, 5, 10, 20, 60, 120, 300, 600) if s >= step), 3600)
    return [(second, f"{second} s") for second in range(0, int(most) + 1, step)]


def _chart(series: Sequence[Sequence[Point]], most: float, marks: list[tuple[float, str]]) -> str:
    """Lines on a logarithmic y axis of milliseconds.

    Args:
        series: up to three lines.
        most: the end of the x axis.
        marks: on the x axis, with their texts.
    """
    values = [max(y, 0.01) for line in series for _, y in line] or [1.0]
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    high = max(high, low + 1)

    def across(x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / (most or 1.0)

    def down(y: float) -> float:
        share = (log10(max(y, 0.01)) - low) / (high - low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    for power in range(low, high + 1):
        y, value = down(10.0**power), 10.0**power
        label = f"{value:g} ms" if value < 1000 else f"{value / 1000:g} s"
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for x, text in marks:
        parts.append(
            f'<text x="{across(x):.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{text}</text>'
        )
    for name, line in zip("abc", series, strict=False):
        points = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in line)
        parts.append(f'<polyline class="{name}" points="{points}"/>')
    return "\n".join([*parts, "</svg>"])
