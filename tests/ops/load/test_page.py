"""The page of a load: whole by itself, and well formed."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from msgspec.structs import replace

from tests.ops.load.accounts import PLAN, accounts
from zchat.ops.load.cost import Cost
from zchat.ops.load.judge import judge
from zchat.ops.load.page import page
from zchat.ops.load.report import Report, Stretch, report

SERVERS = [Cost("chat-server-1", "chat", 0.25, 64 << 20, 2 << 20)]


def made() -> Report:
    found = accounts()
    return report("ws://h:1", PLAN, found, SERVERS, judge(PLAN, found), compared=True)


def charts(text: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.S)]


def test_it_needs_nothing_else() -> None:
    text = page(made())
    assert re.findall(r"(?:src|href)=|@import|url\(|<script|https?:", text) == []
    assert "prefers-color-scheme: dark" in text


def test_figures_and_table_are_there() -> None:
    text = page(made())
    assert "Nothing was lost, doubled or out of order." in text
    assert "<b>18</b><span>deliveries a second</span>" in text
    assert "server CPU per delivery" in text
    assert "all is well</pre>" in text


def test_the_charts_have_their_lines() -> None:
    over_time, by_percentile = charts(page(made()))
    assert [line.get("class") for line in over_time.iter("polyline")] == ["a", "b", "c"]
    assert [len((line.get("points") or "").split()) for line in over_time.iter("polyline")] == [
        2
    ] * 3
    assert len(list(by_percentile.iter("polyline"))) == 1


def test_long_times_are_in_seconds() -> None:
    slow = replace(made(), curve=[(50.0, 20.0), (99.0, 9000.0), (100.0, 9000.0)])
    labels = [text.text for text in charts(page(slow))[1].iter("text")]
    assert labels[:4] == ["10 ms", "100 ms", "1 s", "10 s"]


def test_points_are_inside() -> None:
    stretches = [Stretch(float(s), 1.0, 0.2 * 10**s, 10.0**s, 10.0**s) for s in range(5)]
    curve = [(50.0, 0.1), (99.0, 10.0), (99.99, 5000.0), (100.0, 9000.0)]
    plan = replace(PLAN, seconds=5.0)
    for chart in charts(page(replace(made(), plan=plan, stretches=stretches, curve=curve))):
        for line in chart.iter("polyline"):
            for point in (line.get("points") or "").split():
                x, y = map(float, point.split(","))
                assert 72 <= x <= 704
                assert 16 <= y <= 224


def test_nothing_was_delivered() -> None:
    empty = replace(made(), curve=[], stretches=[], cpu=None)
    assert len(charts(page(empty))) == 2
    assert "server CPU per delivery" not in page(empty)


def test_what_is_wrong_is_said_first_and_escaped() -> None:
    text = page(
        replace(
            made(),
            ok=False,
            counts={"problems": 1200},
            problems=["<b>lost</b>"],
            limits=["process 1 used 95% of a core"],
        )
    )
    assert "1,200 problems: see below." in text
    assert "The generator is the limit: process 1" in text
    assert "&lt;b&gt;lost&lt;/b&gt;" in text
